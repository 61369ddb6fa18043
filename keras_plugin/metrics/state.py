"""What the metrics keep between batches: exact totals, compensated sums, and the table of counts of every image."""

from collections.abc import Iterable, Sequence

import keras
from keras import ops

from keras_plugin.metrics.scores import at_most, cell_scores, count_true, image_means, mean_of_counted, mean_of_lowest
from keras_plugin.typing import Tensor
from shared_spec.metrics.fine_grained import FineGrained

LIMB = 1 << 20
DECILES = tuple(range(10, 101, 10))


class Totals:
    """Counts over all images, exact up to 2^51 without int64: two int32 limbs. For tp, fp, fn the shape is (C, 3).

    A batch may hold up to 2^30 pixels. The limbs of several replicas may be added. A count may be negative.
    """

    def __init__(self, metric: keras.metrics.Metric, shape: tuple[int, ...], name: str = 'total') -> None:
        def limb(suffix: str) -> keras.Variable:
            return metric.add_variable(shape, 'zeros', dtype='int32', name=f'{name}_{suffix}')

        self.low, self.high = limb('low'), limb('high')

    def update(self, counts: Tensor) -> None:
        """Adds int32 counts (N, *shape)."""
        low = self.low + ops.cast(ops.sum(counts, axis=0), 'int32')
        carry = low // LIMB
        self.low.assign(low - carry * LIMB)
        self.high.assign(self.high + carry)

    def value(self, dtype: str) -> Tensor:
        """float (*shape)."""
        return ops.cast(self.high.value, dtype) * LIMB + ops.cast(self.low.value, dtype)


class RunningMean:
    """Means over images of a row of numbers: a two-float sum and an integer count for each.

    For level I the row is (M,), one number for each metric; for level C it is (M, C).
    """

    def __init__(self, metric: keras.metrics.Metric, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self.sum = metric.add_variable(shape, 'zeros', dtype=dtype, name=f'{name}_sum')
        self.lost = metric.add_variable(shape, 'zeros', dtype=dtype, name=f'{name}_lost')
        self.number = metric.add_variable(shape, 'zeros', dtype='int32', name=f'{name}_number')

    def update(self, values: Tensor, counted: Tensor) -> None:
        """Adds along axis 1 the values (M, N, ...) that count."""
        batch = ops.sum(ops.where(counted, values, 0.0), axis=1)
        old = ops.convert_to_tensor(self.sum.value)
        new = old + batch
        # TwoSum: what the addition rounded away, exactly
        part = new - old
        self.lost.assign(self.lost + ((old - (new - part)) + (batch - part)))
        self.sum.assign(new)
        self.number.assign(self.number + count_true(counted, 1))

    def value(self) -> Tensor:
        """The means; NaN where nothing was counted."""
        number = ops.cast(self.number.value, self.sum.dtype)
        total = ops.convert_to_tensor(self.sum.value) + self.lost
        return ops.where(number > 0, total / ops.maximum(number, 1.0), float('nan'))


class ImageTable:
    """The int32 counts of every image in order of arrival, up to ``max_images``, for the worst-case results.

    The row after the last takes what does not fit. The table is complete while every image with a pixel has its row:
    beyond ``max_images`` it is not, nor where the replicas of a distribution strategy wrote over each other.
    """

    def __init__(self, metric: keras.metrics.Metric, num_classes: int, max_images: int) -> None:
        self.max_images = max_images
        self.rows = metric.add_variable((max_images + 1, num_classes, 3), 'zeros', dtype='int32', name='table')
        self.seen = metric.add_variable((), 'zeros', dtype='int32', name='images_seen')
        self.with_pixels = metric.add_variable((), 'zeros', dtype='int32', name='images_with_pixels')

    def update(self, counts: Tensor) -> None:
        """Adds the int32 counts (N, C, 3) of a batch; an image without a pixel takes a row as well."""
        n = ops.shape(counts)[0]
        place = at_most(ops.arange(n, dtype='int32') + self.seen, self.max_images)
        self.rows.assign(ops.scatter_update(ops.convert_to_tensor(self.rows.value), ops.expand_dims(place, 1), counts))
        self.seen.assign(self.seen + n)
        self.with_pixels.assign(self.with_pixels + count_true(ops.any(counts > 0, axis=(1, 2))))

    @property
    def filled(self) -> Tensor:
        """int32 (max_images, C, 3)."""
        return self.rows.value[: self.max_images]

    def is_complete(self) -> Tensor:
        """Whether the worst-case results can be had."""
        rows = count_true(ops.any(self.filled > 0, axis=(1, 2)))
        return ops.logical_and(self.seen <= self.max_images, ops.equal(rows, self.with_pixels))

    def worst_cases(self, spec: FineGrained, levels: Iterable[str], q: Sequence[int], dtype: str) -> dict[str, Tensor]:
        """Level -> (M, len(q)) worst-case results; NaN where the table is not whole."""
        scores, counted = cell_scores(spec, self.filled, dtype)
        found = {}
        for level in levels:
            if level == 'I':
                values = mean_of_lowest(*image_means(scores, counted), q)
            else:
                values = mean_of_lowest(ops.transpose(scores, (0, 2, 1)), ops.transpose(counted, (0, 2, 1)), q)
                values = mean_of_counted(values, values == values, axis=1)
            found[level] = ops.where(self.is_complete(), values, float('nan'))
        return found
