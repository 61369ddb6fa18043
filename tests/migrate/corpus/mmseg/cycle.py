_base_ = './cycle.py'
model = dict(decode_head=dict(type='FCNHead', num_classes=3, loss_decode=dict(type='CrossEntropyLoss')))
