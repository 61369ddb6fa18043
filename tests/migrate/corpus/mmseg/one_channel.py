_base_ = './base_only.py'
model = dict(
    decode_head=dict(num_classes=2, out_channels=1, threshold=0.5, ignore_index=255,
                     loss_decode=[dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
                                  dict(type='DiceLoss', use_sigmoid=True, loss_weight=1.0)]),
    auxiliary_head=None)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mDice', 'mIoU'], ignore_index=0)
test_evaluator = val_evaluator
