# Focal cross-entropy, and what components and holes a class has too many or too few; pip install 'segparity[topology]'.
loss_decode = [dict(type='TopologyAwareFocalLoss', ignore_index=255)]
