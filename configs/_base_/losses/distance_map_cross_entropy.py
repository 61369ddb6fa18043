_base_ = '../loss_decode/distance_map_cross_entropy.py'
custom_imports = dict(imports=['mmseg_plugin'])
