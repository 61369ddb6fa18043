_base_ = '../loss_decode/jaccard_metric.py'
custom_imports = dict(imports=['mmseg_plugin'])
