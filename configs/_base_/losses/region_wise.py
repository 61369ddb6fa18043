_base_ = '../loss_decode/region_wise.py'
custom_imports = dict(imports=['mmseg_plugin'])
