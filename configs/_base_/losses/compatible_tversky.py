_base_ = '../loss_decode/compatible_tversky.py'
custom_imports = dict(imports=['mmseg_plugin'])
