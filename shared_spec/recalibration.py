"""A teacher's probabilities, replaced by what the labels of pixels with like probabilities were, in NumPy float64."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Choice, Integer, Optional, Real
from shared_spec.files import one_sentence, replacing
from shared_spec.parameters import check_parameter
from shared_spec.typing import AnyPath
from shared_spec.values import TOLERANCE, check_ids, is_no_distribution

OWNER = 'DirichletRecalibration'
TINY = float(np.finfo(np.float32).tiny)  # the least probability, so that its logarithm is a number in float32 too
PARTS = ('key_prob', 'key_labels', 'key_weights')
WORK = 2**24  # kernels that are held at once

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


@dataclasses.dataclass(frozen=True, eq=False)
class DirichletRecalibration:
    """Kernel density estimate of the label, given what a teacher predicts (kde of JDTLosses).

    q(y | p) = sum_k w_k K(p; p_k) [y_k = y] / sum_k w_k K(p; p_k), K(p; p_k) the Dirichlet density of the parameters
    p_k / bandwidth + 1. The keys are pixels with labels, best of images that the teacher has not trained on:

    key_prob (K, C): probabilities of the teacher, C >= 2. key_labels (K,): class ids. key_weights (K,): how many pixels each
    key stands for, by default one. pixels: 'all', or 'doubtful', where the teacher's class is not the label's or the 3 x 3
    window of the label has another class and no ignored pixel. ValueError (SpecError for parameters) in one sentence.
    """

    key_prob: np.ndarray
    key_labels: np.ndarray
    key_weights: np.ndarray | None = None
    bandwidth: float = 0.05
    pixels: str = 'all'

    def __post_init__(self) -> None:
        prob, labels = np.array(self.key_prob, np.float64), np.array(self.key_labels)
        if prob.ndim != 2 or not len(prob) or prob.shape[1] < 2:
            raise ValueError(f'{OWNER}: key_prob must be (keys, classes) with two classes or more, got {prob.shape}')
        if not (np.isfinite(prob).all() and prob.min() >= 0 and np.allclose(prob.sum(1), 1, rtol=0, atol=1e-3)):
            raise ValueError(f'{OWNER}: key_prob must be probabilities that sum to 1 over the classes')
        if labels.shape != prob.shape[:1]:
            raise ValueError(f'{OWNER}: key_labels must be {prob.shape[:1]} as key_prob is, got {labels.shape}')
        if labels.dtype.kind not in 'iu':
            raise TypeError(f'{OWNER}: key_labels must be integer class ids, got {labels.dtype}')
        check_ids(OWNER, labels[None], np.ones((1, len(labels)), bool), prob.shape[1])
        weights = np.ones(len(prob)) if self.key_weights is None else np.array(self.key_weights, np.float64)
        if weights.shape != labels.shape or not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(f'{OWNER}: key_weights must be {labels.shape} numbers > 0, got {weights.shape}')
        found = dict(
            key_prob=prob,
            key_labels=labels.astype(np.int64),
            key_weights=weights,
            bandwidth=check_parameter(OWNER, 'bandwidth', Real(low=0, above=True), self.bandwidth),
            pixels=check_parameter(OWNER, 'pixels', Choice('all', 'doubtful'), self.pixels),
        )
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def num_classes(self) -> int:
        return int(self.key_prob.shape[1])

    @functools.cached_property
    def logarithms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(C, K) and (K,): log(w_k K(p; p_k)) = log p @ slopes + offsets, but for a constant; and (K, C) the one-hot labels."""
        slopes = self.key_prob / self.bandwidth
        offsets = _log_gamma(slopes.sum(1) + self.num_classes) - _log_gamma(slopes + 1).sum(1)
        offsets = offsets + np.log(np.asarray(self.key_weights))
        return slopes.T, offsets - offsets.max(), np.eye(self.num_classes)[self.key_labels]

    def recalibrate(self, prob: ArrayLike) -> np.ndarray:
        """Probabilities (N, C, *space) of a teacher -> (N, C, *space) recalibrated, of 'all' pixels whatever ``pixels`` is.

        NaN stays in its pixel; ValueError for what are no probabilities that sum to 1.
        """
        prob = np.asarray(prob, np.float64)
        if prob.ndim < 2 or prob.shape[1] != self.num_classes:
            raise ValueError(f'{OWNER}: prob must be (N, {self.num_classes}, *space) as the keys are, got {prob.shape}')
        with np.errstate(invalid='ignore'):
            sums = prob.sum(1)
        wrong = (prob < -TOLERANCE).any(1) | is_no_distribution(sums)
        if wrong.any():
            got = sums[wrong].flat[0]
            raise ValueError(
                f'{OWNER}: prob must be probabilities that sum to 1 over the classes, got a sum of {got:g}'
            )
        last = np.moveaxis(prob, 1, -1)
        slopes, offsets, labels = self.logarithms
        rows = np.log(np.maximum(last, TINY)).reshape(-1, self.num_classes)
        found = np.empty_like(rows)
        step = rows_at_once(len(offsets))
        for start in range(0, len(rows), step):
            scores = rows[start : start + step] @ slopes + offsets
            kernels = np.exp(scores - scores.max(1, keepdims=True))
            found[start : start + step] = kernels @ labels / kernels.sum(1, keepdims=True)
        return np.moveaxis(found.reshape(last.shape), -1, 1)

    @classmethod
    def fit(
        cls,
        prob: ArrayLike,
        labels: ArrayLike,
        *,
        keys_per_class: int = 64,
        ignore_index: int | None = None,
        seed: int = 0,
        bandwidth: float = 0.05,
        pixels: str = 'all',
        axis: int = 1,
    ) -> DirichletRecalibration:
        """Keys drawn from what a teacher predicts (N, C, *space) for images of these class ids (N, *space).

        axis: that of the classes, -1 in Keras. Each class gives at most ``keys_per_class`` pixels, drawn by the seed, whose
        weights are how many pixels of the class each stands for. Ignored pixels are no keys.
        """
        prob, labels = np.moveaxis(np.asarray(prob), axis, 1), np.asarray(labels)
        if labels.ndim == prob.ndim and 1 in (labels.shape[1], labels.shape[-1]):
            labels = labels[:, 0] if labels.shape[1] == 1 else labels[..., 0]
        if labels.shape != (prob.shape[0], *prob.shape[2:]):
            wanted = (prob.shape[0], *prob.shape[2:])
            raise ValueError(f'{OWNER}: labels must be {wanted} as prob is, got {labels.shape}')
        drawn = KeySampler(prob.shape[1], keys_per_class, ignore_index, seed)
        for one, ids in zip(prob, labels):
            drawn.add(one, ids)
        return cls(**drawn.keys(), bandwidth=bandwidth, pixels=pixels)

    def save(self, path: AnyPath) -> None:
        """Write the keys into an .npz file."""
        with replacing(path) as part, open(part, 'wb') as file:
            np.savez_compressed(file, **{name: getattr(self, name) for name in PARTS})

    @classmethod
    def load(cls, path: AnyPath, bandwidth: float = 0.05, pixels: str = 'all') -> DirichletRecalibration:
        """Of an .npz file that ``save`` wrote. FileNotFoundError, or ValueError for what is no such file."""
        said = f'{OWNER}: {path} holds no keys'
        with one_sentence(said, passing=FileNotFoundError), np.load(path, allow_pickle=False) as content:
            missing = [name for name in PARTS if name not in content]
            if missing:
                raise ValueError(f'it has no {missing[0]}')
            found = {name: content[name] for name in PARTS}
        return cls(**found, bandwidth=bandwidth, pixels=pixels)


