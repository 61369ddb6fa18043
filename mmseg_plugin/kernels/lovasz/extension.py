"""The Lovasz extension of the Jaccard loss in PyTorch: sums of sorted errors times increments, and their gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import accumulator_dtype, ratio
from mmseg_plugin.distributed import gather
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.lovasz import rows as in_numpy
from mmseg_plugin.kernels.lovasz.counts import Pixels, count_rows
from mmseg_plugin.values import is_transformed

TELLS = hasattr(torch.compiler, 'is_compiling')  # PyTorch 2.3: whether a call is compiled
SORTED = 2**16  # pixels of several ranks that are gathered and sorted; of more than that counts are added up
BLOCK = 2**20  # pixels (of any class) that PyTorch sorts together: what that needs beside the logits stays small
CHUNK = 2**20  # numbers of the gradient that are computed together, or a sixteenth of them


def jaccard_increments(errors: Tensor, signed: Tensor) -> Tensor:
    """(rows, P) how much each pixel adds to its row's Jaccard loss when pixels turn wrong in order of falling errors.

    errors (rows, P); signed (rows, P): the weight of a pixel, negative outside the class. No two close numbers are
    subtracted: a pixel of the class adds w/U, another one I*w/(U_before*U), the first of a class without a pixel 1.
    """
    order = errors.argsort(1, descending=True)
    signed = signed.gather(1, order).to(accumulator_dtype(signed))  # in float64 counts above 2^24 are exact
    weight, inside = signed.abs(), signed.clamp(min=0)
    found = inside.cumsum(1)
    total = found[:, -1:]
    union = total + (weight - inside).cumsum(1)
    before = torch.cat([total, union[:, :-1]], 1)
    share = torch.where(signed > 0, 1, ratio(total - found, before))
    increments = ratio(weight, union, 0.0) * share
    return torch.empty_like(increments).scatter_(1, order, increments)


class Ranks(NamedTuple):
    """The ranks whose pixels are one batch.

    sizes: how many pixels each of them has; rank: which one this is; counted: whether all weights are 1, or 0.
    """

    sizes: Sequence[int]
    rank: int = 0
    counted: bool = False

    @property
    def pixels(self) -> int:
        return sum(self.sizes)

    def join(self, own: Tensor) -> Tensor:
        """(rows, pixels of all ranks) from this rank's ``own`` (rows, pixels)."""
        whole = gather(functional.pad(own, (0, max(self.sizes) - own.shape[1])))
        return torch.cat([part[:, :size] for part, size in zip(whole, self.sizes)], 1)

    def own(self, joined: Tensor) -> Tensor:
        """This rank's pixels of (rows, pixels of all ranks)."""
        return joined.split(list(self.sizes), 1)[self.rank]


class Rows:
    """The pixels that are sorted together, for each of G groups, an image or all of them, and each of C classes.

    x and slope (G, C, n, P), labels (G, n, P) ids or (G, C, n, P), weight (G, n, P): views of what a batch holds.
    """

    def __init__(
        self, x: Tensor, slope: Tensor, labels: Tensor, weight: Tensor, per_image: bool, even: bool = False
    ) -> None:
        """even: whether it is known that all pixels that count weigh the same."""

        def grouped(t: Tensor) -> Tensor:
            if per_image:
                return t.unsqueeze(-2)
            return (t.transpose(0, 1) if t.dim() == 3 else t).unsqueeze(0)

        self.x, self.slope, self.labels, self.weight = (grouped(t) for t in (x, slope, labels, weight))
        self.even, self.pixels = even, self.x.shape[2] * self.x.shape[3]
        self.span = (self.slope.shape[2] - 1) * self.slope.stride(2) + self.slope.shape[3]

    def cells(self, classes: Sequence[int]) -> list[tuple[int, int]]:
        return [(g, k) for g in range(len(self.x)) for k in classes]

    def equally_weighted(self) -> bool:
        """Whether the pixels of a group that count all weigh the same; looks at the values."""
        w = self.weight.flatten(1)
        return self.even or not w.numel() or bool(((w <= 0) | (w == w.amax(1, keepdim=True))).all())


def solve(rows: Rows, hinge: bool, classes: Sequence[int], present: bool, softmax: bool) -> Tensor:
    """(G, C) sums of error times increment; the derivatives by x go to the slope of the rows.

    present: an absent class does not count, and may give 0; softmax: whether x adds up to 1 over the classes.
    """
    quick = rows.x.device.type == 'cpu' and rows.x.dtype == torch.float32
    if quick and rows.span <= in_numpy.LONGEST and rows.equally_weighted():
        return solve_in_numpy(rows, hinge, classes, present, softmax)
    return solve_blocks(rows, hinge, classes)


