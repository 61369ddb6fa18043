"""Pixel contrast: embeddings of pixels of a class are drawn together, those of different classes apart."""

from typing import Any

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import add_in_log, at_least, ratio
from keras_plugin.embeddings import (
    at_places,
    checked_embedding,
    counts_before,
    first_slots,
    ranks_within,
    rows_of_replicas,
    scattered,
)
from keras_plugin.inputs import Batch
from keras_plugin.layers.embedding_bank import EmbeddingBank
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.extras import check_sample_shapes, check_sample_values, pair_of_samples
from shared_spec.losses.pixel.pixel_contrast import SHARE

LOW = -1e30  # what is no similarity: its exponential is 0, and nothing of it is infinite


@keras.saving.register_keras_serializable(package='segparity')
class PixelContrastLoss(Loss):
    """Supervised InfoNCE over sampled pixel embeddings, ``embedding`` (N, *space, D) at the call, as the model normalised them.

    ``samples`` = (image (A,), index (A, V)) at the call are the pixels to take; else half of those of a class of an image
    are predicted wrong. Without a pair of samples of a class the loss is 0. With ``memory_size`` a call needs ``bank``, an
    ``EmbeddingBank`` of the model. Parameters, call and errors: ``segparity show PixelContrastLoss``. Source: Wang et al.,
    arXiv 2101.11939.
    """

    spec_class = LOSSES['PixelContrastLoss']
    host_extras = ('bank',)

    def __init__(
        self,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        temperature: float = 0.1,
        base_temperature: float = 0.07,
        max_samples: int = 1024,
        max_views: int = 100,
        sampling: str = 'segmentation_aware',
        order: str = 'random',
        memory_size: int = 0,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(  # type: ignore[override]  # extras
        self,
        batch: Batch,
        embedding: Tensor,
        samples: tuple[Tensor, Tensor] | None = None,
        bank: EmbeddingBank | None = None,
    ) -> Tensor:
        spec, owner = self.spec, type(self).__name__
        pred = (batch.given.shape[0], *batch.space, batch.channels)
        x = checked_embedding(owner, embedding, pred, batch.dtype)
        space, depth = tuple(ops.shape(x)[1:-1]), x.shape[-1]
        labels, wrong = labels_of(batch)
        labels, weight, wrong = (at_places(m, batch.sizes, space) for m in (labels, batch.weight, wrong))
        x = ops.reshape(x, (*ops.shape(weight), depth))
        counts = weight != 0
        unsound = ops.logical_and(counts, ops.logical_not(ops.all(ops.isfinite(x), axis=-1)))
        fault = ops.logical_or(ops.any(ops.isnan(batch.weight)), ops.any(unsound))
        wrong_pred = values.pixels_without_number(batch.given, batch.softmax) if batch.logits else None
        if wrong_pred is not None:
            fault = ops.logical_or(fault, ops.any(ops.logical_and(batch.counted_pixels, wrong_pred)))
        sound = ops.logical_and(counts, ops.logical_not(unsound))
        x = ops.where(sound[..., None], x, ops.zeros_like(x))
        if samples is None:
            kept = self.choose(x, labels, wrong, weight > 0, max(batch.channels, 2))
            kept = ops.reshape(kept, (-1,))
            place = None
        else:
            place, kept, nowhere = given(owner, samples, weight, spec.max_samples)
            fault = ops.logical_or(fault, nowhere)
        chosen, valid = first_slots(kept, spec.max_samples)
        if place is not None:
            chosen = ops.take(ops.concatenate([place, ops.zeros((spec.max_samples,), 'int32')]), chosen)
        about = ops.stack([ops.cast(labels, x.dtype), ops.where(ops.isnan(weight), ops.zeros_like(weight), weight)], -1)
        x, about = ops.reshape(x, (-1, depth)), ops.stop_gradient(ops.reshape(about, (-1, 2)))
        rows = ops.concatenate([rows_at(x, chosen, valid), rows_at(about, chosen, valid)], axis=1)
        rows, valid, fault = rows_of_replicas(rows, valid, fault, spec.sync)
        about = ops.stop_gradient(rows[:, -2:])
        x, labels, weight = rows[:, :-2], ops.cast(about[:, 0], 'int32'), about[:, 1]
        bank = self.checked_bank(bank, max(batch.channels, 2), depth)
        others = (x[:0], labels[:0], valid[:0]) if bank is None else bank.others(batch.dtype)
        loss = self.contrast(x, labels, weight, valid, *others)
        if bank is not None:
            bank.push(ops.stop_gradient(x), labels, ops.logical_and(valid, ops.logical_not(fault)))
        return spec.loss_weight * loss * ops.where(fault, np.nan * ops.ones_like(loss), ops.ones_like(loss))

    def absent_loss(self, batch: Batch, loss: Tensor) -> Tensor:
        """As of other losses, with a gradient of 0 for the embedding."""
        return super().absent_loss(batch, loss) + ops.where(ops.isfinite(loss), 0 * loss, ops.zeros_like(loss))

    def checked_bank(self, bank: object, classes: int, depth: int) -> EmbeddingBank | None:
        """The bank of a call; TypeError or ValueError for none where there is to be one, and for another."""
        owner, size = type(self).__name__, self.spec.memory_size
        if not size and bank is None:
            return None
        if not size:
            raise ValueError(f'{owner}: bank is given, and memory_size is 0')
        if not isinstance(bank, EmbeddingBank):
            raise TypeError(
                f'{owner}: memory_size={size} needs bank, a keras_plugin.layers.EmbeddingBank, at the call, got '
                f'{type(bank).__name__}'
            )
        bank.check(owner, dict(num_classes=classes, depth=depth, memory_size=size))
        return bank

    def choose(self, x: Tensor, labels: Tensor, wrong: Tensor, counts: Tensor, classes: int) -> Tensor:
        """(N, P) which pixels are sampled, from maps of classes, of what is predicted wrong, and of what counts."""
        spec, shape = self.spec, ops.shape(labels)
        absent = 2 * classes * ops.ones_like(labels)
        groups = ops.where(
            counts, 2 * labels + 1 - ops.cast(wrong, 'int32'), absent
        )  # wrong and right ones of each class
        if spec.order == 'random':
            order = ops.argsort(ops.reshape(scattered(shape[0] * shape[1], x), shape), axis=1)
            rank, sizes = ranks_within(ops.take_along_axis(groups, order, axis=1), 2 * classes + 1)
            rank = ops.take_along_axis(rank, ops.argsort(order, axis=1), axis=1)
        else:
            rank, sizes = ranks_within(groups, 2 * classes + 1)
        hard, easy = sizes[:, :-1:2], sizes[:, 1::2]
        anchors = ops.cast(hard + easy > spec.max_views, 'int32')
        _, total = counts_before(ops.sum(anchors), spec.sync)
        views = ops.clip(spec.max_samples // ops.maximum(total, 1), 1, spec.max_views)
        taken = ops.maximum(ops.minimum(views // 2, hard), views - easy)
        quota = ops.stack([taken, views - taken], axis=2) * anchors[:, :, None]
        quota = ops.pad(ops.reshape(quota, (shape[0], 2 * classes)), ((0, 0), (0, 1)))
        return rank < ops.take_along_axis(quota, groups, axis=1)

    def contrast(
        self,
        x: Tensor,
        labels: Tensor,
        weight: Tensor,
        valid: Tensor,
        others: Tensor,
        their_labels: Tensor,
        there: Tensor,
    ) -> Tensor:
        """The loss of samples (S, D) among themselves and with the embeddings (B, D) of a bank."""
        spec = self.spec
        s = x @ ops.transpose(ops.concatenate([x, others])) / spec.temperature
        same = labels[:, None] == ops.concatenate([labels, their_labels])
        pairs = ops.logical_and(valid[:, None], ops.concatenate([valid, there]))
        place = ops.arange(s.shape[1], dtype='int32')
        positives = ops.logical_and(ops.logical_and(pairs, same), place[: x.shape[0], None] != place)
        negatives = self.hardest(s, ops.logical_and(pairs, ops.logical_not(same)))
        positives = self.hardest(-s, positives)
        pull = ops.logsumexp(ops.where(negatives, s, LOW * ops.ones_like(s)), axis=1, keepdims=True)
        count = ops.cast(ops.sum(ops.cast(positives, 'int32'), axis=1), s.dtype)
        cost = add_in_log(pull - s, ops.zeros_like(s))
        cost = ops.sum(ops.where(positives, cost, ops.zeros_like(cost)), axis=1) / at_least(count, 1)
        weight = ops.where(ops.logical_and(valid, count > 0), weight, ops.zeros_like(weight))
        return spec.temperature / spec.base_temperature * ratio(ops.sum(weight * cost), ops.sum(weight), 0.0)

    def hardest(self, s: Tensor, among: Tensor) -> Tensor:
        """(S, B) which of the entries among which an anchor is contrasted count, those of large s being hard."""
        if self.spec.sampling == 'segmentation_aware':
            return among
        s = ops.stop_gradient(s)
        order = ops.argsort(ops.where(among, -s, -LOW * ops.ones_like(s)), axis=1)
        rank = ops.argsort(order, axis=1)
        number = ops.sum(ops.cast(among, 'int32'), axis=1, keepdims=True)
        tenth = ops.logical_and(among, rank < (number + SHARE - 1) // SHARE)
        if self.spec.sampling == 'hardest':
            return tenth
        coin = rank % 2 == 0
        if self.spec.order == 'random':
            coin = ops.reshape(scattered(s.shape[0] * s.shape[1], s), s.shape) >= 0
        return ops.logical_and(tenth, ops.logical_or(coin, rank == 0))


def labels_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """(N, P) the class of each pixel, int32, any where it does not count, and whether another one is predicted."""
    pred = ops.stop_gradient(batch.pred)
    pred = ops.where(ops.isnan(pred), ops.zeros_like(pred), pred)
    if batch.channels == 1:
        labels, predicted = batch.target[..., 0] > 0.5, pred[..., 0] > (0 if batch.logits else 0.5)
    else:
        labels = batch.own if len(batch.labels.shape) == 2 else ops.argmax(batch.target, axis=-1)
        predicted = ops.argmax(pred, axis=-1)
    labels, predicted = ops.cast(labels, 'int32'), ops.cast(predicted, 'int32')
    return labels, labels != predicted


def rows_at(x: Tensor, place: Tensor, valid: Tensor) -> Tensor:
    """(S, K) of x (R, K) the rows at places, 0 where these are not valid; of no rows all are 0."""
    if not x.shape[0]:
        x = ops.concatenate([x, ops.zeros((1, x.shape[1]), dtype=x.dtype)], axis=0)
    rows = ops.take(x, ops.where(valid, place, ops.zeros_like(place)), axis=0)
    return ops.where(valid[:, None], rows, ops.zeros_like(rows))


def given(owner: str, samples: Any, weight: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The places (R,) of the samples of a call in the pixels of a batch, which of them count, and whether one is nowhere.

    weight: (N, P).
    """
    image, index = (values.to_tensor(x) for x in pair_of_samples(owner, samples))
    dtypes = [backend.standardize_dtype(x.dtype) for x in (image, index)]
    check_sample_shapes(owner, tuple(image.shape), tuple(index.shape), dtypes, most)
    n, pixels = ops.shape(weight)
    if values.can_look(index) and values.can_look(image):
        in_numpy = [np.asarray(ops.convert_to_numpy(x)) for x in (image, index)]
        check_sample_values(owner, in_numpy[0], in_numpy[1], n, pixels)
    image, index = (ops.cast(x, 'int32') for x in (image, index))
    image = image[:, None] + ops.zeros_like(index)
    inside = ops.logical_and(ops.logical_and(image >= 0, image < n), ops.logical_and(index >= -1, index < pixels))
    there = ops.reshape(ops.logical_and(inside, index >= 0), (-1,))
    place = ops.reshape(image * pixels + index, (-1,))
    weight = ops.concatenate([ops.reshape(weight, (-1,)), ops.zeros((1,), dtype=weight.dtype)])
    place = ops.where(there, place, ops.shape(weight)[0] - 1 + ops.zeros_like(place))
    kept = ops.logical_and(there, ops.take(weight, place) != 0)
    return ops.where(kept, place, ops.zeros_like(place)), kept, ops.logical_not(ops.all(inside))
