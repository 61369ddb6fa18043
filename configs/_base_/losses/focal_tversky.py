_base_ = '../loss_decode/focal_tversky.py'
custom_imports = dict(imports=['mmseg_plugin'])
