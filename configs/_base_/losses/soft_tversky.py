_base_ = '../loss_decode/soft_tversky.py'
custom_imports = dict(imports=['mmseg_plugin'])
