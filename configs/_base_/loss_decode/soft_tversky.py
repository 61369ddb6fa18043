# The classic Tversky loss: beta above alpha finds more of small things, at the price of false alarms.
loss_decode = [dict(type='SoftTverskyLoss', ignore_index=255)]
