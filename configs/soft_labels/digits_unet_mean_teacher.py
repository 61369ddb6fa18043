"""A mean teacher on the scenes of `segparity demo`: 20 labelled scenes, all others without labels.

The average of the student's weights says of the unlabelled scenes what the student is to say of them, whatever happens to
brightness, contrast and noise. Evaluated and saved are the averaged weights.
"""

_base_ = ['../demo/digits_unet_jaccard_metric.py']

labelled = 20  # of the scenes; for lists of files give ann_file='labelled.txt' in place of indices
max_iters = 400

model = dict(
    _delete_=True,
    type='MeanTeacherSegmentor',
    student={{_base_.model}},
    consistency_weight=1.0,
    ramp_up=100,  # iterations
    confidence_threshold=None,  # 0.95: pixels of which the teacher is less sure count nowhere
    strong=dict(brightness=0.5, contrast=0.5, noise=0.2),  # of what the student sees of unlabelled images
)
custom_hooks = [dict(type='MeanTeacherHook', momentum=0.01)]

scenes = dict(
    type='BaseSegDataset',
    data_root={{_base_.data_root}},
    metainfo=dict(classes={{_base_.classes}}, palette={{_base_.palette}}),
    img_suffix='.png',
)
train_dataloader = dict(
    _delete_=True,
    batch_size=16,
    num_workers=0,
    sampler=dict(type='SemiSupervisedSampler', batch_size=16, labelled=8),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                **scenes,
                data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
                indices=labelled,
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
            ),
            dict(
                **scenes,
                data_prefix=dict(img_path='img_dir/train'),
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadNoAnnotations'), dict(type='PackSegInputs')],
            ),
        ],
    ),
)
