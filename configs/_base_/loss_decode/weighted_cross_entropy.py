# Cross-entropy with class weights and label smoothing.
loss_decode = [dict(type='WeightedCrossEntropyLoss', ignore_index=255)]
