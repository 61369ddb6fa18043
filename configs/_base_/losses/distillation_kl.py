_base_ = '../loss_decode/distillation_kl.py'
custom_imports = dict(imports=['mmseg_plugin'])
