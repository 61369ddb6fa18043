# Which classes an image has, for the logits of a branch for the whole image: loss_se_decode of an EncHead.
loss_decode = [dict(type='SemanticEncodingLoss', ignore_index=255)]
