# Without _delete_ the arguments of the base's loss stay.
_base_ = './base_only.py'
model = dict(decode_head=dict(loss_decode=dict(avg_non_ignore=True, class_weight=[1.0] * 5 + [0.1])))
