_base_ = '../loss_decode/top_k_cross_entropy.py'
custom_imports = dict(imports=['mmseg_plugin'])
