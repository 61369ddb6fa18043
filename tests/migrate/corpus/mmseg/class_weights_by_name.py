_base_ = ['_base_/models/fcn.py', '_base_/datasets/fields.py', '_base_/default_runtime.py']
class_weight = [0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969]
loss = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, class_weight=class_weight)
model = dict(decode_head=dict(loss_decode=loss), auxiliary_head=dict(loss_decode=dict(class_weight=class_weight)))
