"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

import torch
from mmseg.registry import MODELS
from torch import distributed
from torch.nn import functional

from mmseg_plugin.inputs import accumulator
from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import ratio
from shared_spec import LOSSES, shapes

BLOCK = 2**20  # pixels (of any class) that are sorted together: what the sort needs beside the logits stays small


def jaccard_increments(errors, signed):
    """(rows, P) how much each pixel adds to its row's Jaccard loss when pixels turn wrong in order of falling errors.

    errors (rows, P); signed (rows, P): the weight of a pixel, negative outside the class. No two close numbers are
    subtracted: a pixel of the class adds w/U, another one I*w/(U_before*U), the first of a class without a pixel 1.
    """
    order = errors.argsort(1, descending=True)
    signed = signed.gather(1, order).to(accumulator(signed))  # in float64 counts above 2^24 are exact
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

    def __init__(self, pixels, device, sync):
        self.sizes, self.rank = [pixels], 0
        if sync and distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            size = torch.tensor([pixels], device=device)
            sizes = [torch.empty_like(size) for _ in range(distributed.get_world_size())]
            distributed.all_gather(sizes, size)
            self.sizes, self.rank = [s.item() for s in sizes], distributed.get_rank()
        self.largest = max(self.sizes)
        self.pixels = len(self.sizes) * self.largest

    def join(self, *rows):
        """Each of ``rows`` with the pixels of all ranks, padded to the largest rank with pixels of weight 0."""
        if len(self.sizes) == 1:
            return rows
        own = functional.pad(torch.stack(rows), (0, self.largest - self.sizes[self.rank]))
        parts = [torch.empty_like(own) for _ in self.sizes]
        distributed.all_gather(parts, own)
        return torch.cat(parts, 2).unbind()

    def own(self, rows):
        return rows[:, self.rank * self.largest :][:, : self.sizes[self.rank]]


class LovaszExtension(torch.autograd.Function):
    """(N, C) the sums of error times increment. Increments are constants, and all that is kept for the backward."""

    @staticmethod
    def forward(ctx, x, target, weight, hinge, per_image, sync):
        """x (N, C, P): probabilities, or logits for the hinge; the order is that of an image or of the global batch."""
        n, c, p = x.shape
        length = p if per_image else n * p
        ranks = Ranks(length, x.device, sync and not per_image)
        slope, sums = torch.empty_like(x, memory_format=torch.contiguous_format), []
        if per_image:
            rows = [t.reshape(n * c, p) for t in (x, target, slope)]
            image = torch.arange(n, device=x.device).repeat_interleave(c)
        else:
            rows = [t.transpose(0, 1) for t in (x, target, slope)]
        step = max(1, BLOCK // ranks.pixels)
        for first in range(0, len(rows[0]), step):
            z, y, s = (t[first : first + step] for t in rows)
            w = weight[image[first : first + step]] if per_image else weight.expand_as(z)
            inside = y > 0
            turned = torch.where(inside, -z, z)
            errors = (1 + turned).relu() if hinge else inside + turned
            flat = (t.reshape(-1, length) for t in (errors, torch.where(inside, w, -w)))
            increments = ranks.own(jaccard_increments(*ranks.join(*flat))).reshape(z.shape)
            sums.append((errors * increments).sum(-1))
            if hinge:
                increments = torch.where(errors > 0, increments, 0)
            s.copy_(torch.where(inside, -increments, increments))
        ctx.save_for_backward(slope)
        sums = torch.cat(sums)
        return sums.reshape(n, c) if per_image else sums.T

    @staticmethod
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad[:, :, None].to(slope.dtype) * slope, None, None, None, None, None


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    def statistics(self, batch):
        spec, c = self.spec, batch.channels
        x, target = self.scores(batch), batch.target
        chosen = shapes.chosen(type(spec).__name__, spec.classes, c)
        if len(chosen) < c:
            x, target = x[:, chosen], target[:, chosen]
        sums = LovaszExtension.apply(x, target, batch.weight, self.hinge, spec.per_image, spec.sync)
        if len(chosen) < c:  # the other classes do not count, whatever stands there
            sums = sums[:, [chosen.index(k) if k in chosen else 0 for k in range(c)]]
        return (sums,)

    def cell_loss(self, sums):
        return sums


@MODELS.register_module()
class LovaszSoftmaxLoss(Lovasz):
    """Lovasz extension of the Jaccard loss: errors 1 - p_c at pixels of class c and p_c elsewhere, sorted.

    Rows of pixels, one for each class, are sorted together up to ``BLOCK`` pixels at a time: forward and backward take
    8 times the logits' memory at most at (2, 19, 512, 1024) (benchmarks/lovasz_memory.py). An absent class counts as
    ``classes`` says and then costs its largest error, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show LovaszSoftmaxLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszSoftmaxLoss']
    hinge = False

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, per_image=False, classes='auto', loss_name='loss_lovasz_softmax',
    ):  # fmt: skip
        super().__init__(locals())

    def scores(self, batch):
        return batch.prob


@MODELS.register_module()
class LovaszHingeLoss(Lovasz):
    """Lovasz extension of the Jaccard loss on hinge errors max(1 - z*(2*y - 1), 0); one channel of logits.

    An image without foreground costs its largest error, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show LovaszHingeLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszHingeLoss']
    hinge = True

    def __init__(
        self, *, from_logits=True, ignore_index=None, sync=True, loss_weight=1.0, per_image=True,
        loss_name='loss_lovasz_hinge',
    ):  # fmt: skip
        super().__init__(locals())

    def scores(self, batch):
        return batch.pred
