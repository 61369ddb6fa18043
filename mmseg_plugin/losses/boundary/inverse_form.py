"""Inverse form: how far predicted boundaries would have to be moved, turned and scaled to be those of the labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin import values
from mmseg_plugin.arithmetic import accumulator_dtype, ratio
from mmseg_plugin.boundaries import between_classes
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch, narrow_ids, valid_pixels
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from mmseg_plugin.resized import prepare_at_size
from shared_spec import LOSSES, shapes
from shared_spec.inputs import FLOOR
from shared_spec.losses.boundary.inverse_form import LEAST, MANY, SMALL
from shared_spec.values import check_ids


@register
class InverseFormLoss(Loss):
    """How far the predicted boundaries of an edge branch are moved, turned and scaled against those of the labels.

    pred (N, 1, H, W) logits of boundaries; target class ids (N, H, W), or a floating-point map of boundaries
    (N, 1, H, W). A pixel of weight 0 is empty in both, an empty batch gives 0; pictures alone. Parameters, call and
    errors: ``segparity show InverseFormLoss``. Source: Borse et al., arXiv 2104.02745.
    """

    spec_class = LOSSES['InverseFormLoss']

    def __init__(
        self,
        *,
        activation: str = 'sigmoid',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        tiles: Sequence[int] = (3, 6),
        tile_size: int = 32,
        weights: str | Path | Mapping[str, Any] | None = None,
        distance: str = 'euclidean',
        loss_name: str = 'loss_inverse_form',
    ) -> None:
        super().__init__(locals())
        self.spec_of_maps = self.spec.without_ignored()
        layers = self.spec.network.layers
        self.number_of_layers = len(layers)
        for k, layer in enumerate(layers):
            for name, array in zip(('weight', 'bias'), layer):
                self.register_buffer(f'{name}_{k}', torch.tensor(array), persistent=False)

    def batch_of_call(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        align_corners: bool | None,
        batches: dict[Any, Batch] | None = None,
    ) -> Batch:
        """That of a map of boundaries, which is no other loss's; class ids become one."""
        spec, owner = self.spec, type(self.spec).__name__
        shapes.check_pred(owner, pred.shape, 'first', spec.spatial_axes)
        spec.check_maps(pred.shape[1], target.is_floating_point())
        if not target.is_floating_point():
            shape = tuple(pred.shape) if align_corners is None else (*pred.shape[:2], *target.shape[-2:])
            target, weight = edges_of_ids(spec, shape, target, weight, ignore_index)
            spec, ignore_index = self.spec_of_maps, None
        return prepare_at_size(spec, pred, target, weight, ignore_index, align_corners)

    def compute(self, batch: Batch) -> Tensor:
        spec, (n, k, _) = self.spec, batch.shape
        size = spec.size_of(batch.space)
        v = batch.weight[:, None]
        p, y = (
            x if batch.pixel_weight is None else torch.where(v == 0, 0, x) for x in (self.edges(batch), batch.target)
        )
        maps = torch.cat([x.unflatten(2, batch.space) for x in (p, y, v)], 1)
        if n == 0:
            maps = maps.reshape(0, maps.shape[1], *size)  # which interpolate refuses
        elif batch.space != size:
            maps = functional.interpolate(maps, size, mode='bilinear', align_corners=False)
        tiles = self.cut(maps)
        weight = tiles[:, -1:].mean(-1).expand(-1, k, -1, -1)
        length = self.length(self.transform(torch.cat([tiles[:, :k], tiles[:, k : 2 * k]], -1)))
        weight = weight.to(accumulator_dtype(length))
        parts = {'loss': (weight * length).sum(), 'mass': weight.sum()}
        parts = sum_over_ranks(parts, spec.sync)
        return (spec.loss_weight * ratio(parts['loss'], parts['mass'], 0.0)).to(batch.dtype)

    def edges(self, batch: Batch) -> Tensor:
        """(N, K, P) the predicted boundaries."""
        if self.spec.activation == 'sigmoid':
            return batch.prob
        if not batch.logits:
            return batch.pred.clamp(min=FLOOR).log()
        return functional.logsigmoid(batch.pred) if batch.channels == 1 else batch.pred.log_softmax(1)

    def cut(self, x: Tensor) -> Tensor:
        """(N, K, rows, columns, tile_size^2) tiles of maps (N, K, H, W)."""
        (rows, columns), s = self.spec.tiles, self.spec.tile_size
        return x.unflatten(3, (columns, s)).unflatten(2, (rows, s)).transpose(3, 4).flatten(4)

    def transform(self, x: Tensor) -> Tensor:
        """(..., 4) what the network sees in pairs of tiles (..., 2 * tile_size^2)."""
        for k in range(self.number_of_layers):
            x = x.relu() if k else x
            weight, bias = (self.get_buffer(f'{name}_{k}').to(x.dtype) for name in ('weight', 'bias'))
            x = functional.linear(x, weight, bias)
        return x

    def length(self, out: Tensor) -> Tensor:
        """How far each transform (..., 4) is from none; its gradient is 0 where it is none."""
        if self.spec.distance == 'geodesic':
            out = logarithm(out)
        square = out.square().sum(-1)
        none = square == 0
        return torch.where(none, 0, torch.where(none, 1, square).sqrt())


