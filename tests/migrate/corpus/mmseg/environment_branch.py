import os

_base_ = './base_only.py'
loss_weight = 1.0
if os.environ.get('DICE'):
    loss_weight = 3.0
model = dict(decode_head=dict(loss_decode=dict(loss_weight=loss_weight)))
