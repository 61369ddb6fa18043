"""What a metric receives, in Keras: labels, and scores or class ids, as flat maps of ids."""

from math import prod
from typing import Any, NamedTuple

from keras import backend, ops

from keras_plugin.metrics.scores import number
from shared_spec import shapes


class LabelMaps(NamedTuple):
    """A batch of N images of P pixels. Ids are int32; C, the number of classes, stands for no class and no pixel."""

    target: Any  # (N, P)
    pred: Any  # (N, P)
    valid: Any  # bool (N, P): the pixel counts
    wrong: Any  # int32 (): pixels that count and whose prediction is no class or no number, or whose label is no id
    scores: Any  # (N, *space, C) or (N, *space, 1) as given; None where class ids were given
    space: tuple  # the sizes of the spatial axes, None where not known


def label_maps(spec, owner, from_logits, y_true, y_pred, sample_weight=None):
    """The maps of a batch; ValueError for shapes that do not belong together.

    y_true: class ids (N, *space) or (N, *space, 1) of any dtype, or (N, *space, C) (its argmax); y_pred: scores
    (N, *space, C) (argmax), one channel (above 0 as logits, above 1/2 as probabilities, is class 1), or integer ids;
    sample_weight (N,), (N, *space) or (N, *space, 1): a pixel counts where it is above 0.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    c = spec.num_classes
    pred, kind, maps = _predicted(owner, c, from_logits, y_true, y_pred)
    target = ops.argmax(y_true, axis=-1) if kind == 'channels' else _ids(y_true)
    n, *space = ops.shape(y_true)[: len(maps) - 1]
    p = prod(space)
    target, pred = ops.reshape(target, (n, p)), ops.reshape(ops.cast(pred, 'int32'), (n, p))
    target, odd = ops.cast(target, 'int32'), ops.reshape(_no_ids(y_true, kind), (n, p))

    valid = ops.ones_like(target, dtype='bool')
    if spec.ignore_index is not None:
        valid = ops.logical_or(ops.not_equal(target, spec.ignore_index), odd)
    if sample_weight is not None:
        weight = ops.convert_to_tensor(sample_weight)
        if backend.standardize_dtype(weight.dtype) == 'bool':  # which TensorFlow does not compare with a number
            weight = ops.cast(weight, 'int32')
        per_image = shapes.weight_kind(owner, maps, tuple(weight.shape), 'last') == 'image'
        valid = ops.logical_and(valid, ops.reshape(weight, (n, 1) if per_image else (n, p)) > 0)

    known = ops.logical_and(pred >= 0, pred < c)
    scores = y_pred if backend.is_float_dtype(y_pred.dtype) else None
    fine = known if scores is None else ops.reshape(_are_numbers(scores), (n, p))
    wrong = number(ops.logical_and(valid, ops.logical_or(odd, ops.logical_not(fine))))
    pred = ops.where(ops.logical_and(valid, known), pred, c)
    labelled = ops.logical_and(target >= 0, target < c)
    target = ops.where(ops.logical_and(valid, labelled), target, c)
    known_space = tuple(a if b is None else b for a, b in zip(maps[1:-1], y_true.shape[1:]))
    return LabelMaps(target, pred, valid, wrong, scores, known_space)


def _predicted(owner, c, from_logits, y_true, y_pred):
    """Predicted ids, what kind of labels y_true holds, and the shape (N, *space, C) that both stand for."""
    given, labels = tuple(y_pred.shape), tuple(y_true.shape)
    if backend.is_float_dtype(y_pred.dtype):
        shapes.check_pred(owner, given, 'last')
        if given[-1] not in (1, c) or (given[-1] == 1 and c != 2):
            wanted = f'{c} channels' + (' (or one, the foreground)' if c == 2 else '')
            raise ValueError(
                f'{owner}: pred must be (N, *space, C) with {wanted} or integer class ids, got {shapes.text(given)}'
            )
        maps = (*given[:-1], c)
        ids = ops.argmax(y_pred, axis=-1) if given[-1] != 1 else y_pred > (0.0 if from_logits else 0.5)
        return ids, shapes.label_kind(owner, maps, labels, 'last'), maps
    maps = maps_of_ids(owner, c, given, labels)
    return _ids(y_pred), shapes.label_kind(owner, maps, labels, 'last'), maps


def maps_of_ids(owner, c, given, labels):
    """The shape (N, *space, C) that class ids of the shape ``given`` stand for; they may have a last axis of length 1."""
    whole, squeezed = (*given, c), (*given[:-1], c)
    if len(given) > 2 and given[-1] == 1 and _matches(owner, squeezed, labels):
        if len(given) > 3 or not _matches(owner, whole, labels):
            whole = squeezed
    shapes.check_pred(owner, whole, 'last')
    return whole


def _matches(owner, maps, labels):
    try:
        return bool(shapes.label_kind(owner, maps, labels, 'last'))
    except ValueError:
        return False


def _ids(labels):
    """Labels as integers: Keras may hand ids as floats, rounded here and never cast to anything narrower."""
    if backend.standardize_dtype(labels.dtype) == 'bool':  # no cast: on TensorFlow a bool of the byte 255 becomes 255
        return ops.where(labels, 1, 0)
    return ops.round(labels) if backend.is_float_dtype(labels.dtype) else labels


def _are_numbers(scores):
    """Where no score is NaN or +inf, by their sum, which is one pass without an array of its own."""
    half = backend.standardize_dtype(scores.dtype) == 'float16'  # which overflows
    return ops.sum(ops.cast(scores, 'float32') if half else scores, axis=-1) < float('inf')


def _no_ids(labels, kind):
    """Where a label is NaN or, among ids, a fraction, as a resize that interpolates makes them."""
    if kind == 'channels':
        return ops.any(ops.not_equal(labels, labels), axis=-1)
    return ops.not_equal(labels, ops.round(labels) if backend.is_float_dtype(labels.dtype) else labels)
