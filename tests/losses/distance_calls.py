"""Distance maps of Keras, asked of its workers."""

from typing import Any

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import distance, losses
from keras_plugin.distance_maps import DistanceMaps
from shared_spec import LOSSES


def distances(arrays, spacing=None, compiled=False, unknown=False):
    """``distance_to`` of masks (N, *space, C), eagerly or compiled; unknown: of lengths that the graph does not know."""

    def make(masks):
        return distance.distance_to(masks, spacing, 'float32')

    masks = arrays['masks']
    if compiled and backend.backend() == 'jax':
        import jax

        make = jax.jit(make)
    if compiled and backend.backend() == 'tensorflow':
        import tensorflow as tf

        rank = masks.ndim
        shape = [None] * (rank - 1) + [masks.shape[-1]] if unknown else masks.shape
        make = tf.function(make, jit_compile=not unknown, input_signature=[tf.TensorSpec(shape, tf.bool)])
    found = ops.convert_to_numpy(make(ops.convert_to_tensor(masks)))
    return None, {'distance': np.asarray(found)}


def given(arrays, loss):
    """Values of a loss with a map made, given, packed, given with garbage where ignored, and wrong; the sentences of refusals."""
    spec: Any = LOSSES[loss.pop('type')](ignore_index=9, **loss)
    build = getattr(losses, type(spec).__name__)
    made = build(**spec.to_keras())
    z, y = arrays['z'], arrays['y']
    maps = np.stack([np.moveaxis(spec.distance_map(one, z.shape[-1]), 0, -1) for one in y])
    wild, wrong = np.where((y == 9)[..., None], np.nan, maps), maps.copy()
    wrong[0, -1, -1] = np.nan
    packed = np.stack([DistanceMaps(made, z.shape[-1]).pack(one) for one in y])
    unmarked = packed.copy()
    unmarked[..., 0] = 0
    both = losses.WeightedSumLoss([losses.JaccardMetricLoss(from_logits=True, ignore_class=9), made])
    values = dict(
        made=made(y, z), given=made(y, z, distance_map=maps), wild=made(y, z, distance_map=wild), packed=made(packed, z),
        wrong=made(y, z, distance_map=wrong), zero=made(y, z, distance_map=0 * maps),
        sum=both(y, z), sum_packed=both(packed, z),
    )  # fmt: skip
    refused = {}
    other = losses.RegionWiseLoss(from_logits=True, ignore_class=9, spacing=[3, 4])
    for name, call in dict(
        shape=lambda: made(y, z, distance_map=maps[:, 1:]),
        dtype=lambda: made(y, z, distance_map=maps.astype(np.int32)),
        unmarked=lambda: made(unmarked, z),
        different=lambda: losses.WeightedSumLoss([made, other])(packed, z),
    ).items():
        try:
            call()
        except (ValueError, TypeError) as error:
            refused[name] = f'{type(error).__name__}: {error}'
    return refused, {name: np.asarray(ops.convert_to_numpy(value)) for name, value in values.items()}


def pipeline(arrays):
    """What a model's ``fit`` and ``evaluate`` say on packed labels of tf.data, and on plain ones."""
    import tensorflow as tf

    loss = losses.SurfaceLoss(from_logits=True, ignore_class=9)
    plain = tf.data.Dataset.from_tensor_slices((arrays['z'], arrays['y']))
    maps = plain.map(DistanceMaps(loss, arrays['z'].shape[-1]))
    inputs = keras.Input(arrays['z'].shape[1:])
    found = {}
    for name, data in dict(plain=plain, packed=maps).items():
        model = keras.Model(inputs, keras.layers.Conv2D(arrays['z'].shape[-1], 1, kernel_initializer='ones')(inputs))
        model.compile('sgd', loss=loss, jit_compile=True)
        model.fit(data.batch(2, drop_remainder=True), epochs=2, verbose=0)
        found[name] = np.asarray(model.evaluate(data.batch(2, drop_remainder=True), verbose=0))
    return [tuple(x.shape) for x in maps.element_spec], found


def of_one_hot_floats(arrays, classes):
    """What DistanceMapCrossEntropyLoss says of one-hot labels in float32."""
    labels = np.eye(classes, dtype='float32')[np.arange(16).reshape(1, 4, 4) % classes]
    try:
        return float(losses.DistanceMapCrossEntropyLoss(from_logits=True)(labels, labels)), {}
    except ValueError as error:
        return str(error), {}
