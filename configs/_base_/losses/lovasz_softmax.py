_base_ = '../loss_decode/lovasz_softmax.py'
custom_imports = dict(imports=['mmseg_plugin'])
