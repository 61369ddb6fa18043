"""The demo's U-Net on labels that are soft along the boundaries between classes, as JDTLosses trains its teachers.

Pixels that see an ignored one stay as they are. The scenes of the demo have a line of ignored pixels along every boundary,
so there it changes nothing; it does where labels meet.
"""

_base_ = '../demo/digits_unet_jaccard_metric.py'

custom_hooks = [dict(type='BoundaryLabelSmoothingHook', epsilon=0.5, window=3)]
