# Cross-entropy that costs more near the border of the foreground.
loss_decode = [dict(type='DistanceMapCrossEntropyLoss', ignore_index=255)]
