"""How the Jaccard loss grows from bin to bin of the errors, and which bins are too wide to say so.

A bin of n pixels at a union of U has increments that differ by n/U of 1/U, the largest of them there, and the error e of
a probability goes into the gradient by logits as e * (1 - e). ``LIMIT`` is the most that this may be of the largest
gradient of the class: pixels share the mean, from which they differ by half as much. Those deviations add up to nothing,
so that the value errs by their product with the width of the bin, if that: by ``VALUE``, in each of some hundred bins.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mmseg_plugin.kernels.lovasz.bins import Bins

LIMIT, VALUE = 1.5e-3, 4e-9
MOST_BITS = 15  # by how many bits a bin is split at a time
FLAT = 64  # a bin that reaches up to an error of 1 has at least this part of its steepest slope


class Course:
    """How the Jaccard loss of each row grows, bin by bin from the largest error down.

    ``left`` (B,): the weight of the class that is right before a bin, ``union`` that of the class and of all else that
    is wrong before it, ``added`` by how much the loss grows in it; float64.
    """

    def __init__(self, bins: Bins, counts: Tensor) -> None:
        """counts (2, B): the weight outside the class and inside, of all ranks."""
        self.outside, self.inside = counts = counts.double()
        sums = torch.cat([counts.new_zeros(2, 1), counts.cumsum(1)], 1)
        begin, end = sums.index_select(1, bins.starts[:-1]), sums.index_select(1, bins.starts[1:])
        self.left = sums[1, 1:] - begin[1].index_select(0, bins.row)
        whole, wrong = (end - begin)[1].index_select(0, bins.row), end[0].index_select(0, bins.row) - sums[0, 1:]
        self.union = whole + wrong
        self.first = self.union <= 0  # of a class without a pixel
        self.union = torch.where(self.first, 1, self.union)
        self.added = self.left / self.union - (self.left - self.inside) / (self.union + self.outside)

    def bits_to_split(
        self, bins: Bins, edges: tuple[Tensor, Tensor], slopes: bool, counted: bool, parts: int
    ) -> Tensor:
        """(B,) by how many bits to split a bin, so that a part of it has some 1/parts of what it may have.

        edges: (B,) the errors between which a bin lies, low and high; slopes: whether they are those of probabilities of
        logits; counted: weights are 1 or 0. Increments do not differ between less than two pixels, without a pixel
        outside the class, and where none of the class is left.
        """
        pixels = self.inside + self.outside
        some = torch.nonzero(pixels > 0)[:, 0]

        def chosen(*tensors: Tensor) -> Iterator[Tensor]:
            return (t.index_select(0, some) for t in tensors)

        row, most, low, high, first, pixels = chosen(bins.row, bins.bits, *edges, self.first, pixels)
        inside, outside, left, union, added = chosen(self.inside, self.outside, self.left, self.union, self.added)
        differ = pixels > int(counted)
        of_inside = torch.where(inside > 0, torch.log1p(outside / union), 0)
        of_outside = torch.log1p(inside / union) + torch.log1p(2 * outside / union) * (left / union)
        spread = torch.where(differ & (outside > 0), torch.maximum(of_inside, of_outside), 0)
        steep = high * (1 - low) if slopes else torch.ones_like(low)
        flat = torch.maximum(low * (1 - high), steep / FLAT) if slopes else steep
        largest = torch.where(inside > 0, flat / (union + outside), 0)
        largest = largest.new_zeros(len(bins.starts) - 1).scatter_reduce_(0, row, largest, 'amax')
        of_gradient = spread * (steep / union) / largest.index_select(0, row) / LIMIT
        of_value = spread * added * (high - low) / high.clamp(min=1) / VALUE
        times = torch.maximum(parts * of_gradient, of_value.sqrt()).where(~first, torch.inf)
        more = times.log2().ceil().clamp(1, MOST_BITS).nan_to_num(MOST_BITS).long().minimum(most)
        wide = (of_gradient > 1) | (of_value > 1) | (differ & first)
        return torch.zeros_like(bins.bits).index_copy_(0, some, torch.where(wide, more, 0))

    def increments(self) -> Tensor:
        """(B, 2) what a pixel of weight 1 adds to the Jaccard loss outside the class, and inside.

        Of a class without a pixel the largest error adds 1. Else it is the mean over the bin while its pixels turn
        wrong evenly: all have added then what the sorted ones would have.
        """
        some = torch.where(self.outside > 0, self.outside, 1)
        inside = torch.where(self.outside > 0, torch.log1p(self.outside / self.union) / some, 1 / self.union)
        outside = ((self.added - self.inside * inside) / some).clamp(min=0)
        return torch.stack([torch.where(self.first, 1 / some, outside), inside], 1)
