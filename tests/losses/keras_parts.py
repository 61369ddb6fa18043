"""Pieces of the Keras losses that a whole loss shows seldom; runs in the workers, never in pytest's own process."""

import unittest.mock
import warnings

import keras
import numpy as np
from keras import backend, ops

import keras_plugin
from keras_plugin import arithmetic, values
from shared_spec import LOSSES
from tests.losses.keras_calls import data, from_logits

CROSS_ENTROPIES = {
    'weights': dict(class_weight=[0.5, 2, 3]),
    'frequencies': dict(class_weight='inverse_frequency'),
    'frequencies_of_channels': dict(class_weight='inverse_frequency', activation='sigmoid'),
    'balanced': dict(class_weight='balanced', activation='sigmoid'),
}


def cross_entropies(arrays):
    """Name -> its map, its sum and its mean, and the reference's."""
    (z, y), found = data(), {}
    weight = np.random.default_rng(1).uniform(0.5, 2, y.shape).astype('float32')
    for name, params in CROSS_ENTROPIES.items():
        spec = LOSSES['WeightedCrossEntropyLoss'](label_smoothing=0.1, **params)
        for reduction in ('none', 'sum', 'mean'):
            loss = keras_plugin.losses.WeightedCrossEntropyLoss(
                from_logits=True, label_smoothing=0.1, reduction=reduction, **params
            )
            found[f'{name} {reduction} got'] = np.asarray(ops.convert_to_numpy(loss(y, z, weight)))
            found[f'{name} {reduction} want'] = np.asarray(
                spec.reference(np.moveaxis(z, -1, 1), y, weight, reduction=reduction)
            )
    return None, found


def helpers(arrays):
    """Name -> numbers of what the statistics are made with, and their dtypes."""
    x = ops.convert_to_tensor(np.array([-1, 0.1, 0.2, 0.5, 0.75, 2], 'float32'))
    none = ops.zeros((2, 0, 3))
    got = dict(
        floor=arithmetic.at_least(x, 0.2),
        clip=arithmetic.clip(x, 0.2, 0.75),
        power=arithmetic.power(x, 0.5),
        largest=arithmetic.largest(ops.stack([x, -x]), axis=1),
        largest_kept=arithmetic.largest(ops.stack([x, x]), axis=1, keepdims=True),
        largest_below=arithmetic.largest(-2.0 - ops.abs(x), axis=0, least=-1e30),
        largest_of_none=arithmetic.largest(none, axis=1),
        largest_of_none_kept=arithmetic.largest(none, axis=1, keepdims=True),
        ratio=arithmetic.ratio(x, ops.where(x < 0.3, ops.zeros_like(x), x)),
        ratio_empty=arithmetic.ratio(x * np.nan, ops.zeros_like(x), 0.0),
        minimum=arithmetic.minimum(x, ops.flip(x, axis=0)),
    )
    arrays = {name: np.asarray(ops.convert_to_numpy(value)) for name, value in got.items()}
    return {name: str(value.dtype) for name, value in arrays.items()}, arrays


def integers(arrays):
    """The widest integers, and what two labels that need them become."""
    wide = np.array([2**40, -(2**40), 7])
    tensor = values.to_tensor(wide)
    return values.widest_integer_dtype(), dict(tensor=np.asarray(ops.convert_to_numpy(tensor)))


def seen_elsewhere(arrays):
    """Whether values of a tensor that has none can be seen, without and with SEGPARITY_DEBUG."""
    import torch

    found = []
    for debug in (False, True):
        with unittest.mock.patch.object(values, 'DEBUG', debug):
            found.append(values.can_look(torch.zeros(1, device='meta')))
    return found, {}


def warned_of_compilation(arrays):
    """What a step says that nothing can look into."""
    if backend.backend() == 'tensorflow':
        compiled = unittest.mock.patch('keras_plugin.tensorflow_replicas.in_xla', lambda: True)
    else:
        compiled = unittest.mock.patch('torch.compiler.is_compiling', lambda: True)
    with compiled, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        values.check_in_step(lambda *_: None, [])
    return [str(w.message) for w in caught], {}


