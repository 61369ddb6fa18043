# Lovasz on one logit. Binary: the head needs out_channels=1, num_classes=2, threshold=0.5. Hard labels alone.
loss_decode = [dict(type='LovaszHingeLoss', ignore_index=255)]
