# Jaccard (IoU) that is right for soft labels too.
loss_decode = [dict(type='JaccardMetricLoss', ignore_index=255)]
