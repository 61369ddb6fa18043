"""The demo's U-Net with a branch for edges: drawn by a cross-entropy, brought into place by ``InverseFormLoss``."""

_base_ = './digits_unet_jaccard_metric.py'

model = dict(
    decode_head=dict(
        type='BranchedHead',
        head_type='FCNHead',
        branches=[
            dict(
                type='EdgeBranch',
                channels=16,
                loss=[
                    dict(type='WeightedCrossEntropyLoss', loss_weight=0.5, class_weight=[1.0, 4.0]),
                    dict(type='InverseFormLoss', loss_weight=0.1, tiles=(2, 2)),
                ],
            ),
        ],
    )
)
