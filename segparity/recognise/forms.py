"""The losses that a search knows, each as columns of numbers of which the loss is a weighted sum."""

import dataclasses
import functools

import numpy as np

from segparity.recognise.sums import Cells, Sums


@dataclasses.dataclass(frozen=True)
class Region:
    """A mean over cells of a function of s = (tp + upper) / (tp + alpha*fp + beta*fn + lower), product overlap.

    cells: 'D', 'I' (in both by class), 'pooled D', 'pooled I' (all classes one cell), 'pixels'. counting: 'all' cells,
    those whose class is 'present', or 'masked': absent ones cost nothing, but stay in the mean. means: sums are means over
    pixels. transform: 'linear' 1 - s, 'power' (1 - s)^power, 'log' -log s; 'then ...': of the mean. dropped: without class 0.
    """

    norm: int = 1
    cells: str = 'D'
    counting: str = 'all'
    means: bool = False
    transform: str = 'linear'
    dropped: bool = False
    pred: str = 'prob'

    @functools.cached_property
    def starts(self) -> list[list[float]]:
        """Where a fit starts: log upper, log lower, alpha, beta, and the power where there is one."""
        power = [0.75] if self.transform in ('power', 'then power') else []
        scale = -3.5 if self.means else 0.0
        decades = [5 * 10.0**k for k in (1, 0, -1, -2, -3, -4, -5, -6, -7, -8)]
        smooth = [(np.log(s) + scale, np.log(s) + scale) for s in decades] + [(np.log(1e-12), np.log(1e-5))]
        return [[*s, *ab, *power] for s in smooth for ab in ((0.5, 0.5), (1.0, 1.0), (0.3, 0.7), (0.7, 0.3))]

    def columns(self, sums: Sums, theta: np.ndarray) -> np.ndarray:
        """theta (B, T) -> (B, K, J): of each class, or one."""
        of = sums.cells(self.norm, self.cells, self.means, self.pred)
        parameters = theta.T[:, :, None, None, None]
        power = parameters[4] if len(parameters) > 4 else 1.0
        s = score(of, *np.exp(np.clip(parameters[:2], -80, 20)), *parameters[2:4])
        if self.transform == 'log':
            loss = -np.log(np.maximum(s, 1e-300))
        elif self.transform == 'power':
            loss = np.maximum(1 - s, 0) ** power
        else:
            loss = 1 - s
        by_class = self.mean(of, loss)
        if not self.transform.startswith('then'):
            return by_class
        mean = by_class[..., 1 if self.dropped else 0 :].mean(2, keepdims=True)
        if self.transform == 'then log cosh':
            return np.log(np.cosh(np.clip(mean, -300, 300)))
        if self.transform == 'then log':
            return -np.log(np.maximum(1 - mean, 1e-300))
        return np.maximum(mean, 0) ** np.squeeze(power, 3)

    def mean(self, of: Cells, loss: np.ndarray) -> np.ndarray:
        """(B, K, M, C) -> (B, K, C), whose mean over classes is the loss."""
        counts = of.counts[:, :, None]
        if self.counting == 'all':
            return (loss * (counts / counts.sum(1, keepdims=True))).sum(2)
        here = counts * of.present
        classes = loss.shape[3]
        if self.counting == 'masked':
            return (loss * here).sum(2) / counts.sum(1)
        if self.counting == 'present of class':  # over the images of a class, then over classes
            there = here.any(1)
            mean = (loss * here).sum(2) / np.maximum(here.sum(1), 1)
            return mean * there * classes / np.maximum(there.sum(1, keepdims=True), 1)
        share = here / np.maximum(here.sum(2, keepdims=True), 1)
        there = here.any(2).sum(1)[:, None]  # images in which a class counts
        return (loss * share).sum(2) * classes / np.maximum(there, 1)


def score(of: Cells, upper: np.ndarray, lower: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """(B, K, M, C); 0/0 is 1."""
    bottom = of.tp * (1 - alpha - beta) + alpha * of.p + beta * of.y + lower
    zero = np.abs(bottom) <= 1e-300
    return np.where(zero, 1.0, (of.tp + upper) / np.where(zero, 1, bottom))


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy by classes: columns of -y log p, of -(1 - y) log(1 - p) where ``binary``, and with smoothed labels.

    reduce: over pixels 'mean', 'sum', or 'image sum', the mean over images. normalised: divided by the summed class
    weights of the pixels. focal: times (1 - p)^power. twice: on the sigmoid, or softmax, of what is a probability.
    error: 'squared' or 'absolute', of the probabilities, or 'hard', the share of wrong pixels, in place of a logarithm.
    """

    binary: bool
    smoothing: bool = False
    reduce: str = 'mean'
    normalised: bool = False
    focal: bool = False
    twice: bool = False
    error: str = ''

    def starts(self, channels: int) -> list[list[float]]:
        if self.normalised:
            return [[0.0] * (max(channels, 2) - 1)]
        return [[2.0]] if self.focal else [[]]

    def columns(self, sums: Sums, theta: np.ndarray) -> np.ndarray:
        """theta (B, T) -> (B, K, J)."""
        if theta.shape[1] == 0:
            return np.broadcast_to(sums.kept(self, self._columns), (len(theta), *sums.kept(self, self._columns).shape))
        return np.stack([self._columns(sums, one) for one in theta])

    def _columns(self, sums: Sums, theta: np.ndarray) -> np.ndarray:
        y, p = sums.target, np.where(sums.valid[:, :, None] > 0, sums.prob, 0.5)
        if self.twice:
            p = 1 / (1 + np.exp(-p)) if self.binary else np.exp(p) / np.exp(p).sum(2, keepdims=True)
        if self.error:
            apart = np.abs((sums.of_pred('hard') if self.error == 'hard' else p) - y)
            return sums.mean(apart**2 if self.error == 'squared' else apart)
        log_p, log_q = np.log(p), np.log1p(-p)
        if self.normalised:
            w = np.exp(np.concatenate([[0.0], theta]))
            if sums.prob.shape[2] == 1:
                y, log_p = np.concatenate([1 - y, y], 2), np.concatenate([log_q, log_p], 2)
            size = sums.mean(y * w[:, None], 'sum').sum(1)
            both = [-y * w[:, None] * log_p] + ([-w[:, None] * log_p] if self.smoothing else [])
            return np.stack([sums.mean(x, 'sum').sum(1) / size for x in both], 1)
        power = theta[0] if self.focal else 0.0
        maps = [-y * log_p * (1 - p) ** power]
        if self.binary:
            maps.append(-(1 - y) * log_q * p**power)
        if self.smoothing:
            maps.append(-log_p)
            if self.binary:
                maps.append(-log_q)
        return np.concatenate([sums.mean(x, self.reduce) for x in maps], 1)
