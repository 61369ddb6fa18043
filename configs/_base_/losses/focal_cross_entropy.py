_base_ = '../loss_decode/focal_cross_entropy.py'
custom_imports = dict(imports=['mmseg_plugin'])
