_base_ = '../loss_decode/log_cosh_dice.py'
custom_imports = dict(imports=['mmseg_plugin'])
