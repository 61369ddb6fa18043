_base_ = '../loss_decode/boundary_do_u.py'
custom_imports = dict(imports=['mmseg_plugin'])
