# Tversky on soft labels too: alpha weighs false positives, beta false negatives.
loss_decode = [dict(type='CompatibleTverskyLoss', ignore_index=255)]
