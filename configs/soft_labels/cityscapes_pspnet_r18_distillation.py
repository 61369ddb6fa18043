"""PSPNet with ResNet-18 on Cityscapes learns from labels and from PSPNet with ResNet-101: the recipe of JDTLosses.

`teacher_checkpoint`: a checkpoint of the teacher's configuration, such as MMSegmentation's model zoo has. Another teacher:
its configuration, or the path of one, with as many classes and the same normalization of images.
"""

_base_ = __import__('mmseg_plugin').bases('mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py')

custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)
teacher_checkpoint = 'checkpoints/pspnet_r101-d8_512x1024_80k_cityscapes.pth'

student = _base_.model
student.decode_head.loss_decode = [
    dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.125),
    dict(type='JaccardMetricLoss', ignore_index=255, loss_weight=0.75, smooth=1.0),
]
student.auxiliary_head.loss_decode = [dict(type='WeightedCrossEntropyLoss', ignore_index=255, loss_weight=0.125)]

model = dict(
    _delete_=True,
    type='DistilledSegmentor',
    student=student,
    teacher='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
    teacher_checkpoint=teacher_checkpoint,
    temperature=1.0,
    label_weight=0.5,
    teacher_weight=0.5,
)
del student
