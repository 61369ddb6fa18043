"""PSPNet with ResNet-18 on Cityscapes, soft labels along the boundaries between classes: the recipe of JDTLosses.

What is MMSegmentation's but the losses and the hook. Labels that are soft everywhere:
``custom_hooks = [dict(type='LabelSmoothingHook', epsilon=0.1)]``.
"""

_base_ = 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'

custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)
custom_hooks = [dict(type='BoundaryLabelSmoothingHook', epsilon=0.5, window=3)]

model = dict(
    decode_head=dict(
        loss_decode=[
            dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.125),
            dict(type='JaccardMetricLoss', ignore_index=255, loss_weight=0.75, smooth=1.0),
        ]
    ),
    auxiliary_head=dict(loss_decode=[dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.125)]),
)
