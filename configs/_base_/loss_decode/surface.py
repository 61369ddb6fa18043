# Probabilities times the signed distance to the boundary of their class; beside a region loss, for the value has no floor.
loss_decode = [dict(type='SurfaceLoss', ignore_index=255)]
