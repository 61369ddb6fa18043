# Dice that knows which mistakes are worse: give distance_matrix, rows are the true class. Hard labels alone.
loss_decode = [dict(type='GeneralizedWassersteinDiceLoss', ignore_index=255)]
