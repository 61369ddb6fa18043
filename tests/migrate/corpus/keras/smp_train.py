import torch
import segmentation_models_pytorch as smp
from segmentation_models_pytorch.losses import MULTICLASS_MODE

model = smp.Unet('resnet34', classes=5, activation=None)
dice = smp.losses.DiceLoss(mode=MULTICLASS_MODE, ignore_index=255)
focal = smp.losses.FocalLoss('multiclass', gamma=2.0)


def epoch(loader, optimizer):
    for images, masks in loader:
        logits = model(images.cuda())
        loss = dice(logits, masks) + 0.5 * focal(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
