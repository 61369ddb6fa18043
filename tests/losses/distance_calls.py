"""Distance maps of Keras, asked of its workers."""

from typing import Any

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import distance, losses
from keras_plugin.distance_maps import DistanceMaps
from shared_spec import LOSSES
from shared_spec.distance_packing import MARK


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


def as_step(call, compiled):
    """A call of (labels, logits, map) as a backend compiles it."""
    if not compiled:
        return call
    if backend.backend() == 'jax':
        import jax

        return jax.jit(call)
    if backend.backend() == 'tensorflow':
        import tensorflow as tf

        return tf.function(call, jit_compile=True)
    import torch

    return torch.compile(call, backend='eager')


def of_maps(arrays, loss, compiled=False):
    """Values of a loss with each of the maps (N, *space, K) given, whose name begins with 'map_'."""
    made = getattr(losses, loss['type'])(**{k: v for k, v in loss.items() if k != 'type'})
    step = as_step(lambda y, z, d: made(y, z, distance_map=d), compiled)
    y, z = (ops.convert_to_tensor(arrays[name]) for name in 'yz')
    maps = {name: ops.convert_to_tensor(x) for name, x in arrays.items() if name.startswith('map_')}
    return None, {name: np.asarray(ops.convert_to_numpy(step(y, z, d))) for name, d in maps.items()}


def of_packed(arrays, packers, compiled=False):
    """What SurfaceLoss says of labels packed by each of the losses: a sentence, or its value as text."""
    made = losses.SurfaceLoss(from_logits=True, ignore_class=9)
    step, z = as_step(made, compiled), ops.convert_to_tensor(arrays['z'])
    found = {'made': float(step(ops.convert_to_tensor(arrays['y']), z))}
    for name, config in packers.items():
        config = dict(config)
        kind, way, dtype = config.pop('type'), config.pop('way', ''), config.pop('dtype', 'float32')
        classes = config.pop('num_classes', arrays['z'].shape[-1])
        maps, y = DistanceMaps(getattr(losses, kind)(from_logits=True, **config), classes), arrays['y']
        y = np.eye(3, dtype=int)[y] if way == 'one_hot' else y
        packed = maps.pack(y) if way == 'at_once' else np.stack([maps.pack(one) for one in y])
        packed[..., 0] = MARK if way == 'marked_as_before' else packed[..., 0]
        packed = ops.cast(packed, dtype)
        found[name] = sentence_or_value(step, ops.convert_to_tensor(packed), z)
    return found, {}


def sentence_or_value(call, *args, **kwargs):
    try:
        return float(ops.convert_to_numpy(call(*args, **kwargs)))
    except (ValueError, TypeError) as error:
        return f'{type(error).__name__}: {error}'


def of_sums(arrays):
    """Values of sums with a map given, packed and made, and sentences about calls that no map belongs to."""
    y, z = arrays['y'], arrays['z']
    field = losses.HausdorffDistanceLoss(from_logits=True, ignore_class=9)
    erosion = losses.HausdorffDistanceLoss(from_logits=True, ignore_class=9, method='erosion')
    jaccard = losses.JaccardMetricLoss(from_logits=True, ignore_class=9)
    both, inner = losses.WeightedSumLoss([erosion, field]), losses.WeightedSumLoss([jaccard, erosion])
    maps = np.stack([np.moveaxis(field.spec.distance_map(one, z.shape[-1]), 0, -1) for one in y])
    packed = np.stack([DistanceMaps(field, z.shape[-1]).pack(one) for one in y])
    nested = losses.WeightedSumLoss([inner, both])
    surface = losses.SurfaceLoss(from_logits=True, ignore_class=9)
    calls = dict(
        made=lambda: both(y, z), given=lambda: both(y, z, distance_map=maps), packed=lambda: both(packed, z),
        nested=lambda: nested(y, z), nested_given=lambda: nested(y, z, distance_map=maps),
        nested_packed=lambda: nested(packed, z),
        untaken=lambda: inner(y, z, distance_map=maps), jaccard=lambda: jaccard(y, z, distance_map=maps),
        misspelt=lambda: surface(y, z, distance_maps=maps), sum_misspelt=lambda: both(y, z, distance_maps=maps),
        different=lambda: losses.WeightedSumLoss([surface, field])(y, z, distance_map=maps),
        fewer=lambda: surface(y, z, distance_map=maps[:1]), alone=lambda: erosion(packed, z),
    )  # fmt: skip
    return {name: sentence_or_value(call) for name, call in calls.items()}, {}


def of_packers(arrays):
    """What DistanceMaps refuse, and the shapes of what they pack."""
    surface, y = losses.SurfaceLoss(), arrays['y']
    spaced = losses.SurfaceLoss(spacing=[1, 2])
    jaccard, kind = losses.JaccardMetricLoss(), losses.SurfaceLoss
    volumes = DistanceMaps(surface, 3, dimensions=3)
    calls = dict(
        string=lambda: DistanceMaps('SurfaceLoss', 3), kind=lambda: DistanceMaps(kind, 3),
        other=lambda: DistanceMaps(jaccard, 3), classes=lambda: DistanceMaps(surface, 0),
        erosion=lambda: DistanceMaps(losses.HausdorffDistanceLoss(method='erosion'), 3),
        contradiction=lambda: DistanceMaps(spaced, 3, dimensions=3), axes=lambda: DistanceMaps(surface, 3, dimensions=4),
        batch=lambda: DistanceMaps(surface, 3, dimensions=2).pack(y), spaced=lambda: DistanceMaps(spaced, 3).pack(y),
        one_hot=lambda: DistanceMaps(surface, 3, dimensions=2).pack(np.eye(3, dtype=int)[y[0]]),
        label=lambda: DistanceMaps(surface, 3).pack(y[0] + 253), alone=lambda: DistanceMaps(surface, 3)(y[0]),
    )  # fmt: skip
    packed = dict(
        volume=volumes.pack(y), thin=volumes.pack(y[..., :1]), channel=DistanceMaps(surface, 3).pack(y[0][..., None])
    )
    return {name: sentence_or_value(call) for name, call in calls.items()}, packed


def of_datasets(arrays):
    """What dataset.map says of batches, of labels alone and of labels whose axes are not known; the shapes that it knows."""
    import tensorflow as tf

    z, y = arrays['z'], arrays['y']
    surface = losses.SurfaceLoss(from_logits=True, ignore_class=9)
    pairs, labels = tf.data.Dataset.from_tensor_slices((z, y)), tf.data.Dataset.from_tensor_slices(y)
    blind = tf.data.Dataset.from_generator(lambda: zip(z, y), output_types=(tf.float32, tf.int64))
    maps, loss = DistanceMaps(surface, z.shape[-1]), tf.function(surface, jit_compile=True)

    def told(make):
        try:
            return str(next(iter(make()))[1].shape)
        except Exception as error:  # whichever of its own tf.data wraps the sentence in
            return str(error)

    found = dict(
        right=told(lambda: pairs.map(maps)), batches=told(lambda: pairs.batch(2).map(maps)), alone=told(lambda: labels.map(maps)),
        blind=told(lambda: blind.map(maps)),
        checked=told(lambda: pairs.batch(2, drop_remainder=True).map(DistanceMaps(surface, z.shape[-1], dimensions=2))),
    )  # fmt: skip
    _, across = next(iter(pairs.batch(2, drop_remainder=True).map(maps)))
    return found, {'across': np.asarray(loss(across, z))}
