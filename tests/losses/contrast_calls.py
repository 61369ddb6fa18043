"""What tests/losses/test_pixel_contrast.py asks of its Keras workers."""

import unittest.mock

import keras
import numpy as np
from keras import backend, ops

import keras_plugin
from keras_plugin import values
from tests.losses.keras_calls import messages

Loss = keras_plugin.losses.PixelContrastLoss


def remember(arrays, params, path):
    """The loss of each step with a bank, and the bank before it; then of a model that has the bank, saved and loaded."""
    loss, bank = Loss(from_logits=True, **params), keras_plugin.layers.EmbeddingBank(3, 4, 3, name='bank')
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, bank(inputs))
    found, banks = [], {}
    steps = [steps_of(arrays, k) for k in range(4)]
    for k, (z, y, x) in enumerate(steps):
        banks[f'embeddings{k}'], banks[f'pushed{k}'] = (ops.convert_to_numpy(v) for v in (bank.embeddings, bank.pushed))
        call = compiled(loss, bank) if k == 3 else loss
        found.append(float(call(y, z, embedding=x, bank=bank)))
    model.save(path)
    again = keras.models.load_model(path).get_layer('bank')
    z, y, x = steps[1]
    bank.trainable = again.trainable = False
    before = ops.convert_to_numpy(bank.embeddings)
    last = [float(loss(y, z, embedding=x, bank=b)) for b in (bank, again)]
    frozen = np.array_equal(before, ops.convert_to_numpy(bank.embeddings))
    small = keras_plugin.layers.EmbeddingBank(3, 4, 5)
    calls = dict(
        none=lambda: loss(y, z, embedding=x),
        other=lambda: loss(y, z, embedding=x, bank=small),
        unasked=lambda: Loss(from_logits=True)(y, z, embedding=x, bank=small),
        sum=lambda: keras_plugin.losses.WeightedSumLoss()(y, z, bank=small),
    )
    nowhere = [unseen(y, z, x, *wrong) for wrong in ((2, 0), (0, 20))]
    said = dict(values=found, again=last[0], loaded=last[1], frozen=frozen, nowhere=nowhere, **messages(calls))
    return said, banks


def unseen(y, z, x, image, index):
    """The loss of samples that are nowhere, where nobody looks at them."""
    samples = np.array([0, 1, image]), np.array([[0], [1], [index]])
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        return float(Loss(from_logits=True)(y, z, embedding=x, samples=samples))


def steps_of(arrays, k):
    z, y, x = (arrays[f'{key}{k}'] for key in 'zyx')
    return np.moveaxis(z, 1, -1).astype('float32'), y, np.moveaxis(x, 1, -1).astype('float32')


def compiled(loss, bank):
    """The call in a step that TensorFlow compiles; elsewhere as it is."""
    if backend.backend() != 'tensorflow':
        return loss
    import tensorflow as tf

    return tf.function(lambda y, z, embedding, bank=bank: loss(y, z, embedding=embedding, bank=bank), jit_compile=True)


def chosen(arrays, params, times):
    """Which pixels are sampled, of as many embeddings; then once more of the first."""
    loss, (n, pixels) = Loss(**params), arrays['labels'].shape
    labels, wrong = (ops.convert_to_tensor(arrays[key]) for key in ('labels', 'wrong'))
    labels, counts = ops.cast(labels, 'int32'), ops.ones((n, pixels), dtype='bool')
    rng = np.random.default_rng(0)
    embeddings = [ops.convert_to_tensor(rng.normal(size=(n, pixels, 4)).astype('float32')) for _ in range(times)]
    kept = [ops.convert_to_numpy(loss.choose(x, labels, wrong, counts, 3)) for x in [*embeddings, embeddings[0]]]
    return None, dict(kept=np.stack(kept[:-1]), again=kept[-1])
