# What differs of a class over a union that counts its boundary the more, the larger it is.
loss_decode = [dict(type='BoundaryDoULoss', ignore_index=255)]
