_base_ = '../loss_decode/ohem_cross_entropy.py'
custom_imports = dict(imports=['mmseg_plugin'])
