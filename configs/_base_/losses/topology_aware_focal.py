_base_ = '../loss_decode/topology_aware_focal.py'
custom_imports = dict(imports=['mmseg_plugin'])
