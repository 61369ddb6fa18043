"""The fused overlap statistics on the CPU: block by block, so that what lies between logits and sums stays in the cache.

Shapes: pred (N, C, P); target ids (N, P) or soft labels (N, C, P); weight None or (N, P), False or 0 where a pixel
does not count: there pred may be NaN or infinite and the target anything. How a block is treated depends on the
labels: two classes, few, many (``hard``), everything else (``dense``). Each way has ``labels``,
``probabilities``, ``sums``, ``keep_`` (what stays in the probabilities' memory until the backward pass) and
``gradient_`` (which turns that into d loss / d pred).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mmseg_plugin import values
from mmseg_plugin.kernels import workers
from mmseg_plugin.kernels.overlap.dense import Dense
from mmseg_plugin.kernels.overlap.hard import FewClasses, ManyClasses, TwoClasses

BLOCK = 2**19  # numbers of a block, of which the cache of a core holds a few
FEW = 12  # classes up to which a one-hot block is faster than reading and writing single entries


Place = tuple[slice, EllipsisType, slice]


class Part(NamedTuple):
    """What a block has beside logits: labels, uint8 mask (n, p), 0 where a pixel is absent, and weights if not those."""

    y: Tensor
    mask: Tensor | None = None
    weight: Tensor | None = None


if TYPE_CHECKING:

    class Way(Protocol):
        """How a block is treated; t is what ``probabilities`` gives beside x, and part None where no labels are needed."""

        rows: int
        takes_out: bool
        needs_labels: bool

        def labels(self, target: Tensor, mask: Tensor | None, c: int, dtype: torch.dtype) -> Tensor: ...

        def probabilities(self, z: Tensor, part: Part, out: Tensor | None) -> tuple[Tensor, Any]: ...

        def sums(self, x: Tensor, t: Any, part: Part) -> Tensor: ...

        def keep_(self, x: Tensor, part: Part) -> None: ...

        def gradient_(self, x: Tensor, t: Any, part: Any, g: Tensor) -> Tensor: ...


class Kept(NamedTuple):
    """What the forward leaves to ``gradient_``: x (N, C, P), true (N, P) or None, part of inputs that are one block."""

    way: Way
    x: Tensor
    true: Tensor | None
    part: Part | None


def forward(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    activation: str,
    flavour: str,
    keep: bool = False,
    logs: bool = False,
) -> tuple[Tensor, Kept | None]:
    """(3, N, C) tp, fp, fn in float64, and with ``keep`` what ``gradient_`` takes, else None; with logs (4, N, C)."""
    n, c, p = pred.shape
    way, dtype = way_of(target, activation, c, flavour, logs), work_dtype(pred.dtype)
    if n * c * p <= BLOCK:
        part = labels(way, target, weight, c, dtype)
        x, t = way.probabilities(pred.to(dtype), part, None)
        sums = (
            finite_sums(way, x, t, part)
            if is_sound_block(pred, target, weight, activation)
            else not_a_number(way.rows, n, c)
        )
        if keep:
            way.keep_(x, part)
        return sums, Kept(way, x, t, part) if keep else None
    sums = torch.zeros((way.rows, n, c), dtype=torch.float64)
    kept = torch.empty_like(pred, dtype=dtype) if keep else None
    true = torch.empty((n, p), dtype=dtype) if keep and way.takes_out else None

    @torch.no_grad()
    def sums_of(place: Place) -> Tensor | float:
        inputs = pred[place], target[place], weight if weight is None else weight[place]
        part = labels(way, *inputs[1:], c, dtype)
        x, t = way.probabilities(inputs[0].to(dtype), part, kept[place] if kept is not None else None)
        found = finite_sums(way, x, t, part) if is_sound_block(*inputs, activation) else torch.nan
        if keep:
            way.keep_(x, part)
        if true is not None:
            true[place] = t
        return found

    places = list(blocks(n, c, p))
    for place, found in zip(places, workers.each(sums_of, places)):
        sums[:, place[0]] += found
    return sums, Kept(way, kept, true, None) if kept is not None else None


def gradient_(kept: Kept, target: Tensor, weight: Tensor | None, grad: Tensor) -> Tensor:
    """d loss / d pred in the memory of kept.x; grad (3, N, C) is d loss / d (tp, fp, fn)."""
    way, x, t, part = kept
    n, c, p = x.shape
    if part is not None:
        return way.gradient_(x, t, part, grad.to(x.dtype))

    @torch.no_grad()
    def turn(place: Place) -> None:
        part = None
        if way.needs_labels:
            part = labels(way, target[place], weight if weight is None else weight[place], c, x.dtype)
        g = grad[:, place[0]].to(x.dtype)
        zero_absent_(way.gradient_(x[place], None if t is None else t[place], part, g), part)

    workers.run(turn, blocks(n, c, p))
    return x


def gradient(
    pred: Tensor, target: Tensor, weight: Tensor | None, grad: Tensor, activation: str, flavour: str
) -> Tensor:
    """d loss / d pred in pred's dtype, from probabilities that are computed again."""
    n, c, p = pred.shape
    way, dtype = way_of(target, activation, c, flavour), work_dtype(pred.dtype)
    result = torch.empty_like(pred)

    @torch.no_grad()
    def write(place: Place) -> None:
        part = labels(way, target[place], weight if weight is None else weight[place], c, dtype)
        x, t = way.probabilities(pred[place].to(dtype), part, None)
        way.keep_(x, part)
        result[place] = zero_absent_(way.gradient_(x, t, part, grad[:, place[0]].to(dtype)), part)

    workers.run(write, blocks(n, c, p))
    return result


