"""A data set of eight 32 x 32 pictures and a model that trains on it in a second, as an MMSegmentation config."""

import json

import numpy as np

SIZE, IGNORED = 32, 255


def write_pictures(folder, count=8):
    """Grey noise with a bright box (class 1) and, in every other picture, a lighter row (class 2); returns ``folder``.

    Boxes and ignored bands differ widely in size: two pictures say little about the other two of a batch.
    """
    import mmcv

    rng = np.random.default_rng(7)
    for index in range(count):
        label = np.zeros((SIZE, SIZE), np.uint8)
        side = 4 + 2 * index
        label[4 : 4 + side, 6 : 6 + side] = 1
        label[26:29] = 2 * (index % 2)
        shade = np.array([60, 180, 120])[label][..., None]
        picture = rng.normal(shade, 10, size=(SIZE, SIZE, 3))
        label[:index] = IGNORED
        mmcv.imwrite(picture.clip(0, 255).astype(np.uint8), str(folder / 'img' / f'{index}.png'))
        mmcv.imwrite(label, str(folder / 'ann' / f'{index}.png'))
    return folder


def dataloader(folder, batch_size, *, endless):
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    return dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='InfiniteSampler' if endless else 'DefaultSampler', shuffle=False),
        dataset=dict(
            type='BaseSegDataset',
            data_root=str(folder),
            data_prefix=dict(img_path='img', seg_map_path='ann'),
            img_suffix='.png',
            seg_map_suffix='.png',
            metainfo=dict(classes=('ground', 'box', 'row'), palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0]]),
            pipeline=load,
        ),
    )


def model(loss_decode, **head):
    """A two-stage U-Net without batch statistics, so that two processes can be compared with one."""
    norm = dict(type='GN', num_groups=2)
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[90.0] * 3, std=[50.0] * 3, size=(SIZE, SIZE), seg_pad_val=IGNORED
        ),
        backbone=dict(
            type='UNet',
            base_channels=4,
            num_stages=2,
            strides=(1, 1),
            enc_num_convs=(1, 1),
            dec_num_convs=(1,),
            downsamples=(True,),
            enc_dilations=(1, 1),
            dec_dilations=(1,),
            norm_cfg=norm,
        ),
        decode_head=dict(
            dict(
                type='FCNHead',
                in_channels=4,
                in_index=1,
                channels=4,
                num_convs=1,
                concat_input=False,
                dropout_ratio=0,
                num_classes=3,
                norm_cfg=norm,
                align_corners=False,
                ignore_index=IGNORED,
                loss_decode=loss_decode,
            ),
            **head,
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def config(folder, work_dir, loss_decode, *, iterations, batch_size=2, **changes):
    """A complete config, as a dict: ``iterations`` steps, a checkpoint every third, a scalar logged at every one."""
    return dict(
        dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['mmseg_plugin'], allow_failed_imports=False),
            model=model(loss_decode),
            train_dataloader=dataloader(folder, batch_size, endless=True),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01)),
            param_scheduler=[dict(type='LinearLR', start_factor=0.5, by_epoch=False, end=4)],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
                checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False),
            ),
            randomness=dict(seed=0),
            log_processor=dict(window_size=1, by_epoch=False),
            log_level='ERROR',
            work_dir=str(work_dir),
        ),
        **changes,
    )


def logged(work_dir, name='loss'):
    """Iteration -> what the run logged under ``name``, in validation too."""
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    rows = map(json.loads, scalars.read_text().splitlines())
    return {row.get('iter', row.get('step')): row[name] for row in rows if name in row}
