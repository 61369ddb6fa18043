# Squared errors on a class and off it, each over its own size.
loss_decode = [dict(type='SensitivitySpecificityLoss', ignore_index=255)]
