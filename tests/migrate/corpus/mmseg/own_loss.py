custom_imports = dict(imports=['field_project.losses', 'field_project.metrics'], allow_failed_imports=False)
_base_ = './base_only.py'
model = dict(decode_head=dict(type='FieldHead', loss_decode=[
    dict(type='EdgeAwareLoss', radius=3, loss_weight=0.5), dict(type='CrossEntropyLoss')]))
val_evaluator = dict(_delete_=True, type='FieldMetric', border=2)
test_evaluator = val_evaluator
