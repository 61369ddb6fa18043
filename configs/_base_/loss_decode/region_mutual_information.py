# Compares regions of pixels, beside a cross-entropy. 2-D images alone.
loss_decode = [dict(type='RegionMutualInformationLoss', ignore_index=255)]
