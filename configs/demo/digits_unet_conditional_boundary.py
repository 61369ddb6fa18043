"""The demo's U-Net with ``ConditionalBoundaryLoss`` of its features and classifier; no parameters more."""

_base_ = './digits_unet_jaccard_metric.py'

model = dict(
    decode_head=dict(
        type='BranchedHead',
        head_type='FCNHead',
        branches=[
            dict(type='ClassifierBranch', loss=dict(type='ConditionalBoundaryLoss', loss_weight=0.1, ignore_index=255)),
        ],
    )
)
