_base_ = '../loss_decode/soft_dice.py'
custom_imports = dict(imports=['mmseg_plugin'])
