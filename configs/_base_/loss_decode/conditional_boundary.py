# Features at boundaries are drawn to those of their class around them and told from others; needs an embedding and the
# classifier on it at the call.
loss_decode = [dict(type='ConditionalBoundaryLoss', ignore_index=255)]
