"""tp, |p| and |y| of the probes, over whatever cells a loss may add them up."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from segparity.recognise.probes import Probe

EVERY_CELL = 'D', 'I', 'pooled D', 'pooled I', 'pixels'


class Cells(NamedTuple):
    """Of K probes, M cells and C classes (1 where they are pooled): each (K, M, C); counts (K, M): cells that exist."""

    tp: np.ndarray
    p: np.ndarray
    y: np.ndarray
    counts: np.ndarray
    present: np.ndarray  # (K, M, C) whether a class has a labelled pixel there


class Sums:
    """The probes of one search, padded to one shape: prob, target (K, N, C, P), valid (K, N, P)."""

    def __init__(self, probes: list[Probe], clip: float = 0.0) -> None:
        self.probes = probes
        n = max(p.prob.shape[0] for p in probes)
        pixels = max(p.prob[0, 0].size for p in probes)
        shape = len(probes), n, probes[0].channels, pixels
        self.prob, self.target, self.valid = np.zeros(shape), np.zeros(shape), np.zeros((len(probes), n, pixels))
        self.known: dict[Any, Any] = {}
        for k, probe in enumerate(probes):
            images, c = probe.prob.shape[:2]
            size = probe.prob[0, 0].size
            self.prob[k, :images, :, :size] = np.clip(probe.prob, clip, 1 - clip).reshape(images, c, size)
            self.target[k, :images, :, :size] = probe.target.reshape(images, c, size)
            self.valid[k, :images, :size] = 1
        self.images = np.array([p.prob.shape[0] for p in probes], float)
        self.pixels = np.array([p.prob[0, 0].size for p in probes], float)  # of an image
        self.small = np.array([p.small for p in probes])

    def kept(self, key: Any, columns: Callable[['Sums', np.ndarray], np.ndarray]) -> np.ndarray:
        """What ``columns`` gives without parameters, computed once."""
        if key not in self.known:
            self.known[key] = columns(self, np.zeros(0))
        found: np.ndarray = self.known[key]
        return found

    def cells(self, norm: int, kind: str, means: bool, pred: str) -> Cells:
        """The sums of one kind; ``means`` divides them by the number of pixels; ``pred``: 'prob', 'hard', 'over half', 'logits'."""
        key = norm, kind, means, pred
        if key not in self.known:
            self.known[key] = self._cells(norm, kind, means, pred)
        found: Cells = self.known[key]
        return found

    def _cells(self, norm: int, kind: str, means: bool, pred: str) -> Cells:
        y, v = self.target, self.valid[:, :, None]
        p = self.of_pred(pred)
        sums = [
            v * p * y,
            v * np.abs(p) ** norm if norm > 1 else v * p,
            v * y**norm,
            v * (y > 0.01),
            v * np.ones_like(y),
        ]
        if kind == 'pixels':
            tp, sp, sy, present, size = (
                s.sum(2, keepdims=True).transpose(0, 1, 3, 2).reshape(len(y), -1, 1) for s in sums
            )
        else:
            tp, sp, sy, present, size = (s.sum(3) for s in sums)
            if kind in ('D', 'pooled D'):
                tp, sp, sy, present, size = (s.sum(1, keepdims=True) for s in (tp, sp, sy, present, size))
            if kind.startswith('pooled'):
                tp, sp, sy, present, size = (s.sum(2, keepdims=True) for s in (tp, sp, sy, present, size))
        exists = size[..., 0] > 0
        if means:
            size = np.where(size > 0, size, 1)
            tp, sp, sy = tp / size, sp / size, sy / size
        return Cells(tp, sp, sy, exists.astype(float), present > 0)

    def of_pred(self, pred: str) -> np.ndarray:
        """(K, N, C, P) what stands for p in the sums."""
        if pred == 'over half':
            return (self.prob > 0.5).astype(float)
        if pred == 'hard':
            c = self.prob.shape[2]
            return (self.prob > 0.5).astype(float) if c == 1 else np.eye(c)[self.prob.argmax(2)].transpose(0, 1, 3, 2)
        if pred == 'logits':
            p = np.where(self.valid[:, :, None] > 0, self.prob, 0.5)
            return np.log(p) - np.log1p(-p)
        return self.prob

    def mean(self, x: np.ndarray, reduce: str = 'mean') -> np.ndarray:
        """(K, N, C, P) or (K, N, P) pixel losses -> (K, C) or (K,): their mean over pixels, 'sum', or 'image sum'."""
        x = np.where(self.valid if x.ndim == 3 else self.valid[:, :, None], x, 0)
        total = x.sum((1, -1))
        size = {'mean': self.images * self.pixels, 'sum': np.ones_like(self.images), 'image sum': self.images}[reduce]
        return total / (size[:, None] if total.ndim == 2 else size)
