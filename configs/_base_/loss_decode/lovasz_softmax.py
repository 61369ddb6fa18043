# Sorts the errors and follows the Jaccard index itself. Hard labels alone.
loss_decode = [dict(type='LovaszSoftmaxLoss', ignore_index=255)]
