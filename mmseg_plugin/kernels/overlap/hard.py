"""A block of the overlap statistics for softmax and class ids: two classes, few, many.

x (n, C, p) is what stands in the probabilities' memory, y the labels, g (3, n, C) d loss / d (tp, fp, fn). Sums are
those of the probabilities on and off the true class, so fn needs no 1 - p and both flavours have the same. With logs
there is a fourth, of -log p of the true class: no number where p is so small that its logarithm is better taken elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmseg_plugin.kernels.overlap.sums import from_the_others_, one_hot, products, softmax, softmax_gradient_

if TYPE_CHECKING:
    from mmseg_plugin.kernels.overlap.cpu import Part


LEAST = 1e-30


def surprise(t: Tensor) -> Tensor:
    """-log of the true class's probability."""
    return torch.where(t < LEAST, torch.inf, -t.log())


class TwoClasses:
    """Softmax is the sigmoid of the logits' difference: x holds the wrong class's and the true class's probability."""

    takes_out = needs_labels = False
    rows = 3

    def __init__(self, flavour: str, logs: bool = False) -> None:
        self.exact = flavour == 'exact'

    def labels(self, target: Tensor, mask: Tensor | None, c: int, dtype: torch.dtype) -> Tensor:
        return one_hot(target, mask, c, dtype)

    def probabilities(self, z: Tensor, part: Part, out: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = torch.empty_like(z) if out is None else out
        wrong, true = x.unbind(1)
        torch.sub(z[:, 0], z[:, 1], out=wrong).mul_(part.y[:, 1] - part.y[:, 0])
        if self.exact:
            torch.neg(wrong, out=true).sigmoid_()
            wrong.sigmoid_()
        else:
            torch.sub(x.new_ones(()), wrong.sigmoid_(), out=true)
        return x, None

    def sums(self, x: Tensor, t: Tensor | None, part: Part) -> Tensor:
        y = part.y if part.weight is None else part.y * part.weight[:, None]
        fn, tp = products(y, x).unbind(2)
        return torch.stack([tp, fn.flip(1), fn])

    def keep_(self, x: Tensor, part: Part) -> None:
        """Leaves weight * p (1 - p) at the true class and 0 at the other, which is all that the gradient needs."""
        slope = x[:, 0] * x[:, 1]
        slope = slope if part.weight is None else slope.mul_(part.weight)
        torch.mul(part.y, slope[:, None], out=x)

    def gradient_(self, x: Tensor, t: Tensor | None, part: Part, g: Tensor) -> Tensor:
        """Of what ``keep_`` left; the gradients of the two logits are opposite numbers."""
        a = (g[0] - g[2] - g[1].flip(1))[:, :, None]
        x[:, 1].mul_(a[:, 1]).addcmul_(x[:, 0], a[:, 0], value=-1)
        torch.neg(x[:, 1], out=x[:, 0])
        return x


class FewClasses:
    """All sums are entries of the product of one-hot labels and probabilities, classes by classes."""

    takes_out, needs_labels = False, True

    def __init__(self, flavour: str, logs: bool = False) -> None:
        self.exact, self.logs, self.rows = flavour == 'exact', logs, 4 if logs else 3

    def labels(self, target: Tensor, mask: Tensor | None, c: int, dtype: torch.dtype) -> Tensor:
        return one_hot(target, mask, c, dtype)

    def probabilities(self, z: Tensor, part: Part, out: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Absent pixels have theirs as well; their labels are 0, so that no finite one adds to a sum."""
        return softmax(z, out), None

    def sums(self, x: Tensor, t: Tensor | None, part: Part) -> Tensor:
        y = part.y if part.weight is None else part.y * part.weight[:, None]
        table = products(y, x)
        tp = table.diagonal(dim1=1, dim2=2).clone()
        table.diagonal(dim1=1, dim2=2).zero_()
        rows = [tp, table.sum(1), table.sum(2)]
        if self.logs:
            true = (x * part.y).sum(1, keepdim=True)
            true = true if part.mask is None else true + (part.mask == 0)[:, None]
            rows.append(products(y, surprise(true))[:, :, 0])
        return torch.stack(rows)

    def keep_(self, x: Tensor, part: Part) -> None:
        pass

    def gradient_(self, x: Tensor, t: Tensor | None, part: Part, g: Tensor) -> Tensor:
        """Where p of the true class is near 1, ``exact`` takes its part from the others': together they are 0."""
        slopes = g[1][:, :, None] + torch.diag_embed(g[0] - g[1] - g[2])
        slope = torch.bmm(slopes.expand(len(x), -1, -1), part.y)
        beside = None
        if self.logs:  # -log p_y has the slopes p_c and p_y - 1
            of_log = torch.bmm(g[3][:, None].expand(len(x), -1, -1), part.y)
            of_log = of_log if part.weight is None else of_log.mul_(part.weight[:, None])
            beside = (x - part.y).mul_(of_log)
        softmax_gradient_(x, slope if part.weight is None else slope.mul_(part.weight[:, None]))
        if beside is not None:
            x.add_(beside)
        return from_the_others_(x, part.y) if self.exact else x


class ManyClasses:
    """The true class's probabilities t (n, p) are taken out of x, which makes no one-hot labels and cancels nothing."""

    takes_out = needs_labels = True

    def __init__(self, flavour: str, logs: bool = False) -> None:
        self.logs, self.rows = logs, 4 if logs else 3

    def labels(self, target: Tensor, mask: Tensor | None, c: int, dtype: torch.dtype) -> Tensor:
        return target.long().clamp(0, c - 1)  # a pixel of no class does not count, or makes the sums NaN

    def probabilities(self, z: Tensor, part: Part, out: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = softmax(z, out, part.mask)
        t = x.gather(1, part.y[:, None])
        x.scatter_(1, part.y[:, None], 0)
        return x, t[:, 0]

    def sums(self, x: Tensor, t: Tensor, part: Part) -> Tensor:
        n, c, _ = x.shape
        y, maps, fp = part.y, [t, x.sum(1)], x
        if self.logs:
            maps.append(surprise(t if part.mask is None else t + (part.mask == 0)))
        if part.weight is not None:
            maps, fp = [v * part.weight for v in maps], x * part.weight[:, None]
        cell = (y if n == 1 else y + torch.arange(0, n * c, c)[:, None]).flatten()
        tp, *others = (torch.bincount(cell, v.flatten(), n * c).reshape(n, c) for v in maps)
        return torch.stack([tp, fp.sum(2).double(), *others])

    def keep_(self, x: Tensor, part: Part) -> None:
        pass

    def gradient_(self, x: Tensor, t: Tensor, part: Part, g: Tensor) -> Tensor:
        """dz_c = p_c (a_c - s) and dz_y = p_y (b_y q - r); r, q: sums of a p and of p off the true class, s = r + p_y b_y."""
        y, a, b = part.y, g[1], g[0] - g[2]
        r, q = torch.matmul(torch.stack([a, torch.ones_like(a)], 1), x).unbind(1)
        b = b[0][y] if len(b) == 1 else b.gather(1, y)
        s, at_true = torch.addcmul(r, t, b), t * (b * q - r)
        if self.logs:  # -log p_y has the slopes p_c and p_y - 1 = -q
            of_log = g[3][0][y] if len(g[3]) == 1 else g[3].gather(1, y)
            s, at_true = s - of_log, at_true - of_log * q
        x.mul_(a[:, :, None] - s[:, None])
        x.scatter_(1, y[:, None], at_true[:, None])
        return x if part.weight is None else x.mul_(part.weight[:, None])
