_base_ = '../loss_decode/weighted_sum.py'
custom_imports = dict(imports=['mmseg_plugin'])
