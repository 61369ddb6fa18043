"""What a trained network is judged by, on the test images of its data."""

import numpy as np
import torch
from torch import nn

from mmseg_plugin.metrics import Calibration, FineGrained
from segparity.study.data import Split
from segparity.study.settings import BINS, UNCLEAR, Q, StudyError
from shared_spec.metrics.calibration.spec import calibration_error

THRESHOLDS = tuple(k / 10 for k in range(1, 10))
MEASURES = {
    'mIoUD': ('mIoU^D', 'over the data set: pixels added over all images', 1),
    'mIoUC': ('mIoU^C', 'per class, over the images that show it', 1),
    f'mIoUI{Q}': (f'mIoU^I{Q}', f'the worst case: the {Q} % of the images with the lowest IoU', 1),
    'softDice': ('soft Dice', 'prediction and soft label cut at 0.1, 0.2, ... 0.9, the mean of the Dice', 1),
    'distance': ('distance', 'mean of |prediction - soft label| over pixels and classes', -1),
    'ECE': ('ECE', 'confidence against the share of right class ids', -1),
    'softECE': ('ECE, soft', 'confidence against the share that the soft label gives to the predicted class', -1),
    'confidence': ('confidence', 'mean of the largest probability', 0),
    'unclearConfidence': ('where unclear', f'the same where no class has {UNCLEAR:.0%} of the soft label', 0),
}  # name -> title, meaning, whether more is better (1), worse (-1), or neither (0)


def probabilities(network: nn.Module, images: np.ndarray, batch: int = 8) -> np.ndarray:
    """(N, C, H, W) the softmax of a network's logits."""
    network.eval()
    with torch.no_grad():
        parts = [network(torch.from_numpy(images[i : i + batch])).softmax(1) for i in range(0, len(images), batch)]
    return torch.cat(parts).numpy()


def measures(prob: np.ndarray, split: Split) -> dict[str, float]:
    """Name -> number, as ``MEASURES`` says; StudyError where the network's output is no number."""
    if not np.isfinite(prob).all():
        raise StudyError('the network says NaN: the training has diverged')
    found = {**overlap(prob, split.hard), 'softDice': soft_dice(prob, split.soft)}
    found['distance'] = float(np.abs(prob - split.soft).mean(dtype=np.float64))
    found |= calibration(prob, split)
    confidence, unclear = prob.max(1), unclear_pixels(split.soft)
    found['confidence'] = float(confidence.mean(dtype=np.float64))
    found['unclearConfidence'] = float(confidence[unclear].mean(dtype=np.float64)) if unclear.any() else float('nan')
    return found


def overlap(prob: np.ndarray, hard: np.ndarray) -> dict[str, float]:
    """mIoU^D, mIoU^C and the worst case, of the most probable classes."""
    metric = FineGrained(prob.shape[1], ignore_index=None, levels=('D', 'I', 'C'), q=(Q,), metrics=('mIoU',))
    metric.update(torch.from_numpy(prob), torch.from_numpy(hard))
    result = metric.compute()
    return {name: float(result[name]) for name in ('mIoUD', 'mIoUC', f'mIoUI{Q}')}


def soft_dice(prob: np.ndarray, soft: np.ndarray) -> float:
    """Both cut at each threshold, p >= t; the Dice of what is left, where there is anything, then the mean over
    thresholds, classes and images."""
    images = []
    for p, y in zip(prob, soft):
        common, sizes = [], []
        for t in THRESHOLDS:
            above, wanted = p >= t, y >= np.float32(t)
            common.append((above & wanted).sum((1, 2)))
            sizes.append(above.sum((1, 2)) + wanted.sum((1, 2)))
        both, size = np.stack(common), np.stack(sizes)
        dice = 2 * both / np.maximum(size, 1)
        seen = size > 0
        cells = [dice[:, c][seen[:, c]].mean() for c in range(dice.shape[1]) if seen[:, c].any()]
        images.append(float(np.mean(cells)))
    return float(np.mean(images))


def calibration(prob: np.ndarray, split: Split) -> dict[str, float]:
    """The calibration error against the class ids, and against labels that are drawn from the soft labels."""
    metric = Calibration(prob.shape[1], ignore_index=None, levels=('D',), metrics=('ECE',), from_logits=False)
    metric.update(torch.from_numpy(prob), torch.from_numpy(split.hard))
    predicted = prob.argmax(1)
    share = np.take_along_axis(split.soft, predicted[:, None], 1)
    soft = calibration_error(prob.max(1).ravel().astype(np.float64), share.ravel().astype(np.float64), 10)
    return {'ECE': float(metric.compute()['ECED']), 'softECE': soft}


def unclear_pixels(soft: np.ndarray) -> np.ndarray:
    """(N, H, W) where no class has the share ``UNCLEAR``."""
    return soft.max(1) < UNCLEAR


def histogram(largest: np.ndarray, unclear: np.ndarray) -> list[float]:
    """Shares of the unclear pixels in equal bins of the largest probability, or largest share, from 0 to 1."""
    inside = largest[unclear]
    counts = np.histogram(inside, BINS, (0, 1))[0]
    return [float(count) / max(inside.size, 1) for count in counts]
