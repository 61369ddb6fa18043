# Cross-entropy of the pixels whose class has a probability below thresh, at least about min_kept of the batch.
loss_decode = [dict(type='OhemCrossEntropyLoss', ignore_index=255)]
