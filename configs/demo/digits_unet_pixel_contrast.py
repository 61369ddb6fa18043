"""The demo's U-Net with a branch of embeddings, which ``PixelContrastLoss`` compares over the batch."""

_base_ = './digits_unet_jaccard_metric.py'

model = dict(
    decode_head=dict(
        type='BranchedHead',
        head_type='FCNHead',
        branches=[
            dict(
                type='EmbeddingBranch',
                channels=32,
                loss=dict(type='PixelContrastLoss', loss_weight=0.1, ignore_index=255, max_views=20),
            ),
        ],
    )
)
