# Cross-entropy on which pixels that are right already count less; gamma says how much less.
loss_decode = [dict(type='FocalCrossEntropyLoss', ignore_index=255)]
