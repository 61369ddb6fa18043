"""Selected pixels of Keras, asked of its workers; eagerly or compiled."""

import numpy as np
from keras import backend, ops

from keras_plugin import kth_largest, losses
from shared_spec import LOSSES


def compiled(function, jit):
    """``function`` of arrays as a user's step is compiled, or as it is."""
    if not jit or backend.backend() == 'torch':
        return function
    if backend.backend() == 'jax':
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def maps(arrays, loss, jit=False):
    """The mean, and the map of the losses of single pixels, of logits z (N, C, P) and labels y."""
    spec = LOSSES[loss['type']].from_dict(loss)
    pred, found = np.moveaxis(arrays['z'], 1, -1).astype('float32'), {}
    for reduction in ('mean', 'none'):
        call = getattr(losses, loss['type'])(**spec.keras_arguments(), reduction=reduction)
        value = compiled(call, jit)(ops.convert_to_tensor(arrays['y']), ops.convert_to_tensor(pred))
        found[reduction] = np.asarray(ops.convert_to_numpy(value))
    return None, found


def edges(arrays, ranks, jit=False):
    """Each of ``ranks``' (is the number at most the k-th largest of x, how many of those tied are in, how many are tied)."""

    def find(x, counts, k):
        keys = kth_largest.keys_of(x)
        edge = kth_largest.kth_largest(keys, counts, k)
        return keys <= edge.key, edge.left, edge.tied

    find, found = compiled(find, jit), {}
    x, counts = (ops.convert_to_tensor(arrays[name]) for name in ('x', 'counts'))
    for k in ranks:
        outcome = find(x, counts, ops.convert_to_tensor(np.array(k, 'int32')))
        found |= {
            f'{name} {k}': np.asarray(ops.convert_to_numpy(v)) for name, v in zip(('low', 'left', 'tied'), outcome)
        }
    return None, found


def places(arrays, shares, numbers):
    """floor(n * share) of numbers, in the integers that JAX has."""
    found = [
        [int(kth_largest.share_of_number(ops.convert_to_tensor(np.array(n, 'int32')), *share)) for n in numbers]
        for share in shares
    ]
    return found, {}
