_base_ = '../loss_decode/generalized_dice.py'
custom_imports = dict(imports=['mmseg_plugin'])
