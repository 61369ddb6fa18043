"""The demo's U-Net with a branch for the whole image: ``SemanticEncodingLoss``, which classes it has."""

_base_ = './digits_unet_jaccard_metric.py'

model = dict(
    decode_head=dict(
        type='BranchedHead',
        head_type='FCNHead',
        branches=[
            dict(type='PresenceBranch', loss=dict(type='SemanticEncodingLoss', loss_weight=0.2, ignore_index=255)),
        ],
    )
)
