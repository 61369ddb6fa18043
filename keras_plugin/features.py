"""What a loss of features has in Keras: labels at the places of an embedding, and the pixels around a place."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from keras import backend, ops

from keras_plugin import values
from keras_plugin.boundaries import own_class
from keras_plugin.embeddings import at_places, checked_embedding
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.features import offsets


class Features(NamedTuple):
    """An embedding (N, *size, D), 0 where a pixel does not count, and what belongs to its places.

    label (N, *size) class ids, -1 where a pixel does not count; weight (N, *size), 0 there, NaN where something is wrong;
    nothing: 0 with a gradient of 0 for the predictions, NaN where they or the embedding are no numbers.
    """

    embedding: Tensor
    label: Tensor
    weight: Tensor
    nothing: Tensor


def features_of(owner: str, batch: Batch, embedding: Any, everywhere: bool = False) -> Features:
    """The ``Features`` of a batch; everywhere: the embedding is read where a pixel does not count, too."""
    embedding = values.to_tensor(embedding)
    dtype = 'float64' if 'float64' in (backend.standardize_dtype(embedding.dtype), batch.dtype) else 'float32'
    embedding = checked_embedding(owner, embedding, (batch.given.shape[0], *batch.space, batch.channels), dtype)
    size = tuple(embedding.shape[1:-1])
    shapes.check_known(owner, batch.space)
    shapes.check_known(owner, size)
    weight = sampled(batch, ops.cast(batch.weight, dtype), size)
    counts = sampled(batch, batch.counted_pixels, size)
    label = sampled(batch, own_class(batch), size)
    label = ops.where(counts, label, -1 * ops.ones_like(label))
    wrong = ops.logical_not(ops.isfinite(ops.stop_gradient(embedding)))
    if not everywhere:
        wrong = ops.logical_and(wrong, counts[..., None])
        embedding = ops.where(counts[..., None], embedding, ops.zeros_like(embedding))
    zero = values.nan_where(ops.cast(nothing(batch), dtype), ops.any(wrong))
    return Features(embedding, label, weight, zero)


def nothing(batch: Batch) -> Tensor:
    """0 with a gradient of 0, NaN where a prediction that counts is no number; of all of them where any may be none."""
    if batch.doubted or not values.is_seen_finite(batch.given):
        return ops.sum(batch.zero_loss)
    return ops.sum(0 * batch.given[:, :1])


def sampled(batch: Batch, x: Tensor, size: Sequence[int]) -> Tensor:
    """(N, *size) x (N, P) at the places of a map of that size, as nearest sampling has them."""
    return ops.reshape(at_places(x, batch.space, tuple(size)), (-1, *size))


def neighbours(x: Tensor, window: int, empty: float = 0) -> Iterator[Tensor]:
    """For each of ``offsets`` what x (N, H, W, ...) has at the other pixel, ``empty`` beyond the image."""
    reach, (height, width) = window // 2, x.shape[1:3]
    around = ((0, 0), (reach, reach), (reach, reach), *((0, 0) for _ in x.shape[3:]))
    padded = ops.pad(x, around, constant_values=empty)
    for down, right in offsets(window, 2):
        yield padded[:, reach + down : reach + down + height, reach + right : reach + right + width]


def pairs(x: Tensor, step: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What x (N, H, W, ...) has at the pixels that have another ``step`` below and to the right, and at that."""
    (down, right), (height, width) = step, x.shape[1:3]
    tall, wide = max(0, height - abs(down)), max(0, width - abs(right))
    one = x[:, max(0, -down) :, max(0, -right) :][:, :tall, :wide]
    return one, x[:, max(0, down) :, max(0, right) :][:, :tall, :wide]
