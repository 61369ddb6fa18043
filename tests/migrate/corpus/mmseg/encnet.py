_base_ = './base_only.py'
model = dict(decode_head=dict(
    _delete_=True, type='EncHead', in_channels=[512, 1024, 2048], channels=512, num_classes=6, use_se_loss=True,
    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_se_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.2)))
