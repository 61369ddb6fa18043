"""The demo's U-Net with a branch for the distance of each object pixel from its boundary: ``BoundaryAwareLoss``."""

_base_ = './digits_unet_jaccard_metric.py'

model = dict(
    decode_head=dict(
        type='BranchedHead',
        head_type='FCNHead',
        branches=[
            dict(type='DistanceBranch', loss=dict(type='BoundaryAwareLoss', loss_weight=0.5, ignore_index=255)),
        ],
    )
)
