_base_ = '../loss_decode/soft_jaccard.py'
custom_imports = dict(imports=['mmseg_plugin'])
