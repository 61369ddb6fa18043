# How far object pixels are from the boundary, in bins; of a branch with num_bins channels for each object class.
loss_decode = [dict(type='BoundaryAwareLoss', ignore_index=255)]
