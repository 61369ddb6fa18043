"""Three surrogates of the Hausdorff distance: by distance transforms, by erosions, by convolutions with discs."""

import itertools
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_plugin.arithmetic import at_least, largest
from keras_plugin.distance import both_sides
from keras_plugin.inputs import Batch, keep_pixels
from keras_plugin.losses.boundary.maps import MappedMean, in_space
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class HausdorffDistanceLoss(MappedMean):
    """Surrogates of the Hausdorff distance: the squared errors weighed by distances, by how deep errors erode, or by discs.

    ``distance_map`` (N, *space, C) at the call, or packed with the labels, is the distance of every pixel to the other
    side of its label, for method='distance_transform'; else the loss makes it. That of the prediction is made at every
    call. An ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show
    HausdorffDistanceLoss``. Source: arXiv 1904.10030.
    """

    spec_class = LOSSES['HausdorffDistanceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        method: str = 'distance_transform',
        alpha: float = 2.0,
        erosions: int = 10,
        radii: Sequence[int] = (3, 6, 9, 12, 15, 18),
        classes: str | Sequence[int] = 'all',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def map_of(self, batch: Batch, given: Tensor | None) -> Tensor:
        """(N, P, C) d(p > 1/2)^alpha + d(y)^alpha; for the other methods whatever stands for their shape."""
        self.spec.check_given(given)
        if self.spec.method != 'distance_transform':
            return ops.zeros_like(batch.given)
        of_label = super().map_of(batch, given)
        valid = in_space(batch, batch.counted_pixels)
        inside = in_space(batch, ops.stop_gradient(batch.prob) > 0.5)
        of_prediction = self.make_map(ops.logical_and(inside, valid), valid, batch.dtype)
        of_prediction = ops.reshape(of_prediction, ops.shape(batch.given))
        found = of_prediction**self.spec.alpha + of_label**self.spec.alpha
        return keep_pixels(batch.counted_pixels, found)

    def make_map(self, inside: Tensor, valid: Tensor, dtype: str) -> Tensor:
        depth, gap = both_sides(inside, valid, self.spec.spacing, dtype)
        return depth + gap

    def cost(self, batch: Batch) -> Tensor:
        error = (batch.prob - batch.target) ** 2
        if self.spec.method == 'distance_transform':
            return error * batch.distance_map
        p = in_space(batch, keep_pixels(batch.counted_pixels, batch.prob))
        y, valid = in_space(batch, batch.target), in_space(batch, batch.counted_pixels)
        error = (p - y) ** 2
        cost = self.eroded(error, valid) if self.spec.method == 'erosion' else error * self.discs(p, y, valid)
        return ops.reshape(cost, ops.shape(batch.given))

    def eroded(self, b: Tensor, valid: Tensor) -> Tensor:
        """(N, *space, C) the sum over erosions of b."""
        axes, zero = tuple(range(1, len(b.shape) - 1)), ops.zeros_like(b)
        total = zero
        for k in range(1, self.spec.erosions + 1):
            near = b + sum(neighbours(b, axis) for axis in axes)
            b = ops.where(valid, at_least(near / (2 * len(axes) + 1) - 0.5, 0), zero)
            low = -largest(ops.where(valid, -b, zero - 1e30), axis=axes, keepdims=True, least=-1e30)
            high = largest(b, axis=axes, keepdims=True)
            span = high > low
            divisor = ops.where(span, high - low, ops.ones_like(high))
            shifted = (b - ops.where(span, low, ops.zeros_like(low))) / divisor
            b = ops.where(ops.logical_and(valid, span), shifted, b)
            total = total + b * float(k) ** self.spec.alpha
        return total

    def discs(self, p: Tensor, y: Tensor, valid: Tensor) -> Tensor:
        """(N, *space, C) what multiplies with the squared error."""
        total = ops.zeros_like(p)
        for r in self.spec.radii:
            near, far = (
                [at_least(mean_over_disc(ops.where(valid, x, ops.zeros_like(x)), r) - 0.5, 0) for x in pair]
                for pair in ((1 - y, p), (y, 1 - p))
            )
            total = total + float(r) ** self.spec.alpha * (sum(near) * p + sum(far) * y)
        return total


def neighbours(x: Tensor, axis: int) -> Tensor:
    """The sum of both neighbours along an axis, 0 outside."""
    padded = ops.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(len(x.shape))])
    before, after = [slice(None)] * len(x.shape), [slice(None)] * len(x.shape)
    before[axis], after[axis] = slice(None, -2), slice(2, None)
    return padded[tuple(before)] + padded[tuple(after)]


def mean_over_disc(x: Tensor, radius: int) -> Tensor:
    """(N, *space, C) the mean over the pixels at most ``radius`` away, those outside the image 0."""
    axes, c = len(x.shape) - 2, x.shape[-1]
    inside = [sum(i * i for i in o) <= radius**2 for o in itertools.product(range(-radius, radius + 1), repeat=axes)]
    disc = np.reshape(inside, (2 * radius + 1,) * axes) / sum(inside)
    kernel = disc[..., None, None] * np.ones((c, 1)) if axes < 3 else disc[..., None, None]
    kernel = ops.convert_to_tensor(kernel, dtype=keras.backend.standardize_dtype(x.dtype))
    if axes < 3:
        return ops.depthwise_conv(x, kernel, padding='same', data_format='channels_last')
    maps = [ops.conv(x[..., k : k + 1], kernel, padding='same', data_format='channels_last') for k in range(c)]
    return ops.concatenate(maps, axis=-1)
