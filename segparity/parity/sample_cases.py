"""Named inputs without spatial axes, those of classifiers, and pairs of features, beside those of ``segparity.parity.cases``."""

import numpy as np

from segparity.parity.cases import IGNORE, SPACE, Case, case, logits, soft_pair


@case
def samples(rng: np.random.Generator) -> Case:
    """No spatial axes: the logits of a classifier."""
    y = np.array([0, 1, 2, 3, 1, IGNORE])
    return Case(logits(rng, n=6, space=()), y, weight=np.array([1, 0.5, 2, 1, 0, 1], np.float32), ignore_index=IGNORE)


@case
def samples_soft(rng: np.random.Generator) -> Case:
    return Case(*soft_pair(rng, n=6, space=()))


@case
def samples_not_a_number(rng: np.random.Generator) -> Case:
    z = logits(rng, n=6, space=())
    z[2, 1], z[5] = np.nan, np.inf
    return Case(z, np.array([[0], [1], [2], [3], [1], [IGNORE]]), ignore_index=IGNORE)


@case
def samples_one_channel(rng: np.random.Generator) -> Case:
    return Case(logits(rng, n=6, c=1, space=()), np.array([0, 1, 1, 0, 1, IGNORE])[:, None], ignore_index=IGNORE)


def feature_pair(
    rng: np.random.Generator, n: int = 5, k: int = 7, space: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Features >= 0, equal nowhere; some of the second are 0, as behind a ReLU."""
    a, b = (np.maximum(rng.normal(0.5, 1, (n, k, *space)), 0).astype(np.float32).astype(np.float64) for _ in range(2))
    a += 0.125
    return a, np.where(np.abs(a - b) < 2e-2, b + 0.0625, b)


@case
def features(rng: np.random.Generator) -> Case:
    return Case(*feature_pair(rng), of_features=True)


@case
def features_weighted(rng: np.random.Generator) -> Case:
    """One sample that counts nowhere, of NaN and of negative features."""
    a, b = feature_pair(rng)
    a[1], b[1, 2] = np.nan, -1
    return Case(a, b, weight=np.array([1, 0, 0.25, 2, 1], np.float32), of_features=True)


@case
def features_of_pixels(rng: np.random.Generator) -> Case:
    a, b = feature_pair(rng, n=2, space=SPACE)
    return Case(a, b, weight=rng.uniform(0.1, 3, (2, *SPACE)).astype(np.float32), of_features=True)


@case
def features_equal(rng: np.random.Generator) -> Case:
    """Equal vectors, zero vectors, one of both, and a feature in which two vectors agree: on kinks."""
    a, b = feature_pair(rng)
    b[0], a[1], b[1], a[2], b[3] = a[0], 0, 0, 0, 0
    b[4, 2:] = a[4, 2:]
    return Case(a, b, smooth=False, of_features=True)


@case
def features_huge(rng: np.random.Generator) -> Case:
    a, b = feature_pair(rng)
    return Case(a * 2.0**14, b * 2.0**14, step=2.0, of_features=True)


@case
def features_not_a_number(rng: np.random.Generator) -> Case:
    a, b = feature_pair(rng)
    b[3, 2] = np.nan
    return Case(a, b, smooth=False, of_features=True)


@case
def features_infinite(rng: np.random.Generator) -> Case:
    a, b = feature_pair(rng)
    a[3, 2] = np.inf
    return Case(a, b, smooth=False, of_features=True)
