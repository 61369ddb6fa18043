# How far features are from those of a teacher; a head of segmentation hands over labels, which this loss refuses.
loss_decode = [dict(type='FeatureDistanceLoss', distance='jaccard')]
