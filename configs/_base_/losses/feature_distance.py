_base_ = '../loss_decode/feature_distance.py'
custom_imports = dict(imports=['mmseg_plugin'])
