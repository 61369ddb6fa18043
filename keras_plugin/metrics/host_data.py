"""Finite data in batches, as NumPy: what ``fit`` takes, read without Keras' own loops; and images out of them."""

import keras
import numpy as np
from keras import backend, ops, tree

from keras_plugin.metrics.label_maps import maps_of_ids
from shared_spec import shapes

NO_NUMBER = -1  # the prediction of a pixel whose scores are NaN or infinite: refused where it counts
TAKEN = 'arrays (x, y) or (x, y, sample_weight), a tf.data.Dataset, a PyDataset, a DataLoader, or a function that makes an iterator'


def batches(owner, data, batch_size):
    """(x, y, sample_weight or None) after each other, their leaves NumPy arrays, floats of x in Keras' ``floatx``."""
    for batch in _iterator(owner, data, batch_size):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        if y is None:
            raise ValueError(f'{owner}: data must have labels, got batches of x alone')
        y, weight = (None if part is None else to_numpy(part) for part in (y, weight))
        if not isinstance(y, np.ndarray):
            raise ValueError(f'{owner}: data must have one map of labels for each image, got {type(y).__name__}')
        yield tree.map_structure(_as_input, x), y, weight


def check_data(owner, data):
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
    elif hasattr(data, '__next__'):
        raise TypeError(f'{owner}: a generator ends after one epoch, give the function that makes it')
    elif hasattr(data, 'cardinality') and int(data.cardinality()) == -1:
        raise ValueError(f'{owner}: data must be finite, got a tf.data.Dataset that repeats without end')
    elif not (callable(data) or hasattr(data, '__iter__')):
        raise TypeError(f'{owner}: data must be {TAKEN}, got {type(data).__name__}')


def _iterator(owner, data, batch_size):
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


def to_numpy(leaf):
    """A tensor of any framework, or an array, as NumPy."""
    if hasattr(leaf, 'detach'):  # PyTorch's, whatever the backend
        leaf = leaf.detach().cpu()
        return (leaf.float() if leaf.is_floating_point() else leaf).numpy()
    return ops.convert_to_numpy(leaf) if ops.is_tensor(leaf) else np.asarray(leaf)


def _as_input(leaf):
    leaf = to_numpy(leaf)
    return leaf.astype(keras.config.floatx()) if leaf.dtype.kind == 'f' else leaf


def image_maps(owner, num_classes, from_logits, labels, scores, weight):
    """(ids, target, weight or None, prob or None) of each image of a batch: ids, target and weight (*space).

    Shapes as ``keras_plugin.metrics.label_maps`` takes them, with scores what the model predicts; prob is (C, *space),
    or (1, *space) for one channel, in float32 or wider, and None where the model predicts class ids.
    """
    labels, scores, c = np.asarray(labels), np.asarray(scores), num_classes
    given, prob = scores.shape, None
    if backend.is_float_dtype(scores.dtype.name):
        shapes.check_pred(owner, given, 'last')
        if given[-1] != c and (given[-1] != 1 or c != 2):
            wanted = f'{c} channels' + (' (or one, the foreground)' if c == 2 else '')
            raise ValueError(f'{owner}: the model must predict {wanted} or integer class ids, got {shapes.text(given)}')
        maps = (*given[:-1], c)
        prob = scores if scores.dtype.name == 'float64' else scores.astype(np.float32)
        ids = prob.argmax(-1) if given[-1] > 1 else (prob[..., 0] > (0.0 if from_logits else 0.5)).astype(np.int64)
        ids[~(prob < np.inf).all(-1)] = NO_NUMBER
        prob = np.moveaxis(_activated(prob) if from_logits else prob, -1, 1)
    else:
        maps = maps_of_ids(owner, c, given, labels.shape)
        ids = scores.reshape(maps[:-1])
    kind = shapes.label_kind(owner, maps, labels.shape, 'last')
    target = labels.argmax(-1) if kind == 'channels' else labels.reshape(ids.shape)
    if weight is not None:
        per_image = shapes.weight_kind(owner, maps, weight.shape, 'last') == 'image'
        weight = weight.reshape(-1, *[1] * (ids.ndim - 1)) if per_image else weight.reshape(ids.shape)
        weight = np.broadcast_to(weight, ids.shape)
    if target.dtype.kind == 'f':
        odd = (target != np.rint(target)) & (True if weight is None else weight > 0)
        if odd.any():
            raise ValueError(f'{owner}: labels must be class ids, got {target[odd][0]:g}')
        target = np.where(np.isfinite(target), target, 0).astype(np.int64)  # what is none has no weight
    for i in range(len(ids)):
        yield ids[i], target[i], None if weight is None else weight[i], None if prob is None else prob[i]


def _activated(logits):
    """Softmax over the last axis; sigmoid of one channel."""
    if logits.shape[-1] == 1:
        return 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)
