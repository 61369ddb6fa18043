_base_ = '../loss_decode/combo.py'
custom_imports = dict(imports=['mmseg_plugin'])
