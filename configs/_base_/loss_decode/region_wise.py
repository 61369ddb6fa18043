# Probabilities times a map of each region: -1 at its deepest, +1 outside.
loss_decode = [dict(type='RegionWiseLoss', ignore_index=255)]
