"""Losses that a source writes itself: what they compute, and which of ours they are, without running them."""

import sys
import time

import numpy as np
import pytest

from segparity.migrate.computing.limits import NotUnderstood
from segparity.migrate.items import Context
from segparity.migrate.peers import migrate_item
from segparity.migrate.reading import read_source
from tests.migrate.own_formula_sources import SOURCES

KERAS_USE = "\nmodel.compile(optimizer='adam', loss=loss)\n"
TORCH_USE = '\nlast = loss(model(images), masks)\nlast.backward()\n'


def read(tmp_path, text, use=None):
    """The first loss of a source."""
    path = tmp_path / 'train.py'
    path.write_text(text + (use or (TORCH_USE if 'import torch' in text else KERAS_USE)))
    return read_source(path).outputs[0].losses[0]


def arrays(context, seed=0):
    """(labels, prediction) in the layout of the world, as float64, ids as integers."""
    rng = np.random.default_rng(seed)
    n, h, w, c = 2, 4, 5, context['channels']
    ids = rng.integers(0, max(c, 2), (n, h, w))
    ids[:, 0, : max(c, 2)] = np.arange(max(c, 2))
    logits = rng.normal(size=(n, h, w, c))
    maps = (ids[..., None] == ([1] if c == 1 else np.arange(c))).astype(float)
    prob = 1 / (1 + np.exp(-logits)) if c == 1 else np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    pred = logits if context['activation'] == 'logits' else prob
    if context['world'] == 'mmseg':
        maps, pred = maps.transpose(0, 3, 1, 2), pred.transpose(0, 3, 1, 2)
    return (ids if context.get('labels') == 'ids' else maps), pred


def run(text, labels, pred):
    """The mean of what the text itself returns, run on PyTorch, TensorFlow or Keras on whatever backend it has."""
    scope = {}
    if 'import torch' in text:
        import torch

        exec(text, scope)  # noqa: S102 - the text stands in own_formula_sources.py
        return float(scope['loss'](torch.tensor(pred), torch.tensor(labels)).mean())
    tf = pytest.importorskip('tensorflow')
    if 'from keras import backend as K' in text:  # which Keras 3 has left
        text = text.replace('from keras import backend as K', 'from tensorflow.keras import backend as K')
    import keras

    text = text.replace('float32', 'float64')
    keras.config.set_floatx('float64')
    try:
        exec(text, scope)  # noqa: S102
        tensors = [tf.constant(x, tf.float64 if x.dtype.kind == 'f' else tf.int64) for x in (labels, pred)]
        return float(np.mean(np.asarray(scope['loss'](*tensors))))
    finally:
        keras.config.set_floatx('float32')


@pytest.mark.parametrize('name', SOURCES)
def test_value_is_that_of_running_it(name, tmp_path):
    imports, text, context, *_ = SOURCES[name]
    labels, pred = arrays(context)
    formula = read(tmp_path, imports + text).formula
    pair = (labels, pred) if context['world'] == 'keras' else (pred, labels)
    assert float(np.mean(formula(*pair))) == pytest.approx(run(imports + text, labels, pred), rel=1e-6, abs=1e-9)
    again = formula(*(x[::-1] for x in pair))  # by the instructions that were kept
    assert float(np.mean(again)) == pytest.approx(run(imports + text, labels[::-1].copy(), pred[::-1].copy()), rel=1e-6)


@pytest.mark.parametrize('name', [name for name in SOURCES if SOURCES[name][3] is not None])
def test_what_it_is(name, tmp_path):
    imports, text, context, verdict, spec_name, parameters, offset = SOURCES[name]
    migrated = migrate_item(read(tmp_path, imports + text), Context(**context))
    (reading,) = migrated.readings
    assert reading.verdict == verdict, reading
    assert (type(reading.spec).__name__ if reading.spec else None) == spec_name
    parameters = dict(parameters)
    if 'names' in parameters:
        assert [type(part).__name__ for part in reading.spec.parts] == parameters.pop('names')
    for word, value in parameters.items():
        assert getattr(reading.spec, word) == pytest.approx(value) if not isinstance(value, str) else value, word
    assert reading.offset == pytest.approx(offset)
