"""Lesions that several radiologists have outlined, as in LIDC-IDRI or QUBIQ: a U-Net learns from their average.

`data/lesions` has `images/{train,val}/NAME.png` and for each annotator `masks/rater1/{train,val}/NAME.png`, 0 and 255;
an annotator may lack images. Losses of the recipe for several annotators of JDTLosses.
"""

_base_ = __import__('mmseg_plugin').bases(
    'mmseg::_base_/models/fcn_unet_s5-d16.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_40k.py',
)

custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)
annotators = [f'{{folder}}/../../masks/rater{k}/{{parent}}/{{name}}.png' for k in (1, 2, 3, 4)]
size = (256, 256)

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=size),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(
        num_classes=2,
        norm_cfg=norm_cfg,
        loss_decode=[
            dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.125),
            dict(type='JaccardMetricLoss', ignore_index=255, loss_weight=0.75, smooth=1.0),
        ],
    ),
    auxiliary_head=dict(
        num_classes=2,
        norm_cfg=norm_cfg,
        loss_decode=[dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.125)],
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)

load = dict(type='LoadAnnotatorMaps', annotators=annotators, missing='skip', label_map={255: 1})
pack = dict(type='PackSegInputsWithAnnotators')
lesions = dict(
    type='BaseSegDataset',
    data_root='data/lesions',
    metainfo=dict(classes=('background', 'lesion'), palette=[(0, 0, 0), (255, 0, 0)]),
    img_suffix='.png',
)
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        lesions,
        data_prefix=dict(img_path='images/train'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            load,
            dict(type='RandomFlip', prob=0.5),
            dict(type='RandomCrop', crop_size=size),
            dict(type='AverageAnnotators', weighting='dice'),
            pack,
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        lesions, data_prefix=dict(img_path='images/val'), pipeline=[dict(type='LoadImageFromFile'), load, pack]
    ),
)
test_dataloader = val_dataloader
custom_hooks = [dict(type='SoftLabelHook')]
val_evaluator = [dict(type='FineGrainedMetric', ignore_index=255), dict(type='AnnotatorMetric', weighting='dice')]
test_evaluator = val_evaluator
del load, pack, lesions
