# Squared errors, weighed by their distance from the boundaries of label and prediction; beside a region loss.
loss_decode = [dict(type='HausdorffDistanceLoss', ignore_index=255)]
