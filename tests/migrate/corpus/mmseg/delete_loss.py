_base_ = './base_only.py'
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type='FocalLoss', gamma=2.0, alpha=0.25, loss_weight=1.0)),
    auxiliary_head=dict(_delete_=True, type='FCNHead', in_channels=256, channels=64, num_classes=6,
                        loss_decode=dict(type='LovaszLoss', per_image=True, reduction='none', loss_weight=0.4)))
