_base_ = '../loss_decode/generalized_wasserstein_dice.py'
custom_imports = dict(imports=['mmseg_plugin'])
