_base_ = '../loss_decode/exponential_logarithmic.py'
custom_imports = dict(imports=['mmseg_plugin'])