def solve_joined(rows: Rows, hinge: bool, classes: Sequence[int], present: bool, softmax: bool, ranks: Ranks) -> Tensor:
    """``solve`` of the one group of pixels of all ranks, which every rank gathers and sorts."""
    x, labels, weight = rows.x[0].flatten(1), rows.labels[0].flatten(-2), rows.weight[0].reshape(1, -1)
    labels = labels if labels.dim() == 2 else labels[None]
    whole = ranks.join(torch.cat([x, labels.to(x.dtype), weight]))
    x, labels, weight = (t[None] for t in whole.split([len(x), len(labels), 1]))
    labels = labels if rows.labels.dim() == 4 else labels[:, 0].long()
    slope = torch.zeros_like(x)
    sums = solve(Rows(x, slope, labels, weight[:, 0], False), hinge, classes, present, softmax)
    rows.slope.copy_(ranks.own(slope[0]).reshape(rows.slope.shape))
    return sums


def solve_by_counting(rows: Rows, hinge: bool, classes: Sequence[int], activation: str | None, ranks: Ranks) -> Tensor:
    """``solve`` of the one group of pixels of all ranks from counts, see ``counts``; activation: which made x."""
    x, slope, labels = (t[0].transpose(0, 1) if t.dim() == 4 else t[0] for t in (rows.x, rows.slope, rows.labels))
    pixels = Pixels(x, slope, labels, rows.weight[0], activation, hinge, classes, ranks.counted)
    return count_rows(pixels, ranks.pixels).to(x.dtype)[None]


