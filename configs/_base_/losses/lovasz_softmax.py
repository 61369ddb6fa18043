# Sorts the errors and follows the Jaccard index itself. Hard labels alone.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='LovaszSoftmaxLoss', ignore_index=255)]
