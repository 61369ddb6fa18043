_base_ = '../loss_decode/boundary_dou.py'
custom_imports = dict(imports=['mmseg_plugin'])
