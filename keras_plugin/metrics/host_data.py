"""Finite data in batches, as NumPy: what ``fit`` takes, read without Keras' own loops; and images out of them."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import backend, ops, tree

from keras_plugin.metrics.label_maps import check_scores, maps_of_ids
from keras_plugin.metrics.wrong_pixels import (
    KINDS,
    is_out_of_range,
    is_probability,
    is_valid_weight,
    must_raise,
    sentence,
    wrong_labels,
)
from shared_spec import shapes
from shared_spec.metrics.fine_grained import FineGrained

Image = tuple[np.ndarray, np.ndarray, np.ndarray | None, Any]  # ids, target, weight or None, prob or None

TAKEN = 'arrays (x, y) or (x, y, sample_weight), a tf.data.Dataset, a PyDataset, a DataLoader, or a function that makes an iterator'


def batches(owner: str, data: Any, batch_size: int) -> Iterator[tuple[Any, np.ndarray, np.ndarray | None]]:
    """(x, y, sample_weight or None) after each other, their leaves NumPy arrays, floats of x in Keras' ``floatx``."""
    for batch in parts(data, batch_size):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None:
            raise ValueError(f'{owner}: data must have labels, got batches of x alone')
        y, weight = (None if part is None else to_numpy(part) for part in (y, weight))
        if not isinstance(y, np.ndarray):
            raise ValueError(f'{owner}: data must have one map of labels for each image, got {type(y).__name__}')
        yield tree.map_structure(as_input, x), y, weight


def check_data(owner: str, data: Any) -> None:
    """Refuses what cannot be read again at every epoch, or never ends."""
    if isinstance(data, (tuple, list)):
        sizes = {len(leaf) for leaf in tree.flatten(list(data)) if leaf is not None}
        if len(data) not in (2, 3) or len(sizes) != 1:
            raise ValueError(
                f'{owner}: arrays must be (x, y) or (x, y, sample_weight) with one entry for each image, '
                f'got {len(data)} of the lengths {sorted(sizes)}'
            )
    elif isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise ValueError(f'{owner}: data must be finite, got a PyDataset whose num_batches is None')
    elif hasattr(data, 'cardinality') and int(data.cardinality()) == -1:
        raise ValueError(f'{owner}: data must be finite, got a tf.data.Dataset that repeats without end')
    check_kind(owner, data)


def check_kind(owner: str, data: Any) -> None:
    """Refuses what cannot be read again."""
    if hasattr(data, '__next__'):
        raise TypeError(f'{owner}: a generator ends after one epoch, give the function that makes it')
    if not (isinstance(data, keras.utils.PyDataset) or callable(data) or hasattr(data, '__iter__')):
        raise TypeError(f'{owner}: data must be {TAKEN}, got {type(data).__name__}')


def parts(data: Any, batch_size: int) -> Iterator[Any]:
    """The batches of what ``fit`` takes, arrays in parts of ``batch_size`` images."""
    if isinstance(data, (tuple, list)):
        data = tuple(data)
        n = len(tree.flatten(data[0])[0])
        for start in range(0, n, batch_size):
            part = slice(start, start + batch_size)
            yield tree.map_structure(lambda leaf, part=part: None if leaf is None else leaf[part], data)
    elif isinstance(data, keras.utils.PyDataset):
        for i in range(data.num_batches):
            yield data[i]
    else:
        yield from data if hasattr(data, '__iter__') else data()


def to_numpy(leaf: Any) -> np.ndarray:
    """A tensor of any framework, or an array, as NumPy."""
    if hasattr(leaf, 'detach'):  # PyTorch's, whatever the backend
        leaf = leaf.detach().cpu()
        return (leaf.float() if leaf.is_floating_point() else leaf).numpy()
    return ops.convert_to_numpy(leaf) if ops.is_tensor(leaf) else np.asarray(leaf)


def as_input(leaf: Any) -> np.ndarray:
    """A leaf of x as ``fit`` hands it to a model."""
    leaf = to_numpy(leaf)
    return leaf.astype(keras.config.floatx()) if leaf.dtype.kind == 'f' else leaf


