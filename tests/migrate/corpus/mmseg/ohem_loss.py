_base_ = './base_only.py'
model = dict(decode_head=dict(loss_decode=dict(
    _delete_=True, type='OhemCrossEntropy', thres=0.9, min_kept=131072, class_weight=None, loss_weight=1.0)))
