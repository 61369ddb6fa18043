# For labels with mistakes. The head gets a parameter, log_nu; values are of the order of an image's pixels.
loss_decode = [dict(type='RobustTLoss', ignore_index=255)]
