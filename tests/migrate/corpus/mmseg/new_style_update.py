from mmengine.config import read_base
from mmseg.models.losses import DiceLoss

with read_base():
    from ._base_.new_style import *

model.update(dict(decode_head=dict(num_classes=8, ignore_index=7)))
model.decode_head.loss_decode.update(class_weight=[1.0] * 7 + [0.5])
model['decode_head']['align_corners'] = True
auxiliary = dict(type='FCNHead', in_channels=256, channels=64, num_classes=8, loss_decode=dict(type=DiceLoss, use_sigmoid=False))
model.update(auxiliary_head=auxiliary)
