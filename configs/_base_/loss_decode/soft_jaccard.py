# The classic Jaccard loss on probabilities.
loss_decode = [dict(type='SoftJaccardLoss', ignore_index=255)]
