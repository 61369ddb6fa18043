"""The demo's U-Net on labels that are soft along the boundaries between classes, as JDTLosses trains its teachers."""

_base_ = '../demo/digits_unet_jaccard_metric.py'

custom_hooks = [dict(type='BoundaryLabelSmoothingHook', epsilon=0.5, window=3)]
