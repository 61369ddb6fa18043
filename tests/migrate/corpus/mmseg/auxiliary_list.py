_base_ = './base_only.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    auxiliary_head=[
        dict(type='FCNHead', in_channels=64 * 2**i, channels=64, in_index=i, num_classes=6, norm_cfg=norm_cfg,
             loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4 / (i + 1)))
        for i in range(3)
    ])