def edges_of_ids(
    spec: Any, shape: tuple[int, ...], target: Tensor, weight: Tensor | None, ignore_index: int | None
) -> tuple[Tensor, Tensor | None]:
    """(N, 1, H, W) the boundaries of class ids, and (N, H, W) the weight of each pixel; shape: that of the prediction."""
    owner = type(spec).__name__
    shapes.label_kind(owner, shape, target.shape, 'first')
    ids = narrow_ids(target.reshape(shape[0], *shape[2:]))
    valid = valid_pixels(ids, shapes.check_ignore(owner, spec.ignore_index, ignore_index, shape[1]))
    if weight is not None:
        if shapes.weight_kind(owner, shape, weight.shape, 'first') == 'image':
            weight = weight[:, None, None].expand(ids.shape)
        weight = weight.reshape(ids.shape)
    if valid is not None:
        like = torch.ones(ids.shape, device=ids.device) if weight is None else weight
        weight = torch.where(valid, like, torch.zeros((), dtype=like.dtype, device=like.device))
    counts = None if weight is None else weight != 0
    if ids.dtype.is_signed:
        wrong = ids < 0 if counts is None else (ids < 0) & counts
        if values.can_look(wrong) and wrong.any():
            check_ids(owner, ids.cpu().numpy(), wrong.cpu().numpy(), MANY)
        if not values.can_look(wrong):
            ones = torch.ones(ids.shape, device=ids.device) if weight is None else weight
            weight = torch.where(wrong, torch.nan, ones)
    return between_classes(ids, counts).float()[:, None], weight


def logarithm(out: Tensor) -> Tensor:
    """(..., 4) log c and t log c / (c - 1) of transforms (..., 4): real and imaginary part of c - 1 and of t."""
    a, b, x, y = out.unbind(-1)
    shrunk = 2 * a + a * a + b * b
    real = torch.log1p(torch.where(shrunk < LEAST, LEAST, shrunk)) / 2
    imaginary = torch.atan2(b, 1 + a)
    square = a * a + b * b
    near = square < SMALL**2
    safe = torch.where(near, 1, square)
    (of_series, of_series_i) = series_of(a, b)
    f = torch.where(near, of_series, (real * a + imaginary * b) / safe)
    g = torch.where(near, of_series_i, (imaginary * a - real * b) / safe)
    return torch.stack([real, imaginary, f * x - g * y, f * y + g * x], -1)


def series_of(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of log(1 + d) / d of a small d = a + ib."""
    real, imaginary = torch.full_like(a, -1 / 6), torch.zeros_like(b)
    for k in (5, 4, 3, 2, 1):  # Horner's rule
        real, imaginary = real * a - imaginary * b, real * b + imaginary * a
        real = real + (-1) ** (k - 1) / k
    return real, imaginary
