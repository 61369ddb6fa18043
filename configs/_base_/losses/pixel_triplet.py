_base_ = '../loss_decode/pixel_triplet.py'
custom_imports = dict(imports=['mmseg_plugin'])
