"""A small U-Net on the scenes of `segparity demo`: cross-entropy and the Jaccard metric loss, fine-grained metrics.

Copy this file for data of your own. What segparity adds to a usual MMSegmentation config: ``custom_imports``, the
losses in ``loss_decode``, and the evaluator.
"""

custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)

default_scope = 'mmseg'
data_root = 'demo_out/data'  # written by `segparity demo`
classes = ('background', '0', '1', '4', '7')
palette = [(46, 52, 64), (230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167)]
max_iters = 400

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5] * 3,
        std=[64.0] * 3,
        bgr_to_rgb=True,
        size=(64, 64),
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='UNet',
        base_channels=16,
        num_stages=4,
        strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2),
        dec_num_convs=(2, 2, 2),
        downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1),
        dec_dilations=(1, 1, 1),
        norm_cfg=dict(type='BN', requires_grad=True),
        upsample_cfg=dict(type='InterpConv', conv_first=True, upsample_cfg=dict(scale_factor=2, mode='nearest')),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=16,
        channels=16,
        in_index=3,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=5,
        align_corners=False,
        loss_decode=[
            dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.25),
            dict(type='JaccardMetricLoss', ignore_index=255, loss_weight=0.75),
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=dict(classes=classes, palette=palette),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        img_suffix='.png',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    ),
)
val_dataloader = dict(
    batch_size=20,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        metainfo=dict(classes=classes, palette=palette),
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        img_suffix='.png',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5])
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=6e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
)
param_scheduler = dict(type='OneCycleLR', eta_max=6e-3, total_steps=max_iters, by_epoch=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=50)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=50, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
