# Embeddings of pixels of a class are drawn together, those of different classes apart; needs an embedding at the call.
loss_decode = [dict(type='PixelContrastLoss', ignore_index=255)]