class KeySampler:
    """Pixels drawn alike from all that are added, image by image, at most so many of each class."""

    def __init__(
        self, num_classes: int, keys_per_class: int = 64, ignore_index: int | None = None, seed: int = 0
    ) -> None:
        self.num_classes = check_parameter(OWNER, 'num_classes', Integer(low=2), num_classes)
        self.keys_per_class = check_parameter(OWNER, 'keys_per_class', Integer(low=1), keys_per_class)
        self.ignore_index = check_parameter(OWNER, 'ignore_index', Optional(Integer()), ignore_index)
        self.rng = np.random.default_rng(check_parameter(OWNER, 'seed', Integer(low=0), seed))
        self.kept: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty((0, num_classes)))] * num_classes
        self.seen = np.zeros(num_classes, np.int64)

    def add(self, prob: ArrayLike, labels: ArrayLike) -> None:
        """Probabilities (C, *space) of an image and its class ids (*space)."""
        prob, labels = np.asarray(prob), np.asarray(labels)
        if prob.shape[:1] != (self.num_classes,) or labels.shape != prob.shape[1:]:
            raise ValueError(
                f'{OWNER}: prob must be ({self.num_classes}, *space) and labels of its space, got {prob.shape} and {labels.shape}'
            )
        if labels.dtype.kind not in 'iu':
            raise TypeError(f'{OWNER}: labels must be integer class ids, got {labels.dtype}')
        ids, rows = labels.ravel(), prob.reshape(self.num_classes, -1)
        counts = np.ones(ids.shape, bool) if self.ignore_index is None else ids != self.ignore_index
        check_ids(OWNER, ids[None], counts[None], self.num_classes)
        for c in np.unique(ids[counts]):
            where = np.flatnonzero(ids == c)
            self.seen[c] += len(where)
            ranks, kept = self.kept[c]
            # the pixels of the lowest random ranks of all so far
            ranks = np.concatenate([ranks, self.rng.random(len(where))])
            chosen = np.argsort(ranks, kind='stable')[: self.keys_per_class]
            old, new = chosen[chosen < len(kept)], where[chosen[chosen >= len(kept)] - len(kept)]
            self.kept[c] = ranks[np.sort(chosen)], np.concatenate([kept[np.sort(old)], rows[:, np.sort(new)].T])

    def keys(self) -> dict[str, Any]:
        """key_prob, key_labels and key_weights of a recalibration, by name."""
        number = np.array([len(ranks) for ranks, _ in self.kept])
        if not number.any():
            raise ValueError(f'{OWNER}: no pixel has a label to be a key')
        labels = np.repeat(np.arange(self.num_classes), number)
        weights = (self.seen / np.maximum(number, 1))[labels]
        return dict(key_prob=np.concatenate([rows for _, rows in self.kept]), key_labels=labels, key_weights=weights)


def rows_at_once(keys: int) -> int:
    """How many pixels are computed at a time."""
    return max(1, WORK // keys)
