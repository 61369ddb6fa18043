_base_ = '../loss_decode/region_mutual_information.py'
custom_imports = dict(imports=['mmseg_plugin'])
