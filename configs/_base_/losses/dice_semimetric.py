_base_ = '../loss_decode/dice_semimetric.py'
custom_imports = dict(imports=['mmseg_plugin'])
