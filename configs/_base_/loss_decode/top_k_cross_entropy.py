# Cross-entropy of the hardest tenth of the pixels of the batch alone; k says how many per cent.
loss_decode = [dict(type='TopKCrossEntropyLoss', ignore_index=255)]
