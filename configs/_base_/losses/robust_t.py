_base_ = '../loss_decode/robust_t.py'
custom_imports = dict(imports=['mmseg_plugin'])
