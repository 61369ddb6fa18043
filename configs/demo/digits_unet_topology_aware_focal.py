"""The demo's U-Net with ``TopologyAwareFocalLoss``: as many pieces and holes as the labels have; needs GUDHI."""

_base_ = './digits_unet_jaccard_metric.py'

model = dict(decode_head=dict(loss_decode=[dict(type='TopologyAwareFocalLoss', ignore_index=255)]))
