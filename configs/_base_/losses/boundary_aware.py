_base_ = '../loss_decode/boundary_aware.py'
custom_imports = dict(imports=['mmseg_plugin'])
