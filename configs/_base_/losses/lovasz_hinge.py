_base_ = '../loss_decode/lovasz_hinge.py'
custom_imports = dict(imports=['mmseg_plugin'])
