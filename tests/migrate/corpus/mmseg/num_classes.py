_base_ = './base_only.py'
num_classes = 9
model = dict(decode_head=dict(num_classes=num_classes), auxiliary_head=dict(num_classes=num_classes, ignore_index=0))
