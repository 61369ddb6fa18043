_base_ = '../loss_decode/weighted_cross_entropy.py'
custom_imports = dict(imports=['mmseg_plugin'])
