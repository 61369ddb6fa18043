# A data set whose label 0 is no class.
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type='RepeatDataset',
        times=40,
        dataset=dict(type='ADE20KDataset', data_root='data/scenes')))
val_dataloader = dict(batch_size=1, dataset=dict(type='ADE20KDataset', data_root='data/scenes'))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice', 'mFscore'])
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'], format_only=True, output_dir='out')
