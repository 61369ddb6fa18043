# Focal cross-entropy and focal Tversky under one delta and one gamma.
loss_decode = [dict(type='UnifiedFocalLoss', ignore_index=255)]
