_base_ = ['./not_here.py']
model = dict(decode_head=dict(num_classes=3, loss_decode=dict(loss_weight=2.0)))
val_evaluator = dict(type='IoUMetric')
