# How far predicted boundaries are moved, turned and scaled against the labels'; of an edge branch, not of the classes.
loss_decode = [dict(type='InverseFormLoss', ignore_index=255)]
