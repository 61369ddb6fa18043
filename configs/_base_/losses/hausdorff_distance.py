_base_ = '../loss_decode/hausdorff_distance.py'
custom_imports = dict(imports=['mmseg_plugin'])
