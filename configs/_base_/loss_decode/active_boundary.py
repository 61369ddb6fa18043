# Predicted boundaries move towards those of the labels, a pixel at a time; beside other losses, which bring them near.
loss_decode = [dict(type='ActiveBoundaryLoss', ignore_index=255)]
