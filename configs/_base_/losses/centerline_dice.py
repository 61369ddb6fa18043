_base_ = '../loss_decode/centerline_dice.py'
custom_imports = dict(imports=['mmseg_plugin'])
