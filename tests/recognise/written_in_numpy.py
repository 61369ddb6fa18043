"""Losses in NumPy."""

import numpy as np


def dice_loss(y_true, y_pred):
    return 1 - (2 * (y_true * y_pred).sum() + 1) / (y_true.sum() + y_pred.sum() + 1)


def generalized_dice(y_true, y_pred):
    axes = (0, 1, 2)
    w = 1 / np.maximum(y_true.sum(axes), 1e-9) ** 2
    present = y_true.sum(axes) > 0
    w = np.where(present, w, w[present].max())
    return 1 - (w * (y_true * y_pred).sum(axes)).sum() / (w * (y_true + y_pred).sum(axes) / 2).sum()


def focal(y_true, y_pred):
    return np.mean(-y_true * (1 - y_pred) ** 2 * np.log(y_pred) - (1 - y_true) * y_pred**2 * np.log(1 - y_pred))


def constant(y_true, y_pred):
    return 0.5


def text(y_true, y_pred):
    return 'loss'


def swapped(y_true, y_pred):  # the names the wrong way round
    return np.mean(-y_pred * np.log(y_true) - (1 - y_pred) * np.log(1 - y_true))


def clipped(y_true, y_pred):
    p = np.clip(y_pred, 1e-7, 1 - 1e-7)
    return 1 - (2 * (y_true * p).sum() + 1e-7) / (y_true.sum() + p.sum() + 1e-7)


def jaccard_metric(y_true, y_pred):
    return np.abs(y_true - y_pred).sum() / np.maximum(y_true, y_pred).sum()


def accuracy(y_true, y_pred):
    return np.mean((y_pred > 0.5) == (y_true > 0.5))


def flat_tversky(y_true, y_pred):
    tp, fp, fn = (y_true * y_pred).sum(), ((1 - y_true) * y_pred).sum(), (y_true * (1 - y_pred)).sum()
    return 1 - (tp + 1) / (tp + 0.2 * fp + 0.8 * fn + 1)
