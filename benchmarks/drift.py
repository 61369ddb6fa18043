"""How far a loss of each rank's own images (sync=False) is from that of the whole batch: python benchmarks/drift.py

One process: DDP's gradient is the mean of the ranks' gradients, so the ranks may as well stand in a row. Eight images
of 128 x 128, six classes in boxes of very different size, a quarter of the classes absent from an image, ignored bands.
Prints a Markdown table: the loss of the batch, the mean of the ranks' losses, and how far the gradients by the logits
are apart, as a share of the whole batch's and as the angle between them.
"""

import numpy as np
import torch
from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401

IMAGES, SIZE, CLASSES, IGNORED = 8, 128, 6, 255
RANKS = (2, 8)
CONFIGS = {
    'WeightedCrossEntropyLoss': dict(),
    'JaccardMetricLoss, D': dict(),
    'JaccardMetricLoss, I': dict(granularity='I'),
    'JaccardMetricLoss, C': dict(granularity='C'),
    'GeneralizedDiceLoss': dict(),
    'FocalTverskyLoss': dict(),
    'LovaszSoftmaxLoss': dict(),
}


def scenes():
    """Logits (N, C, H, W) that are right three times in four, and labels."""
    rng = np.random.default_rng(0)
    y = np.zeros((IMAGES, SIZE, SIZE), np.int64)
    for image in y:
        for label in range(1, CLASSES):
            if rng.uniform() < 0.75:
                side = int(SIZE * rng.uniform(0.05, 0.5))
                top, left = rng.integers(0, SIZE - side, 2)
                image[top : top + side, left : left + side] = label
    shown = np.where(rng.uniform(size=y.shape) < 0.75, y, rng.integers(0, CLASSES, y.shape))
    for number, image in enumerate(y):
        image[: SIZE * number // 16] = IGNORED
    z = rng.normal(0, 1, (IMAGES, CLASSES, SIZE, SIZE)) + 2 * (shown[:, None] == np.arange(CLASSES)[:, None, None])
    return torch.tensor(z), torch.from_numpy(y)


def value_and_slope(loss, z, y, ranks):
    """Of the mean over ranks of the losses of their images."""
    z = z.clone().requires_grad_()
    value = sum(loss(*part) for part in zip(z.chunk(ranks), y.chunk(ranks))) / ranks
    value.backward()
    return value.item(), z.grad


def main():
    z, y = scenes()
    print('| loss | ranks | whole batch | mean of ranks | gradient off by | angle |\n|---|---|---|---|---|---|')
    for name, params in CONFIGS.items():
        loss = MODELS.build(dict(type=name.split(',')[0], ignore_index=IGNORED, **params))
        whole, slope = value_and_slope(loss, z, y, 1)
        for ranks in RANKS:
            mean, other = value_and_slope(loss, z, y, ranks)
            off = (other - slope).norm() / slope.norm()
            angle = torch.rad2deg(torch.acos(((other * slope).sum() / other.norm() / slope.norm()).clamp(max=1)))
            print(f'| `{name}` | {ranks} | {whole:.4f} | {mean:.4f} | {off:.0%} | {angle:.0f}° |')


if __name__ == '__main__':
    main()
