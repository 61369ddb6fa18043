"""The class ids that the soft-label functions take, in Keras."""

import functools
from collections.abc import Sequence

from keras import backend, ops

from keras_plugin import values
from keras_plugin.typing import Tensor
from shared_spec.soft_label_arguments import check_labels
from shared_spec.values import check_whole_maps


def class_ids(owner: str, target: Tensor, num_classes: int, ignore_class: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """int32 ids (N, *space), which pixels count, and which are neither a class nor ignored, refused where they are seen."""
    return known_ids(owner, as_labels(owner, target), num_classes, ignore_class)


def as_labels(owner: str, target: Tensor) -> Tensor:
    """Labels (N, *space) ``as_numbers``. A class axis of length 1 is dropped."""
    target = values.to_tensor(target)
    shape = known_shape(owner, target)
    if len(shape) >= 4 and shape[-1] == 1:
        target, shape = ops.squeeze(target, axis=-1), shape[:-1]
    dtype = backend.standardize_dtype(target.dtype)
    check_labels(owner, shape, dtype == 'bool' or dtype.startswith(('int', 'uint')), dtype)
    return values.as_numbers(target)


def known_ids(owner: str, labels: Tensor, num_classes: int, ignore_class: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """``class_ids`` of what ``as_labels`` gives."""
    valid = ops.ones_like(labels, dtype='bool')
    if ignore_class is not None:
        valid = ops.logical_not(values.equals(labels, ignore_class))
    wrong = ops.logical_and(valid, values.is_no_class(labels, num_classes))
    values.look(functools.partial(values.check_ids, owner, num_classes), wrong, labels, valid)
    return ops.cast(labels, 'int32'), ops.logical_and(valid, ops.logical_not(wrong)), wrong


def known_shape(owner: str, target: Tensor) -> tuple[int | None, ...]:
    """The shape as a tuple; TensorFlow may not even know how many axes there are."""
    if getattr(target.shape, 'rank', 0) is None:
        raise ValueError(f'{owner}: target must have a known number of axes, give it with set_shape')
    return tuple(target.shape)


def background_where_absent(owner: str, maps: Sequence[Tensor], missing: int) -> tuple[list[Tensor], list[Tensor]]:
    """The maps with class 0 in the images where an annotator is absent, and for each (N, 1, ...) whether one is present."""
    found, present = [], []
    for labels in maps:
        gone, space = values.equals(labels, missing), tuple(range(1, len(labels.shape)))
        absent = ops.all(gone, axis=space, keepdims=True)
        partly = ops.logical_and(gone, ops.logical_not(absent))
        values.look(functools.partial(check_whole_maps, owner, missing), partly, gone)
        found.append(ops.where(absent, ops.zeros_like(labels), labels))
        present.append(ops.logical_not(absent))
    return found, present


def is_class(ids: Tensor, num_classes: int) -> Tensor:
    """(N, *space, C) whether an id is the class."""
    return ids[..., None] == ops.arange(num_classes, dtype='int32')


def float_dtype(owner: str, dtype: str | None) -> str:
    """The name of a dtype that can hold soft labels; None is Keras' own default."""
    try:
        name = backend.standardize_dtype(dtype)
    except ValueError:
        name = None
    if name is None or not backend.is_float_dtype(name):
        raise ValueError(f'{owner}: dtype must be a floating point type, got {dtype!r}')
    return name