def work_dtype(dtype: torch.dtype) -> torch.dtype:
    """What probabilities are computed in: the wider of float32 and ``dtype``."""
    return torch.promote_types(dtype, torch.float32)


def way_of(target: Tensor, activation: str, c: int, flavour: str, logs: bool = False) -> Way:
    """How blocks of these inputs are treated; logs: see ``has_logs``."""
    if target.dim() == 2 and activation == 'softmax' and flavour in ('product', 'exact'):
        return (TwoClasses if c == 2 else FewClasses if c <= FEW else ManyClasses)(flavour, logs)
    return Dense(activation, flavour)


def has_logs(target: Tensor, activation: str, c: int) -> bool:
    """Whether the sums of -log p of the true class can be had beside tp, fp, fn."""
    return target.dim() == 2 and activation == 'softmax' and c > 2


def blocks(n: int, c: int, p: int) -> Iterator[Place]:
    """Places [images, ..., pixels]: several whole images, or a part of one."""
    size = BLOCK
    images, pixels = max(1, size // max(1, c * p)), max(1, size // c)
    for i in range(0, n, images):
        for a in range(0, p, pixels):
            yield slice(i, i + images), ..., slice(a, a + pixels)


def labels(way: Way, target: Tensor, weight: Tensor | None, c: int, dtype: torch.dtype) -> Part:
    """The ``Part`` of a block."""
    mask = None
    if weight is not None and weight.dtype == torch.bool:
        mask, weight = weight.view(torch.uint8), None  # 4 times as fast as bool
    elif weight is not None:
        mask, weight = (weight != 0).view(torch.uint8), weight.to(dtype)
    return Part(way.labels(target, mask, c, dtype), mask, weight)


def is_sound_block(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str) -> bool:
    """Whether a block holds what it should; softmax of more than two classes shows by itself if it does not."""
    if target.dim() == 3 and not values.are_sound(target, weight, pred.shape[1]):
        return False
    return (activation == 'softmax' and pred.shape[1] != 2) or values.is_sound(pred, weight, activation)


def not_a_number(rows: int, n: int, c: int) -> Tensor:
    """Statistics of what is not sound."""
    return torch.full((rows, n, c), torch.nan, dtype=torch.float64)


def finite_sums(way: Way, x: Tensor, t: Tensor | None, part: Part) -> Tensor:
    """The block's sums, in which absent pixels have no part even where they are not finite."""
    sums = way.sums(x, t, part)
    if part.mask is None or finite(sums):
        return sums
    for held in (x, t, part.y):
        if held is not None and held.is_floating_point():
            zero_absent_(held, part)
    return way.sums(x, t, part)


def zero_absent_(x: Tensor, part: Part | None) -> Tensor:
    """x (n, p) or (n, C, p), in which 0 is written over what stands at absent pixels if any of it is not finite."""
    if part is not None and part.mask is not None and not finite(x):
        absent = part.mask == 0
        x.masked_fill_(absent if x.dim() == 2 else absent[:, None], 0)
    return x


def finite(x: Tensor) -> bool:
    return math.isfinite(x.sum().item())
