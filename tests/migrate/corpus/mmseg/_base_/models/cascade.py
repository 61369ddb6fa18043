norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='CascadeEncoderDecoder',
    num_stages=2,
    backbone=dict(type='HRNet', norm_cfg=norm_cfg),
    decode_head=[
        dict(type='FCNHead', in_channels=[18, 36], channels=54, num_classes=4, align_corners=True,
             loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
        dict(type='OCRHead', in_channels=[18, 36], channels=512, num_classes=4, align_corners=True,
             sampler=dict(type='OHEMPixelSampler', thresh=0.9, min_kept=100000),
             loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    ])
