_base_ = ['_base_/datasets/fields.py', '_base_/default_runtime.py']
model = dict(
    type='EncoderDecoder',
    backbone=dict(type='MixVisionTransformer', embed_dims=32),
    decode_head=dict(type='SegformerHead', in_channels=[32, 64, 160, 256], channels=256, num_classes=6))
