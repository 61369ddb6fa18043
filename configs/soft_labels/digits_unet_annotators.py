"""Three annotators of the scenes of `segparity demo`: a U-Net learns from their average, and is compared with each.

`python examples/simulated_annotators.py demo_out/data` writes what they draw.
"""

_base_ = '../demo/digits_unet_jaccard_metric.py'

annotators = [f'{{folder}}/../../annotators/rater{k}/{{parent}}/{{name}}.png' for k in (1, 2, 3)]
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotatorMaps', annotators=annotators, num_classes=5)]
average = dict(type='AverageAnnotators', num_classes=5)  # stands after what flips, resizes or cuts
pack = dict(type='PackSegInputsWithAnnotators')

train_dataloader = dict(dataset=dict(pipeline=[*load, average, pack]))
val_dataloader = dict(dataset=dict(pipeline=[*load, pack]))
test_dataloader = val_dataloader
custom_hooks = [dict(type='SoftLabelHook')]
val_evaluator = [dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5]), dict(type='AnnotatorMetric')]
test_evaluator = val_evaluator
del load, average, pack
