"""Losses as users write them, in NumPy; what each is stands in test_against.py."""

import numpy as np


def sums(y, p, axes):
    return (y * p).sum(axes), y.sum(axes) + p.sum(axes)


def dice_loss(y_true, y_pred, smooth=1.0):
    """(N, H, W, C): per class over the batch."""
    both, size = sums(y_true, y_pred, (0, 1, 2))
    return 1 - ((2 * both + smooth) / (size + smooth)).mean()


def dice_of_images(y_true, y_pred):
    both, size = sums(y_true, y_pred, (1, 2))
    return 1 - ((2 * both + 1) / (size + 1)).mean()


def dice_coef(y_true, y_pred):
    return 1 - dice_loss(y_true, y_pred)


def minus_dice(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


def tripled(y_true, y_pred):
    return 3 * dice_loss(y_true, y_pred)


def of_class_ids(pred, target):
    """(N, C, H, W) logits and (N, H, W) ids, as in PyTorch; the softmax is inside."""
    e = np.exp(pred - pred.max(1, keepdims=True))
    one_hot = np.moveaxis(np.eye(pred.shape[1])[target], -1, 1)
    return dice_loss(np.moveaxis(one_hot, 1, -1), np.moveaxis(e / e.sum(1, keepdims=True), 1, -1))


def squeezed(target, pred):
    """(N, H, W) without a channel axis."""
    if pred.ndim != 3:
        raise ValueError('three axes are wanted')
    both, size = sums(target, pred, None)
    return 1 - (2 * both + 1) / (size + 1)


def of_one_channel(target, pred):
    if pred.shape[-1] != 1 and pred.shape[1] != 1:
        raise ValueError('one channel is wanted')
    both, size = sums(target, pred, None)
    return 1 - (2 * both + 1) / (size + 1)


def unlike_dice(y_true, y_pred):
    return np.abs(y_true - y_pred).mean() ** 0.3


def nan_where_absent(y_true, y_pred):
    with np.errstate(all='ignore'):
        return dice_loss(y_true, y_pred) + 0 * (1 / y_true.sum((0, 1, 2))).sum()


def noisy(y_true, y_pred):
    print('a word on the standard output')
    return dice_loss(y_true, y_pred)


def one_argument(y_true):
    return 0.0


def any_arguments(*tensors):
    if len(tensors) != 1:
        raise TypeError('any_arguments takes one argument')
    return 0.0


class Dice:
    def __call__(self, y_true, y_pred):
        return dice_loss(y_true, y_pred)


class Needs:
    def __init__(self, smooth):
        pass


number = 3
