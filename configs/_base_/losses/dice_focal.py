_base_ = '../loss_decode/dice_focal.py'
custom_imports = dict(imports=['mmseg_plugin'])
