"""Losses as people write them in PyTorch, f(prediction, target) with channels first. None is right because it is here."""

import torch
from torch import nn
from torch.nn import functional


def dice_loss(pred, target, smooth=1.0):  # flat, sigmoid inside
    pred = torch.sigmoid(pred).contiguous().view(-1)
    target = target.contiguous().view(-1)
    intersection = (pred * target).sum()
    return 1 - (2.0 * intersection + smooth) / (pred.sum() + target.sum() + smooth)


class DiceLoss(nn.Module):  # per image and channel
    def __init__(self, smooth=1e-6):
        super().__init__()
        self.smooth = smooth

    def forward(self, inputs, targets):
        inputs = torch.sigmoid(inputs)
        overlap = (inputs * targets).sum(dim=(2, 3))
        size = inputs.sum(dim=(2, 3)) + targets.sum(dim=(2, 3))
        return (1 - (2 * overlap + self.smooth) / (size + self.smooth)).mean()


class SquaredDice(nn.Module):  # V-Net
    def forward(self, inputs, targets):
        p = torch.sigmoid(inputs)
        return 1 - (2 * (p * targets).sum() + 1) / ((p**2).sum() + (targets**2).sum() + 1)


def iou_loss(logits, target):
    p = torch.sigmoid(logits)
    overlap = (p * target).sum()
    return 1 - (overlap + 1e-6) / (p.sum() + target.sum() - overlap + 1e-6)


def bce_dice(logits, target):
    return functional.binary_cross_entropy_with_logits(logits, target) + dice_loss(logits, target)


def half_bce_less_dice(logits, target):
    p = torch.sigmoid(logits)
    dice = (2 * (p * target).sum() + 1e-5) / (p.sum() + target.sum() + 1e-5)
    return 0.5 * functional.binary_cross_entropy_with_logits(logits, target) - dice


def multiclass_dice(logits, target):  # class ids, softmax, mean over classes of the batch
    p = torch.softmax(logits, 1)
    y = functional.one_hot(target, p.shape[1]).permute(0, 3, 1, 2).to(p.dtype)
    overlap, size = (p * y).sum((0, 2, 3)), (p + y).sum((0, 2, 3))
    return 1 - ((2 * overlap + 1) / (size + 1)).mean()


def dice_without_background(logits, target):
    p = torch.softmax(logits, 1)[:, 1:]
    y = functional.one_hot(target, logits.shape[1]).permute(0, 3, 1, 2).to(p.dtype)[:, 1:]
    overlap, size = (p * y).sum((0, 2, 3)), (p + y).sum((0, 2, 3))
    return (1 - (2 * overlap + 2) / (size + 2)).mean()


def summed_dice_without_background(logits, target):
    loss = 0
    p = torch.softmax(logits, 1)
    for c in range(1, p.shape[1]):
        y = (target == c).to(p.dtype)
        loss = loss + 1 - (2 * (p[:, c] * y).sum() + 1) / (p[:, c].sum() + y.sum() + 1)
    return loss


class PresentDice(nn.Module):  # as SMP: absent classes are masked, the mean is over all
    def forward(self, logits, target):
        p = torch.softmax(logits, 1)
        y = functional.one_hot(target, p.shape[1]).permute(0, 3, 1, 2).to(p.dtype)
        overlap, size = (p * y).sum((0, 2, 3)), (p + y).sum((0, 2, 3))
        loss = 1 - 2 * overlap / size.clamp_min(1e-7)
        return (loss * (y.sum((0, 2, 3)) > 0)).mean()


def monai_like(logits, target):  # per image and class, 1e-5 above and below the line
    p = torch.softmax(logits, 1)
    overlap, size = (p * target).sum((2, 3)), p.sum((2, 3)) + target.sum((2, 3))
    return (1 - (2 * overlap + 1e-5) / (size + 1e-5)).mean()


class Tversky(nn.Module):  # 0.7 on false negatives
    def forward(self, inputs, targets):
        p, y = torch.sigmoid(inputs).view(-1), targets.reshape(-1)
        tp, fp, fn = (p * y).sum(), ((1 - y) * p).sum(), (y * (1 - p)).sum()
        return 1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)


class FocalTversky(Tversky):
    def forward(self, inputs, targets):
        return super().forward(inputs, targets) ** 0.75


def focal_tversky_of_the_mean(logits, target):
    p = torch.softmax(logits, 1)
    y = functional.one_hot(target, p.shape[1]).permute(0, 3, 1, 2).to(p.dtype)
    tp, fp, fn = (p * y).sum((0, 2, 3)), (p * (1 - y)).sum((0, 2, 3)), ((1 - p) * y).sum((0, 2, 3))
    return (1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)).mean() ** 0.75


weighted_ce = nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 2.5], dtype=torch.float64))
four_classes = nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 2.5, 4.0]))  # float32
smoothed_ce = nn.CrossEntropyLoss(label_smoothing=0.1)


def ce_dice(logits, target):
    return 0.4 * functional.cross_entropy(logits, target) + 0.6 * multiclass_dice(logits, target)


def log_cosh_dice(logits, target):
    return torch.log(torch.cosh(dice_loss(logits, target)))


def symmetric_cubic(logits, target):  # none of ours
    return (torch.sigmoid(logits) - target).abs().pow(3).mean()


def unactivated(logits, target):  # cross-entropy of logits, Dice of the same without a sigmoid
    dice = (2 * (logits * target).sum() + 1) / (logits.sum() + target.sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, target) + 1 - dice


def thresholded(pred, target):
    p = (torch.sigmoid(pred) > 0.5).to(target.dtype)
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)


def random_loss(pred, target):
    return dice_loss(pred, target) + torch.rand(())


def forgets_labels(pred, target):
    p = torch.sigmoid(pred)
    return 1 - (2 * (p * p).sum() + 1) / (p.sum() + p.sum() + 1)


def in_place(pred, target):
    print('Dice')
    target.mul_(1.0).clamp_(0.0, 0.9)
    return dice_loss(pred, (target > 0.5).to(pred.dtype))


def per_image(pred, target):
    p = torch.sigmoid(pred)
    overlap, size = (p * target).sum((1, 2, 3)), (p + target).sum((1, 2, 3))
    return 1 - (2 * overlap + 1) / (size + 1)


def needs_a_key(pred, target):
    raise KeyError('mask')


def interrupts(pred, target):
    raise KeyboardInterrupt


async def asynchronous(pred, target):
    return 0.0


def make_loss(smooth=2.0):
    def loss(pred, target):
        return dice_loss(pred, target, smooth)

    return loss


def three(pred, target, weight):
    return dice_loss(pred, target) * weight


class NeedsArguments(nn.Module):
    def __init__(self, weight):
        super().__init__()


number = 3


def weighted_bce(logits, target):  # the positive pixels count three times, the mean is over pixels
    return functional.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(3.0))


def jaccard_slopes(labels):
    inter, union = labels.sum() - labels.float().cumsum(0), labels.sum() + (1 - labels).float().cumsum(0)
    slopes = 1 - inter / union
    slopes[1:] = slopes[1:] - slopes[:-1].clone()
    return slopes


def hinge_in_float32(logits, labels):  # torch.dot refuses float64 beside float32
    logits, labels = logits.view(-1), labels.view(-1)
    errors, order = torch.sort(1 - logits * (2 * labels.float() - 1), 0, descending=True)
    return torch.dot(torch.relu(errors), jaccard_slopes(labels[order]))


def dice_score_loss(pred, target):  # a score, whatever its name
    return 1 - dice_loss(pred, target)


def no_number(pred, target):
    return (pred * target).sum() * float('nan')
