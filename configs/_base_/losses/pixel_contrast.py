_base_ = '../loss_decode/pixel_contrast.py'
custom_imports = dict(imports=['mmseg_plugin'])
