"""Maps of pixels, made block by block and without a gradient: what a loss or a head has to know of all before it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmseg_plugin.kernels import workers
from mmseg_plugin.kernels.pixel_sums import Place, blocks_of, in_blocks, size_of_blocks

if TYPE_CHECKING:
    from mmseg_plugin.inputs import Batch
    from mmseg_plugin.kernels.resize import Whole


def of_blocks(source: Whole, make: Callable[[Tensor, Place], Any]) -> Iterator[tuple[Place, Any]]:
    """(place, what ``make`` gives of a block (n, C, p) and its place) of all blocks, in their order."""
    places = blocks_of(size_of_blocks(source), *source.shape, source.step)

    @torch.no_grad()
    def one(place: Place) -> Any:
        with torch.autocast(source.tensor.device.type, enabled=False):
            return make(source.block(source.needed(place), place), place)

    return zip(places, workers.each(one, places, source.tensor.is_cpu))


def pixel_map(batch: Batch, make: Callable[[Batch], Tensor]) -> Tensor:
    """(N, P) of make(part) (n, 1, p), a number of each pixel of a part of the batch, which is looked at before."""
    batch.look()
    if not in_blocks(batch):
        return make(batch)[:, 0].detach()
    found = batch.image_weight.new_empty(batch.shape[0], batch.shape[2])

    def of_block(given: Tensor, place: Place) -> Tensor:
        part = batch.part(*place, given)
        part.masked = batch.masked
        return make(part)[:, 0]

    for place, block in of_blocks(batch.source, of_block):
        found[place[0], place[2]] = block
    return found
