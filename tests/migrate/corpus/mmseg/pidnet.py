class_weight = [0.8, 0.9, 1.0]
train_dataloader = dict(dataset=dict(type='CityscapesDataset'))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
model = dict(
    type='EncoderDecoder',
    decode_head=dict(type='PIDHead', in_channels=128, channels=128, num_classes=3, align_corners=True,
                     loss_decode=[
                         dict(type='CrossEntropyLoss', class_weight=class_weight, loss_weight=0.4),
                         dict(type='OhemCrossEntropy', thres=0.9, min_kept=131072, class_weight=class_weight),
                         dict(type='BoundaryLoss', loss_weight=20.0),
                         dict(type='OhemCrossEntropy', thres=0.9, min_kept=131072, class_weight=class_weight)]))
