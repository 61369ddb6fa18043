# How far the student is from a teacher whose probabilities stand in the labels.
loss_decode = [dict(type='DistillationKLLoss', ignore_index=255)]
