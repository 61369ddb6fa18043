# The classic Jaccard loss on probabilities.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='SoftJaccardLoss', ignore_index=255)]
