"""The Lovasz extension of the Jaccard loss in PyTorch: sums of sorted errors times increments, and their gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import accumulator_dtype, ratio
from mmseg_plugin.distributed import gather
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.lovasz import rows as in_numpy

TELLS = hasattr(torch.compiler, 'is_compiling')  # PyTorch 2.3: whether a call is compiled
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


class Ranks:
    """The pixels of all ranks: ``join`` gathers rows (rows, P) of each rank, ``own`` cuts this rank's part out again."""

    def __init__(self, sizes: Sequence[int], rank: int = 0) -> None:
        """sizes: how many pixels each rank has."""
        self.sizes, self.rank = sizes, rank
        self.number, self.largest = len(sizes), max(sizes)
        self.pixels = self.number * self.largest

    def join(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Each of ``rows`` with the pixels of all ranks, padded to the largest rank with pixels of weight 0."""
        if self.number == 1:
            return rows
        own = functional.pad(torch.stack(rows), (0, self.largest - self.sizes[self.rank]))
        return torch.cat(gather(own), 2).unbind()

    def own(self, rows: Tensor) -> Tensor:
        return rows[:, self.rank * self.largest :][:, : self.sizes[self.rank]]


class Rows:
    """The pixels that are sorted together, for each of G groups, an image or all of them, and each of C classes.

    x and slope (G, C, n, P), labels (G, n, P) ids or (G, C, n, P), weight (G, n, P): views of what a batch holds.
    """

    def __init__(self, batch: Batch, x: Tensor, slope: Tensor, per_image: bool) -> None:
        def grouped(t: Tensor) -> Tensor:
            if per_image:
                return t.unsqueeze(-2)
            return (t.transpose(0, 1) if t.dim() == 3 else t).unsqueeze(0)

        self.x, self.slope, self.labels, self.weight = (grouped(t) for t in (x, slope, batch.labels, batch.weight))
        self.pixels = self.x.shape[2] * self.x.shape[3]
        self.span = (self.slope.shape[2] - 1) * self.slope.stride(2) + self.slope.shape[3]

    def cells(self, classes: Sequence[int]) -> list[tuple[int, int]]:
        return [(g, k) for g in range(len(self.x)) for k in classes]

    def equally_weighted(self) -> bool:
        """Whether the pixels of a group that count all weigh the same; looks at the values."""
        w = self.weight.flatten(1)
        return not w.numel() or bool(((w <= 0) | (w == w.amax(1, keepdim=True))).all())


def solve_blocks(rows: Rows, hinge: bool, classes: Sequence[int], ranks: Ranks) -> Tensor:
    """(G, C) sums of error times increment, of all ranks; the derivatives by x go to the slope of the rows."""
    losses = rows.x.new_zeros(rows.x.shape[:2])
    cells = torch.tensor(rows.cells(classes), dtype=torch.long, device=losses.device).reshape(-1, 2)
    for block in cells.split(max(1, BLOCK // max(ranks.pixels, 1))):
        g, k = block.T
        dense = rows.labels.dim() == 4
        w, inside = rows.weight[g], rows.labels[g, k] > 0 if dense else rows.labels[g] == k[:, None, None]
        z = torch.where(w != 0, rows.x[g, k], 0)  # an ignored pixel may hold anything, not a number too
        turned = torch.where(inside, -z, z)
        errors = (1 + turned).relu() if hinge else inside + turned
        joined = ranks.join(*(t.flatten(1) for t in (errors, torch.where(inside, w, -w))))
        increments = jaccard_increments(*joined).to(z.dtype)
        losses[g, k] = (joined[0] * increments).sum(1)
        increments = ranks.own(increments).reshape(z.shape)
        if hinge:
            increments = torch.where(errors > 0, increments, 0)
        rows.slope[g, k] = torch.where(inside, -increments, increments)
    return losses


def solve_in_numpy(rows: Rows, hinge: bool, classes: Sequence[int], present: bool, softmax: bool) -> Tensor:
    """``solve_blocks`` on the CPU, for float32 and equal weights; present: an absent class does not count, and gives 0.

    softmax: whether x adds up to 1 over the classes."""
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
        rows = Rows(batch, x, slope, spec.per_image)
        quick = x.device.type == 'cpu' and x.dtype == torch.float32 and ranks.number == 1
        if quick and rows.span <= in_numpy.LONGEST and rows.equally_weighted():
            sums = solve_in_numpy(rows, hinge, classes, spec.classes in ('auto', 'present'), activation == 'softmax')
        else:
            sums = solve_blocks(rows, hinge, classes, ranks)
        ctx.owner, ctx.activation, ctx.dtype, ctx.ranks = type(spec).__name__, activation, given.dtype, ranks.number
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
    activation = ('softmax' if batch.softmax else 'sigmoid') if batch.logits and not hinge else None
    return LovaszExtension.apply(batch.given, batch, activation, hinge, spec, classes, ranks)


def pixels_of_classes(batch: Batch) -> Tensor | None:
    """(N, C) the weight of the pixels of each class of each image; None without class ids."""
    if batch.labels.dim() != 2:
        return None
    ids = batch.labels.long()
    ids = torch.where((batch.weight != 0) & (ids >= 0) & (ids < batch.channels), ids, batch.channels)
    size = batch.weight.new_zeros(len(ids), batch.channels + 1).scatter_add_(1, ids, batch.weight.clamp(min=0))
    return torch.where(size.isnan().any(1, keepdim=True), torch.nan, size[:, :-1])  # which hides nothing
