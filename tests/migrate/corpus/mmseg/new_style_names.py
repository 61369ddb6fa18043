from mmengine import read_base
from mmseg.models import losses as L

with read_base():
    from ._base_.new_style import model, train_dataloader, val_dataloader
    from ._base_.new_style import val_evaluator as evaluator

model.merge(dict(decode_head=dict(loss_decode=dict(_delete_=True, type=L.LovaszLoss, reduction='none'))))
val_evaluator = [evaluator, dict(type='CityscapesMetric', output_dir='out')]
