"""A U-Net of half the width learns from labels and from the demo's U-Net, which `teacher_checkpoint` has trained.

Train the teacher by configs/demo/digits_unet_jaccard_metric.py, or by digits_unet_boundary_label_smoothing.py as JDTLosses
does. Another checkpoint: --cfg-options model.teacher_checkpoint=PATH.
"""

_base_ = '../demo/digits_unet_jaccard_metric.py'

teacher_checkpoint = 'work_dirs/digits_unet_jaccard_metric/iter_400.pth'

student = _base_.model
student.backbone.base_channels = 8
student.decode_head.update(in_channels=8, channels=8)

model = dict(
    _delete_=True,
    type='DistilledSegmentor',
    student=student,
    teacher='segparity::demo/digits_unet_jaccard_metric.py',
    teacher_checkpoint=teacher_checkpoint,
    temperature=1.0,
    label_weight=0.5,
    teacher_weight=0.5,
)
del student
