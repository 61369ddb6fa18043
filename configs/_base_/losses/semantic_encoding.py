_base_ = '../loss_decode/semantic_encoding.py'
custom_imports = dict(imports=['mmseg_plugin'])
