"""A block of the overlap statistics for any labels and activation, with a probability for every class and pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmseg_plugin.kernels.overlap.sums import from_the_others_, one_hot, softmax, softmax_gradient_

if TYPE_CHECKING:
    from mmseg_plugin.kernels.overlap.cpu import Part


class Dense:
    """x (n, C, p) probabilities, which are 0 at absent pixels, and y the labels of all classes likewise.

    ``exact`` takes 1 - p where p is near 1 from what it is the sum of: the other classes, or sigmoid's other side t.
    """

    takes_out, needs_labels = False, True
    rows = 3

    def __init__(self, activation: str, flavour: str) -> None:
        self.softmax, self.sigmoid = activation == 'softmax', activation == 'sigmoid'
        self.flavour, self.exact = flavour, flavour == 'exact'

    def labels(self, target: Tensor, mask: Tensor | None, c: int, dtype: torch.dtype) -> Tensor:
        if target.dim() == 2:
            return one_hot(target, mask, c, dtype)
        y = target.to(dtype)
        return y if mask is None else y * mask.to(dtype)[:, None]

    def probabilities(self, z: Tensor, part: Part, out: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(x, t): x in ``out`` where it is given, t (n, C, p) sigmoid's other side for ``exact``, else None."""
        masked = self.softmax and z.shape[1] != 2
        if masked:
            x = softmax(z, out, part.mask)
        elif self.softmax:
            x = two_classes(z, out, self.exact)
        elif self.sigmoid:
            x = torch.sigmoid(z, out=out)
        else:
            x = z.clone() if out is None else out.copy_(z)
        x = x if masked or part.mask is None else x.mul_(part.mask.to(x.dtype)[:, None])
        return x, torch.sigmoid(-z) if self.sigmoid and self.exact else None

    def sums(self, x: Tensor, t: Tensor | None, part: Part) -> Tensor:
        """fp and fn are sums of differences, so that few wrong pixels among many survive in float32."""
        y, w = part.y, part.weight
        if self.flavour == 'errors':
            error = (y - x).square_()
            missed = error * y
            return sums_of(w, missed, error.sub_(missed), y)
        both = torch.minimum(x, y) if self.flavour == 'metric' else x * y
        if self.exact:
            return sums_of(w, both, x - both, y * (self.complement(x) if t is None else t))
        if self.flavour == 'squared':
            return sums_of(w, both, x * x - both, y * y - both)
        return sums_of(w, both, x - both, torch.sub(y, both))

    def complement(self, x: Tensor) -> Tensor:
        """1 - x, accurate where it is small."""
        if not self.softmax:
            return 1 - x
        if x.shape[1] == 2:
            return x.flip(1)
        high = above_half(x)
        rest = (x - x * high).sum(1, keepdim=True)
        return torch.lerp(1 - x, rest, high)

    def keep_(self, x: Tensor, part: Part) -> None:
        pass

    def gradient_(self, x: Tensor, t: Tensor | None, part: Part, g: Tensor) -> Tensor:
        slope = self.slope(x, part.y, *g[:, :, :, None])
        if part.weight is not None:
            slope.mul_(part.weight[:, None])
        if self.softmax and x.shape[1] == 2:
            return two_classes_gradient_(x, slope)
        if self.softmax:
            high = above_half(x) if self.exact else None
            softmax_gradient_(x, slope)
            return x if high is None else from_the_others_(x, high)
        if self.sigmoid:
            return x.mul_(1 - x if t is None else t).mul_(slope)
        return x.copy_(slope if part.mask is None else slope.mul_(part.mask.to(x.dtype)[:, None]))

    def slope(self, x: Tensor, y: Tensor, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        """d loss / d x in new memory; d min(p, y) / dp is 1, 1/2 or 0."""
        if self.flavour == 'errors':
            return torch.addcmul(fp, y, tp - fp).mul_(x - y).mul_(2)
        difference = tp - fp - fn
        if self.flavour == 'metric':
            return torch.addcmul(fp + difference / 2, torch.sub(y, x).sign_(), difference / 2)
        if self.flavour == 'squared':
            return torch.mul(y, difference).addcmul_(x, 2 * fp)
        return torch.addcmul(fp, y, difference)


def two_classes(z: Tensor, out: Tensor | None, exact: bool) -> Tensor:
    """Softmax; without ``exact`` the first class's is 1 - p, whose error counts beside 1."""
    x = torch.empty_like(z) if out is None else out
    first, second = x.unbind(1)
    torch.sub(z[:, 1], z[:, 0], out=second)
    if exact:
        torch.neg(second, out=first)
        x.sigmoid_()
    else:
        torch.sub(x.new_ones(()), second.sigmoid_(), out=first)
    return x


def two_classes_gradient_(x: Tensor, slope: Tensor) -> Tensor:
    """``softmax_gradient_`` of two classes, in which nothing cancels."""
    first, second = x.unbind(1)
    second.mul_(first).mul_(slope[:, 1].sub_(slope[:, 0]))
    torch.neg(second, out=first)
    return x


def above_half(x: Tensor) -> Tensor:
    """1 where a class's probability exceeds 1/2, which at most one of a pixel does, else 0."""
    return torch.gt(x, 0.5, out=torch.empty_like(x))


def sums_of(w: Tensor | None, *terms: Tensor) -> Tensor:
    """(3, n, C) sums over pixels."""
    return torch.stack([(x if w is None else x * w[:, None]).sum(2) for x in terms]).double()
