"""What a metric receives, in Keras: labels, and scores or class ids, as flat maps of ids."""

from math import prod
from typing import Any, NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin.metrics.top_class import top_class
from keras_plugin.metrics.wrong_pixels import (
    count_by_kind,
    is_out_of_range,
    is_probability,
    is_valid_weight,
    wrong_labels,
)
from keras_plugin.typing import Tensor
from keras_plugin.values import negate
from shared_spec import shapes
from shared_spec.metrics.label_map_spec import LabelMapSpec
from shared_spec.typing import Shape

INT32 = np.iinfo(np.int32)


class LabelMaps(NamedTuple):
    """A batch of N images of P pixels. Ids are int32; C, the number of classes, stands for no class and no pixel."""

    target: Any  # (N, P)
    pred: Any  # (N, P)
    valid: Any  # bool (N, P): the pixel counts
    wrong: Any  # int32 (KINDS,): how many pixels that count are wrong
    scores: Any  # (N, *space, C) or (N, *space, 1) as given; None where class ids were given
    space: tuple  # the sizes of the spatial axes, None where not known


def label_maps(
    spec: LabelMapSpec,
    owner: str,
    from_logits: bool,
    y_true: Tensor,
    y_pred: Tensor,
    sample_weight: Tensor | None = None,
) -> LabelMaps:
    """The maps of a batch; ValueError for shapes that do not belong together.

    y_true: class ids (N, *space) or (N, *space, 1) of any dtype, or (N, *space, C) in [0, 1] (its argmax); y_pred:
    scores (N, *space, C) (argmax), one channel (above 0 as logits, above 1/2 as probabilities, is class 1), or integer
    ids; sample_weight (N,), (N, *space) or (N, *space, 1): a pixel counts where it is above 0.
    """
    y_true, y_pred = tensor(y_true), tensor(y_pred)
    c = spec.num_classes
    kind, maps = _kind(owner, c, y_true, y_pred)
    n, *space = ops.shape(y_true)[: len(maps) - 1]
    p = prod(space)
    target, valid, wrong = _labels(spec, kind, y_true, (n, p))
    pred, wrong_pred = _predicted(c, from_logits, y_pred, (n, p))
    wrong = {**wrong, **wrong_pred}
    if sample_weight is not None:
        weight = tensor(sample_weight)
        if not backend.is_float_dtype(weight.dtype):
            weight = ops.cast(weight, 'float32')
        per_image = shapes.weight_kind(owner, maps, tuple(weight.shape), 'last') == 'image'
        weight = ops.reshape(weight, (n, 1) if per_image else (n, p))
        labelled, valid = valid, valid & (weight > 0)
    wrong = {kind: valid & mask for kind, mask in wrong.items()}
    if sample_weight is not None:
        wrong['weights'] = labelled & ~is_valid_weight(weight)

    target, pred = ops.where(valid, target, c), ops.where(valid, pred, c)
    known_space = tuple(a if b is None else b for a, b in zip(maps[1:-1], y_true.shape[1:]))
    scores = y_pred if backend.is_float_dtype(y_pred.dtype) else None
    return LabelMaps(target, pred, valid, count_by_kind(wrong), scores, known_space)


def tensor(x: Any) -> Tensor:
    """x as a tensor, bools as the integers 0 and 1; wide integers of NumPy keep their sign where the backend is narrow."""
    if isinstance(x, np.ndarray) and x.dtype.kind in 'iu' and x.dtype.itemsize >= 4 and x.dtype != np.int32:
        x = x.clip(max(np.iinfo(x.dtype).min, INT32.min), INT32.max).astype('int32')
    x = ops.convert_to_tensor(x)
    # TensorFlow's cast would show the bytes of a bool, which are 255 in Pillow's
    return ops.where(x, 1, 0) if backend.standardize_dtype(x.dtype) == 'bool' else x


