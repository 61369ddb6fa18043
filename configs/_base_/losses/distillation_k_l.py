_base_ = '../loss_decode/distillation_k_l.py'
custom_imports = dict(imports=['mmseg_plugin'])
