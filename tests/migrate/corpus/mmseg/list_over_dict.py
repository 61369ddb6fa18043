# MMEngine refuses this: a dict over a list.
_base_ = './ce_dice.py'
model = dict(decode_head=dict(loss_decode=dict(loss_weight=2.0)))
