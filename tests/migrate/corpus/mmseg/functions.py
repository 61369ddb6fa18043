_base_ = './base_only.py'


def head_loss(weight, kind='CrossEntropyLoss', **more):
    return dict(type=kind, loss_weight=weight, **more)


losses = [head_loss(1.0, use_sigmoid=False)]
for kind, weight in (('DiceLoss', 2.0), ('LovaszLoss', 0.5)):
    losses.append(head_loss(weight, kind, loss_name=f'loss_{kind[:4].lower()}'))
model = dict(decode_head=dict(loss_decode=losses))
