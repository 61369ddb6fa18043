_base_ = '../loss_decode/inverse_form.py'
custom_imports = dict(imports=['mmseg_plugin'])
