"""PSPNet with ResNet-18 on Cityscapes with the labels of an eighth of its images, as a mean teacher.

`labelled.txt` and `unlabelled.txt` in `data/cityscapes` have a line for each image, such as
`aachen/aachen_000000_000019`: what stands before `_leftImg8bit.png`.
"""

_base_ = __import__('mmseg_plugin').bases('mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py')

custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)

student = _base_.model
student.decode_head.loss_decode = [
    dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.25),
    dict(type='JaccardMetricLoss', ignore_index=255, loss_weight=0.75, smooth=1.0),
]
student.auxiliary_head.loss_decode = [dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.1)]

model = dict(
    _delete_=True,
    type='MeanTeacherSegmentor',
    student=student,
    consistency_weight=1.0,
    ramp_up=8000,  # iterations
    confidence_threshold=None,
)
custom_hooks = [dict(type='MeanTeacherHook', momentum=0.001)]

images = dict(type='CityscapesDataset', data_root='data/cityscapes', data_prefix=dict(img_path='leftImg8bit/train'))
views = [
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 1024)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    sampler=dict(_delete_=True, type='SemiSupervisedSampler', batch_size=4, labelled=2),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                images,
                data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
                ann_file='labelled.txt',
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *views],
            ),
            dict(
                images,
                ann_file='unlabelled.txt',
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadNoAnnotations'), *views],
            ),
        ],
    ),
)
del student, images, views
