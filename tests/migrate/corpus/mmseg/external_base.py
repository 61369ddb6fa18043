_base_ = ['mmseg::_base_/models/upernet_r50.py', '_base_/datasets/scenes.py', 'mmseg::_base_/schedules/schedule_80k.py']
model = dict(decode_head=dict(num_classes=150), auxiliary_head=dict(num_classes=150))