def image_maps(
    spec: FineGrained, owner: str, from_logits: bool, labels: np.ndarray, scores: np.ndarray, weight: np.ndarray | None
) -> tuple[list[Image], int]:
    """The images of a batch, and in how many pixels that count the scores are no numbers (those are 0 here).

    An image is (ids, target, weight or None, prob or None): ids, target and weight (*space). Shapes as
    ``keras_plugin.metrics.label_maps`` takes them, with scores what the model predicts; prob is (C, *space), or
    (1, *space) for one channel, in float32 or wider, and None where the model predicts class ids. Labels, weights and
    probabilities outside their range are a ValueError.
    """
    labels, scores, c = _plain(labels), _plain(scores), spec.num_classes
    given, prob, wrong = scores.shape, None, {}
    if scores.dtype.kind == 'f':
        check_scores(owner, c, given, 'the model must predict')
        maps = (*given[:-1], c)
        top = scores.max(-1)
        sound = np.isfinite(top) if given[-1] > 1 else top < np.inf
        wrong['scores'] = ~sound
        if given[-1] == 1 and not from_logits:
            wrong['probabilities'] = is_out_of_range(scores[..., 0])
        prob = np.where(sound[..., None], scores, scores.dtype.type(0))
        ids = prob.argmax(-1) if given[-1] > 1 else (prob[..., 0] > (0.0 if from_logits else 0.5)).astype(np.int64)
        prob = np.moveaxis(_activated(prob) if from_logits else prob, -1, 1)
    else:
        maps = maps_of_ids(owner, c, given, labels.shape)
        ids = scores.reshape(maps[:-1])
    target, known, of_labels = _labels(shapes.label_kind(owner, maps, labels.shape, 'last'), labels, ids.shape, c)
    wrong.update(of_labels)
    valid = labelled = target != spec.ignore_index
    if weight is not None:
        weight = _plain(weight)
        per_image = shapes.weight_kind(owner, maps, weight.shape, 'last') == 'image'
        weight = weight.reshape(-1, *[1] * (ids.ndim - 1)) if per_image else weight.reshape(ids.shape)
        weight = np.broadcast_to(weight, ids.shape)
        valid = labelled & (weight > 0)
    seen = {kind: int((valid & wrong[kind]).sum()) if kind in wrong else 0 for kind in KINDS}
    if weight is not None:
        seen['weights'] = int((labelled & ~is_valid_weight(weight)).sum())
    if must_raise(seen):
        raise ValueError(f'{owner}: {sentence(c, seen)}')
    target = np.where(known | ~labelled, target, 0).astype(np.int64)  # under weight 0 it may be anything, NaN too
    images = [
        (ids[i], target[i], None if weight is None else weight[i], None if prob is None else prob[i])
        for i in range(len(ids))
    ]
    return images, seen['scores']


def _plain(x: Any) -> np.ndarray:
    """An array of a type that NumPy compares: half precision as float32, bools as integers."""
    x = np.asarray(x)
    if backend.is_float_dtype(x.dtype.name):
        return x if x.dtype.name == 'float64' else x.astype(np.float32)
    return x.astype(np.uint8) if x.dtype.kind == 'b' else x


def _labels(
    kind: str, labels: np.ndarray, shape: tuple[int, ...], c: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Labels as ids of the shape (N, *space), where they are classes, and kind -> what is wrong."""
    if kind == 'channels':
        known: Any = (is_probability(labels) if labels.dtype.kind == 'f' else (labels >= 0) & (labels <= 1)).all(-1)
        return labels.argmax(-1), known, dict(maps=~known)
    target, fraction = labels.reshape(shape), None
    known = (target >= 0) & (target < c)
    if target.dtype.kind == 'f':
        fraction = np.rint(target) != target
        known &= ~fraction
    return target, known, wrong_labels(target, known, fraction, c)


def _activated(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis; sigmoid of one channel."""
    if logits.shape[-1] == 1:
        return 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)
