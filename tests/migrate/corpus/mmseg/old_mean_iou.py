_base_ = ['_base_/models/fcn.py', '_base_/datasets/old_fields.py']
optimizer = dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01)
lr_config = dict(policy='poly', power=0.9, min_lr=1e-4, by_epoch=False)
runner = dict(type='IterBasedRunner', max_iters=40000)
evaluation = dict(interval=4000, metric='mIoU', pre_eval=True, save_best='mIoU')
model = dict(decode_head=dict(loss_decode=dict(class_weight=[0.5, 1.0, 1.0, 1.0, 1.0, 1.5])))
