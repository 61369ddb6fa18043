custom_imports = dict(imports=['mmseg_plugin'], allow_failed_imports=False)
_base_ = './base_only.py'
model = dict(decode_head=dict(loss_decode=dict(
    _delete_=True, type='WeightedSumLoss', weights=[1.0, 0.5],
    losses=[dict(type='WeightedCrossEntropyLoss', class_weight=[1, 1, 1, 1, 1, 2]), dict(type='JaccardMetricLoss')])))
val_evaluator = [dict(type='IoUMetric', iou_metrics=['mIoU']), dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5])]
test_evaluator = val_evaluator
