_base_ = '../loss_decode/sensitivity_specificity.py'
custom_imports = dict(imports=['mmseg_plugin'])
