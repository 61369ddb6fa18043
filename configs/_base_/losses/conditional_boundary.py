_base_ = '../loss_decode/conditional_boundary.py'
custom_imports = dict(imports=['mmseg_plugin'])
