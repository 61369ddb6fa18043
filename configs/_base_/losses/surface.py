_base_ = '../loss_decode/surface.py'
custom_imports = dict(imports=['mmseg_plugin'])
