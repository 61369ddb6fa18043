"""The inputs on which a peer is compared with ours: small, the same every time, in float64."""

from typing import NamedTuple

import numpy as np

IMAGES = 3


class Probe(NamedTuple):
    """logits (N, C, H, W); target: class ids (N, H, W), of one channel 0 and 1, or maps (N, C, H, W)."""

    name: str
    logits: np.ndarray
    target: np.ndarray


def probes(channels: int, labels: str = 'ids', ignored: int | None = None, saturated: bool = False) -> list[Probe]:
    """Pictures with every class, with absent ones, with ignored pixels where a label is ignored, with certain pixels.

    labels: 'ids', 'one_hot' or 'soft'. ignored: the label that counts nowhere. saturated: with a pixel whose probability
    is exactly 1, which losses of probabilities clip.
    """
    rng = np.random.default_rng(20 * channels + len(labels))
    classes = max(channels, 2)
    height = 4
    width = max(5, -(-classes // height) + 1)  # every class has a pixel, and no axis is as long as another
    shape = IMAGES, height, width

    def logits() -> np.ndarray:
        return np.round(rng.normal(0, 1.5, (IMAGES, channels, height, width)), 3)

    def ids() -> np.ndarray:
        found = rng.integers(0, classes, (IMAGES, height * width))
        for image in found:
            image[rng.permutation(height * width)[:classes]] = np.arange(classes)
        return found.reshape(shape)

    found = [Probe('every_class', logits(), ids())]
    absent = ids()
    if channels == 1:
        absent[0] = 0  # an image without foreground
    else:
        absent[absent == classes - 1] = 0
        absent[1][absent[1] == 0] = 1
    found.append(Probe('absent_class', logits(), absent))
    if channels == 1:
        found.append(Probe('no_foreground', logits(), np.zeros(shape, np.int64)))
    if ignored is not None:
        for name, target in (('ignored_pixels', ids()), ('ignored_and_absent', absent.copy())):
            target[rng.random(shape) < 0.2] = ignored
            target[:, 0, 0] = ignored
            found.append(Probe(name, logits(), target))
    if saturated:
        z, y = logits(), ids()
        right = y[0, 1, 2] == np.arange(classes)[-channels:]
        z[0, :, 1, 2] = np.where(right, 45.0, -45.0)
        found.append(Probe('certain_pixel', z, y))
    if labels == 'ids':
        return found
    return [Probe(p.name, p.logits, maps(p.target, channels, labels, rng)) for p in found]


def maps(ids: np.ndarray, channels: int, labels: str, rng: np.random.Generator) -> np.ndarray:
    """One-hot maps (N, C, H, W) of ids, or soft ones near to them."""
    one_hot = np.stack([ids == k for k in ([1] if channels == 1 else range(channels))], 1).astype(np.float64)
    if labels == 'one_hot':
        return one_hot
    if channels == 1:
        return np.asarray(0.7 * one_hot + 0.2 * rng.random(one_hot.shape))
    mixed = 0.6 * one_hot + 0.4 * rng.dirichlet(np.ones(channels), ids.shape).transpose(0, 3, 1, 2)
    return np.asarray(mixed / mixed.sum(1, keepdims=True))


def never_predicted(probe: Probe, name: str) -> Probe:
    """The last class is predicted nowhere, which metrics differ in."""
    logits = probe.logits.copy()
    logits[:, -1] = -50.0
    return Probe(name, logits, probe.target)


def one_class_image(probe: Probe) -> Probe:
    """One image has fewer classes than the others, in label and prediction."""
    logits, target = probe.logits.copy(), probe.target.copy()
    logits[0, 0] = 50.0
    if target.ndim == logits.ndim:
        target[0], target[0, 0] = 0, 1
    else:
        target[0] = 0
    return Probe('one_class_image', logits, target)
