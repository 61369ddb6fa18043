# The Tversky loss of each cell to the power 1/gamma.
loss_decode = [dict(type='FocalTverskyLoss', ignore_index=255)]
