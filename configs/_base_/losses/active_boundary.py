_base_ = '../loss_decode/active_boundary.py'
custom_imports = dict(imports=['mmseg_plugin'])
