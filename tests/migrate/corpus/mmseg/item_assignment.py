_base_ = './base_only.py'
head = dict(num_classes=4)
head['ignore_index'] = 4
head.update(loss_decode=dict(loss_weight=2.0))
model = dict(decode_head=head)
model['auxiliary_head'] = None
train_dataloader = dict(dataset=dict())
train_dataloader['dataset']['reduce_zero_label'] = True
