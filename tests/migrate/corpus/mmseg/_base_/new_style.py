# A base of the style with imports.
from mmengine.dataset import InfiniteSampler
from mmseg.datasets import LoveDADataset
from mmseg.evaluation import IoUMetric
from mmseg.models import EncoderDecoder, FCNHead, ResNetV1c
from mmseg.models.losses import CrossEntropyLoss

model = dict(
    type=EncoderDecoder,
    backbone=dict(type=ResNetV1c, depth=18),
    decode_head=dict(
        type=FCNHead,
        in_channels=512,
        channels=128,
        num_classes=7,
        loss_decode=dict(type=CrossEntropyLoss, use_sigmoid=False, loss_weight=1.0)))
train_dataloader = dict(batch_size=2, sampler=dict(type=InfiniteSampler), dataset=dict(type=LoveDADataset))
val_dataloader = dict(batch_size=1, dataset=dict(type=LoveDADataset))
val_evaluator = dict(type=IoUMetric, iou_metrics=['mIoU'])
test_evaluator = val_evaluator
