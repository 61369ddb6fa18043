_base_ = './old_mean_iou.py'
model = dict(decode_head=dict(loss_decode=[
    dict(type='CrossEntropyLoss', loss_weight=0.5), dict(type='DiceLoss', smooth=1, exponent=2, loss_weight=0.5)]))
evaluation = dict(metric=['mIoU', 'mFscore'])
