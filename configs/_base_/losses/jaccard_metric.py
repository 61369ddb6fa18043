# Jaccard (IoU) that is right for soft labels too.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='JaccardMetricLoss', ignore_index=255)]
