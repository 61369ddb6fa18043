_base_ = ['_base_/models/fcn.py', '_base_/datasets/fields.py', '_base_/schedules/iterations.py']
model = dict(
    decode_head=dict(
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce', loss_weight=1.0),
            dict(type='DiceLoss', loss_name='loss_dice', loss_weight=3.0)]),
    auxiliary_head=None)