def ways_of_tensorflow(arrays):
    """Way of the checks -> whether a step runs eagerly, and whether XLA compiles it."""
    import tensorflow as tf

    from keras_plugin.tensorflow_replicas import in_xla
    from segparity.parity import keras_side

    found = {}

    def loss(target, pred, weight):
        found[way] = [tf.executing_eagerly(), in_xla()]
        return ops.sum(target * pred)

    for way in ('eager', 'graph', 'xla'):
        moved, target = dict(pred=np.ones((1, 2), 'float32')), np.full((1, 2), 3.0, 'float32')
        value, gradients = keras_side.step_of_tensorflow(loss, way)(moved, target, None, {})
        found[way] += [float(value), np.asarray(gradients['pred']).tolist()]
    return found, {}


def unfinished(arrays):
    """What a loss says that does not say what it is."""

    class Unfinished(keras_plugin.losses.Loss):
        spec_class = LOSSES['SoftDiceLoss']

        def __init__(self, name=None, reduction='mean', dtype=None):
            super().__init__(locals())

    z, y = data()
    try:
        Unfinished()(y, ops.softmax(z))
    except NotImplementedError as error:
        return str(error), {}


def many_images_fit(arrays):
    """The loss of 40 images, more than a batch of Keras', through ``fit`` of the checks, and by itself."""
    from segparity.parity import keras_side

    rng = np.random.default_rng(0)
    given = dict(pred=rng.normal(0, 1, (40, 2, 3)).astype('float32'), target=rng.integers(0, 2, (40, 3)))
    spec = LOSSES['SoftDiceLoss']().to_dict()
    fitted, both = keras_side.fit(given, spec, jit=False)
    value, gradient = keras_side.value_and_gradient(given, spec)[1].values()
    return [fitted, float(both['value']), float(value)], dict(fit=both['gradient'], step=gradient)


def sums_with_a_foreign_loss(arrays):
    """Whether a sum with a loss from elsewhere has a spec, and the value of a sum of it beside that by hand."""
    z, y = data()
    one = np.eye(3, dtype='float32')[y]
    own, other = from_logits('SoftDiceLoss'), keras.losses.CategoricalCrossentropy(from_logits=True)
    inner = keras_plugin.losses.WeightedSumLoss([own, other], weights=[2.0, 0.5])
    outer = keras_plugin.losses.WeightedSumLoss([inner, own], weights=[3.0, 1.0])
    again = keras.losses.deserialize(keras.losses.serialize(outer))
    by_hand = 3 * (2 * float(own(one, z)) + 0.5 * float(other(one, z))) + float(own(one, z))
    specs = [inner.spec is None, outer.spec is None, keras_plugin.losses.WeightedSumLoss([own]).spec is None]
    return dict(specs=specs, values=[float(outer(one, z)), float(again(one, z)), by_hand]), {}


def elsewhere(arrays, few):
    """What fails, of all losses on all forms of labels, where the default device is not the CPU: name -> error.

    few: what every example meets, and all forms, which one piece of code prepares for all losses, with two losses.
    """
    from segparity.parity import cases, keras_side, replay
    from segparity.parity.extras import channels_last, mapped
    from segparity.parity.ways import CORE, plan

    failed, ran = {}, 0
    for name, loss in LOSSES.items():
        for example, case_name in [] if loss.on_host else plan(name):  # which copies to the CPU, as it says
            if few and case_name not in CORE and name not in ('JaccardMetricLoss', 'WeightedCrossEntropyLoss'):
                continue
            case = cases.build(case_name)
            spec = replay.spec_for(loss, loss.examples[example], case)
            case = case.adapted(spec)
            extras = mapped(case.extras, channels_last)
            given = dict(pred=case.pred, target=case.target)
            given, written = keras_side.ignored_by_constructor(given, spec.to_dict(), case.call_ignore_index)
            pred, target = keras_side.to_keras_layout(given)
            try:
                keras_side.build(written)(target, ops.convert_to_tensor(pred.astype('float32')), case.weight, **extras)
                ran += 1
            except Exception as error:  # whatever PyTorch says of two devices
                failed[f'{name}, {example}, {case_name}'] = f'{type(error).__name__}: {error}'[:200]
    return [failed, ran], {}