def solve_blocks(rows: Rows, hinge: bool, classes: Sequence[int]) -> Tensor:
    """``solve`` by PyTorch's sort, in the dtype of x."""
    losses = rows.x.new_zeros(rows.x.shape[:2])
    cells = torch.tensor(rows.cells(classes), dtype=torch.long, device=losses.device).reshape(-1, 2)
    for block in cells.split(max(1, BLOCK // max(rows.pixels, 1))):
        g, k = block.T
        dense = rows.labels.dim() == 4
        w, inside = rows.weight[g], rows.labels[g, k] > 0 if dense else rows.labels[g] == k[:, None, None]
        z = torch.where(w != 0, rows.x[g, k], 0)  # an ignored pixel may hold anything, not a number too
        turned = torch.where(inside, -z, z)
        errors = (1 + turned).relu() if hinge else inside + turned
        flat = errors.flatten(1)
        increments = jaccard_increments(flat, torch.where(inside, w, -w).flatten(1)).to(z.dtype)
        losses[g, k] = (flat * increments).sum(1)
        increments = increments.reshape(z.shape)
        if hinge:
            increments = torch.where(errors > 0, increments, 0)
        rows.slope[g, k] = torch.where(inside, -increments, increments)
    return losses


def solve_in_numpy(rows: Rows, hinge: bool, classes: Sequence[int], present: bool, softmax: bool) -> Tensor:
    """``solve`` on the CPU, for float32 and equal weights."""
    x, slope, labels, valid = (t.numpy() for t in (rows.x, rows.slope, rows.labels, rows.weight != 0))

    def inside(g: int, k: int) -> np.ndarray:
        return labels[g, k] > 0 if labels.ndim == 4 else labels[g] == k

    cells, threads = rows.cells(classes), torch.get_num_threads()
    opposites = softmax and len(classes) == x.shape[1] == 2 and labels.ndim == 3
    losses = in_numpy.solve_rows(x, inside, valid, hinge, cells, present, slope, threads, opposites)
    return rows.x.new_tensor(losses)


class LovaszExtension(torch.autograd.Function):
    """(G, C) the sums of error times increment, of G = N images or of the one batch; increments are constants.

    Turns logits into probabilities itself, so that these and the slopes by them are all that is kept and made.
    """

    @staticmethod
    def forward(
        ctx: Any,
        given: Tensor,
        batch: Batch,
        activation: str | None,
        hinge: bool,
        spec: Any,
        classes: Sequence[int],
        ranks: Ranks,
    ) -> Tensor:
        """given (N, C, P): that of the batch; activation: 'softmax', 'sigmoid' or None; classes: those that count."""
        x = given.detach().to(batch.dtype) if activation != 'softmax' else given.softmax(1, dtype=batch.dtype)
        x = x.sigmoid() if activation == 'sigmoid' else x
        slope = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
        rows = Rows(x, slope, batch.labels, batch.weight, spec.per_image, has_no_weights(batch))
        way = spec.classes in ('auto', 'present'), activation == 'softmax'
        if len(ranks.sizes) == 1:
            sums = solve(rows, hinge, classes, *way)
        elif ranks.pixels <= SORTED:
            sums = solve_joined(rows, hinge, classes, *way, ranks)
        else:
            sums = solve_by_counting(rows, hinge, classes, activation, ranks)
        ctx.owner, ctx.activation, ctx.dtype, ctx.ranks = type(spec).__name__, activation, given.dtype, len(ranks.sizes)
        ctx.save_for_backward(slope, x if activation else None, batch.weight != 0)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(f'{ctx.owner}: has no second derivatives, take the first without create_graph=True')
        slope, prob, counts = ctx.saved_tensors
        grad = grad.to(slope.dtype)[:, :, None] * ctx.ranks  # as DDP will average the ranks' gradients
        if not ctx.activation:
            return (slope * grad).to(ctx.dtype), None, None, None, None, None, None
        result = torch.empty(slope.shape, dtype=ctx.dtype, device=slope.device)
        n, c, pixels = slope.shape
        step = max(1, CHUNK // max(n * c, 1), -(-pixels // 16))
        for part in (slice(a, a + step) for a in range(0, pixels, step)):
            own, p = slope[..., part] * grad, prob[..., part]
            if ctx.activation == 'softmax' and c == 2:  # the logits of two classes have opposite derivatives
                own = (own[:, :1] - own[:, 1:]).mul_(p[:, :1]).mul_(p[:, 1:])
                own = torch.where(counts[:, None, part], own, 0)
                result[:, :1, part], result[:, 1:, part] = own, -own
                continue
            own = own.sub_((own * p).sum(1, keepdim=True)) if ctx.activation == 'softmax' else own.mul_(1 - p)
            result[..., part] = torch.where(counts[:, None, part], own.mul_(p), 0)
        return result, None, None, None, None, None, None


def lovasz_sums(batch: Batch, hinge: bool, spec: Any, classes: Sequence[int], ranks: Ranks) -> Tensor:
    """(G, C) sums of error times increment of a batch, see ``LovaszExtension``; a compiled model runs them eagerly."""
    call = batch, hinge, spec, classes, ranks
    if TELLS and not torch.compiler.is_compiling():
        return sums_of_errors(*call)
    return torch.compiler.disable(sums_of_errors)(*call)  # not above, where it would import the compiler


def sums_of_errors(batch: Batch, hinge: bool, spec: Any, classes: Sequence[int], ranks: Ranks) -> Tensor:
    """``lovasz_sums``, without a look at who calls."""
    if is_transformed() and len(ranks.sizes) == 1:
        return sums_in_autograd(batch, hinge, spec.per_image, classes)
    activation = ('softmax' if batch.softmax else 'sigmoid') if batch.logits and not hinge else None
    return LovaszExtension.apply(batch.given, batch, activation, hinge, spec, classes, ranks)


def sums_in_autograd(batch: Batch, hinge: bool, per_image: bool, classes: Sequence[int]) -> Tensor:
    """``lovasz_sums`` in PyTorch's own operators, which torch.func and forward-mode differentiation know."""
    x, w = (batch.pred if hinge else batch.prob)[:, classes], batch.weight
    ids = torch.as_tensor(classes, dtype=torch.long, device=x.device)
    dense = batch.labels.dim() == 3
    inside = batch.labels[:, classes] > 0 if dense else batch.labels[:, None] == ids[:, None]
    turned = torch.where(inside, -x, x)
    errors = (1 + turned).relu() if hinge else inside + turned
    w = w[:, None].expand_as(errors)
    errors = torch.where(w != 0, errors, errors.detach() * 0)
    if not per_image:
        errors, inside, w = (t.transpose(0, 1).flatten(1)[None] for t in (errors, inside, w))
    signed = torch.where(inside, w, -w).flatten(0, 1)
    increments = jaccard_increments(errors.detach().flatten(0, 1), signed).to(errors.dtype)
    sums = (errors * increments.reshape(errors.shape)).sum(2)
    return sums.new_zeros(len(sums), batch.channels).index_copy(1, ids, sums)


def pixels_of_classes(batch: Batch) -> Tensor | None:
    """(N, C) the weight of the pixels of each class of each image; None without class ids."""
    if batch.labels.dim() != 2:
        return None
    if len(batch.labels) and has_no_weights(batch):
        return count_labels(batch).to(batch.dtype)
    ids = batch.labels.long()
    ids = torch.where((batch.weight != 0) & (ids >= 0) & (ids < batch.channels), ids, batch.channels)
    size = batch.weight.new_zeros(len(ids), batch.channels + 1).scatter_add_(1, ids, batch.weight.clamp(min=0))
    return torch.where(size.isnan().any(1, keepdim=True), torch.nan, size[:, :-1])  # which hides nothing


def has_no_weights(batch: Batch) -> bool:
    """Whether a pixel counts or does not, and all else is seen to be right."""
    batch.look()
    return batch.visible and (batch.pixel_weight is None or batch.pixel_weight.dtype == torch.bool)


def count_labels(batch: Batch) -> Tensor:
    """(N, C) int64, of labels that were looked at."""
    ids, c = batch.labels, batch.channels
    if batch.pixel_weight is not None:
        fits = c <= torch.iinfo(ids.dtype).max
        ids = torch.where(batch.pixel_weight, ids if fits else ids.long(), c)
    return torch.stack([torch.bincount(own, minlength=c + 1)[:c] for own in ids])
