# Cross-entropy with class weights and label smoothing.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='WeightedCrossEntropyLoss', ignore_index=255)]
