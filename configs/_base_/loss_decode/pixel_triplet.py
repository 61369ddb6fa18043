# A feature at a boundary is nearer to those of its class around it than to those of others; needs an embedding at the call.
loss_decode = [dict(type='PixelTripletLoss', ignore_index=255, loss_weight=0.01)]
