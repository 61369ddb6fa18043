_base_ = '../loss_decode/unified_focal.py'
custom_imports = dict(imports=['mmseg_plugin'])
