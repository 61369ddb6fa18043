num_classes = 9
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    decode_head=dict(
        type='Mask2FormerHead', num_classes=num_classes,
        loss_cls=dict(type='mmdet.CrossEntropyLoss', class_weight=[1.0] * num_classes + [0.1]),
        loss_mask=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
        loss_dice=dict(type='mmdet.DiceLoss', naive_dice=True, eps=1.0, loss_weight=5.0)))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
