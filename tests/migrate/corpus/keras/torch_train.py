import torch
import torch.nn as nn
import torch.nn.functional as F
import torchmetrics

weights = torch.tensor([0.2, 0.8, 1.0]).cuda()
criterion = nn.CrossEntropyLoss(weight=weights, ignore_index=255).cuda()
miou = torchmetrics.JaccardIndex(task='multiclass', num_classes=3)
for images, masks in loader:
    out, aux = net(images)
    loss = criterion(out, masks) + 0.4 * F.cross_entropy(aux, masks, ignore_index=255)
    loss.backward()
