"""SegFormer on Cityscapes with an eighth of its labels: a mean teacher, two labelled and two unlabelled crops in a batch.

`labelled.txt` and `unlabelled.txt` in `data/cityscapes` have a line for each image, such as
`aachen/aachen_000000_000019`: what stands before `_leftImg8bit.png`.
"""

_base_ = __import__('mmseg_plugin').bases('mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py')
custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='MeanTeacherSegmentor',
    student={{_base_.model}},
    consistency_weight=1.0,
    ramp_up=8000,
)