def _labels(
    spec: LabelMapSpec, kind: str, y_true: Tensor, shape: tuple[Any, ...]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """int32 ids of the shape (N, P), C where a label is no class; where they are not ignored; kind -> what is wrong."""
    c, dtype = spec.num_classes, backend.standardize_dtype(y_true.dtype)
    if kind == 'channels':
        target = ops.reshape(ops.cast(ops.argmax(y_true, axis=-1), 'int32'), shape)
        is_float = backend.is_float_dtype(dtype)
        known = ops.all(is_probability(y_true) if is_float else (y_true >= 0) & (y_true <= 1), axis=-1)
        known, fraction = ops.reshape(known, shape), None
    else:
        target, fraction = ops.reshape(_comparable(y_true), shape), None
        known = (target >= 0) & (target < c)
        if backend.is_float_dtype(dtype):
            fraction = ops.round(target) != target
            known = known & ~fraction
    valid = ops.ones_like(target, dtype='bool')
    if spec.ignore_index is not None and (spec.ignore_index >= 0 or not dtype.startswith('uint')):
        valid = target != spec.ignore_index
    ids = ops.cast(ops.where(known, target, c), 'int32')
    if kind == 'channels':
        return ids, valid, dict(maps=~known)
    return ids, valid, wrong_labels(target, known, fraction, c)


def _comparable(labels: Tensor) -> Tensor:
    """Labels in a type that holds every class id, and whose order their backend knows."""
    dtype = backend.standardize_dtype(labels.dtype)
    if dtype in ('int8', 'uint8', 'int16', 'uint16'):
        return ops.cast(labels, 'int32')
    if dtype in ('uint32', 'uint64') and backend.backend() == 'torch':
        return ops.cast(labels, 'int64')
    return ops.cast(labels, 'float32') if dtype in ('float16', 'bfloat16') else labels


def _kind(owner: str, c: int, y_true: Tensor, y_pred: Tensor) -> tuple[str, tuple[int | None, ...]]:
    """What kind of labels y_true holds, and the shape (N, *space, C) that both stand for."""
    given, labels = tuple(y_pred.shape), tuple(y_true.shape)
    if backend.is_float_dtype(y_pred.dtype):
        check_scores(owner, c, given)
        maps = (*given[:-1], c)
    else:
        maps = maps_of_ids(owner, c, given, labels)
    return shapes.label_kind(owner, maps, labels, 'last'), maps


def check_scores(
    owner: str, c: int, given: tuple[int | None, ...], must: str = 'pred must be (N, *space, C) with'
) -> None:
    """Refuses scores of a shape that is not (N, *space, C), nor one channel for two classes."""
    shapes.check_pred(owner, given, 'last')
    channels = given[-1]
    if c == 1 and channels in (1, 2):
        raise ValueError(
            f'{owner}: num_classes must be 2 for foreground against background, with one output channel too, got 1'
        )
    if channels not in (1, c) or (channels == 1 and c != 2):
        wanted = f'{c} channels' + (' (or one, the foreground)' if c == 2 else '')
        raise ValueError(f'{owner}: {must} {wanted} or integer class ids, got {shapes.as_text(given)}')


def _predicted(c: int, from_logits: bool, y_pred: Tensor, shape: tuple[Any, ...]) -> tuple[Tensor, dict[str, Tensor]]:
    """int32 ids of the shape (N, P), C where there is none; kind -> what is wrong."""
    if not backend.is_float_dtype(y_pred.dtype):
        pred = ops.reshape(_comparable(y_pred), shape)
        known = (pred >= 0) & (pred < c)
        return ops.cast(ops.where(known, pred, c), 'int32'), dict(ids=~known)
    if y_pred.shape[-1] > 1:
        pred, sound = (ops.reshape(x, shape) for x in top_class(y_pred))
        return ops.where(sound, pred, c), dict(scores=~sound)
    score = ops.reshape(y_pred, shape)
    sound = score < float('inf')
    wrong = dict(scores=negate(sound))
    if not from_logits:
        wrong['probabilities'] = is_out_of_range(score)
    return ops.where(sound, ops.cast(score > (0.0 if from_logits else 0.5), 'int32'), c), wrong


def maps_of_ids(owner: str, c: int, given: tuple[int | None, ...], labels: Shape) -> tuple[Any, ...]:
    """The shape (N, *space, C) that class ids of the shape ``given`` stand for; they may have a last axis of length 1."""
    full_shape, squeezed = (*given, c), (*given[:-1], c)
    if len(given) > 2 and given[-1] == 1 and _matches(owner, squeezed, labels):
        if len(given) > 3 or not _matches(owner, full_shape, labels):
            full_shape = squeezed
    shapes.check_pred(owner, full_shape, 'last')
    return full_shape


def _matches(owner: str, maps: Shape, labels: Shape) -> bool:
    try:
        return bool(shapes.label_kind(owner, maps, labels, 'last'))
    except ValueError:
        return False
