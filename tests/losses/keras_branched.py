"""``BranchedModel`` in a worker of a backend: each of these returns a mapping of numbers, and no arrays."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_plugin import losses
from keras_plugin.layers import EmbeddingBank
from keras_plugin.losses.base import handed_over
from keras_plugin.models import BranchedModel

SIZE, CLASSES, DEPTH = 12, 3, 4
OF_FEATURES = {
    'PixelContrastLoss': dict(max_views=5, max_samples=40, order='first'),
    'PixelTripletLoss': {},
    'ConditionalBoundaryLoss': {},
}
OF_BRANCHES = {
    'InverseFormLoss': ('edges', dict(tiles=(1, 1))),
    'SemanticEncodingLoss': ('presence', {}),
    'BoundaryAwareLoss': ('bins', dict(num_bins=2, max_distance=3)),
}


def data():
    rng = np.random.default_rng(0)
    labels = np.zeros((4, SIZE, SIZE), np.int32)
    labels[:, 3:8, 2:9], labels[:, 8:, 6:] = 1, 2
    labels[0, 0] = 255
    return rng.normal(size=(4, SIZE, SIZE, 2)).astype('float32'), labels


def network(bank=False, softmax=False):
    keras.utils.set_random_seed(0)
    x = keras.Input((SIZE, SIZE, 2))
    features = keras.layers.Conv2D(DEPTH, 3, padding='same', activation='relu')(x)
    logits = keras.layers.Conv2D(CLASSES, 1, name='classify')(features)
    embedding = EmbeddingBank(CLASSES, DEPTH, 6)(features) if bank else features
    outputs = dict(
        logits=keras.layers.Softmax()(logits) if softmax else logits,
        embedding=embedding,
        edges=keras.layers.Conv2D(1, 1)(features),
        presence=keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(features)),
        bins=keras.layers.Conv2D(2 * (CLASSES - 1), 1)(features),
    )
    return BranchedModel(x, outputs)


def build(name, **parameters):
    return getattr(losses, name)(**{'ignore_class': 255, 'from_logits': True, **parameters})


def step(model, loss, compiled, weight=None):
    """The loss of a step that changes nothing, and of evaluate."""
    x, y = data()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name='accuracy')]
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, metrics=metrics, jit_compile=compiled)
    logs = model.fit(x, y, sample_weight=weight, batch_size=4, epochs=1, verbose=0).history
    assert {'loss', 'accuracy'} <= set(logs), logs
    return float(logs['loss'][0]), float(
        model.evaluate(x, y, sample_weight=weight, batch_size=4, verbose=0, return_dict=True)['loss']
    )


def of_features(arrays, *, name, compiled=False, softmax=False):
    """The loss of fit and evaluate, alone and in a sum, and the same called by hand."""
    x, y = data()
    model = network(softmax=softmax)
    loss = build(name, from_logits=not softmax, **OF_FEATURES[name])
    outputs = model(x)
    layer = model.get_layer('classify')
    given = dict(embedding=outputs['embedding'])
    if name == 'ConditionalBoundaryLoss':
        given['classifier'] = keras.ops.reshape(layer.kernel, (DEPTH, CLASSES)), layer.bias
    want = float(loss(y, outputs['logits'], **given))
    region = build('JaccardMetricLoss', from_logits=not softmax)
    both = losses.WeightedSumLoss(losses=[region, loss], weights=[1.0, 0.5])
    want_of_both = float(region(y, outputs['logits'])) + 0.5 * want
    alone, of_both = step(model, loss, compiled), step(model, both, compiled)
    assert handed_over(('embedding',)) == {}
    return dict(want=want, alone=alone, want_of_both=want_of_both, of_both=of_both), {}


def of_branches(arrays, *, name, compiled=False):
    """The loss of a branch beside that of the logits, under pixel weights."""
    x, y = data()
    model, (branch, parameters) = network(), OF_BRANCHES[name]
    weight = np.linspace(0.5, 2, y.size, dtype='float32').reshape(y.shape) if name != 'SemanticEncodingLoss' else None
    region, own = build('JaccardMetricLoss'), build(name, **parameters)
    outputs = model(x)
    want = float(region(y, outputs['logits'], weight)) + float(own(y, outputs[branch], weight))
    found = step(model, {'logits': region, branch: own}, compiled, weight)
    return dict(want=want, found=found), {}


def saved(arrays, *, name='ConditionalBoundaryLoss'):
    """A model that trains, is saved, loaded, and trains on as the first does."""
    x, y = data()
    model = network()
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=build(name, **OF_FEATURES[name]))
    first = model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0).history['loss']
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'm.keras'
        model.save(path)
        again = keras.saving.load_model(path)
    assert type(again) is BranchedModel and set(again.predict(x, verbose=0)) == set(model.output)
    logs = [
        one.fit(x, y, batch_size=2, epochs=1, shuffle=False, verbose=0).history['loss'][0] for one in (model, again)
    ]
    return dict(first=first, on=logs), {}


def filled(arrays):
    """How many embeddings a bank has seen after a step, evaluate and another step; and whether it is saved."""
    x, y = data()
    model = network(bank=True)
    (bank,) = (layer for layer in model.layers if isinstance(layer, EmbeddingBank))
    loss = build('PixelContrastLoss', **OF_FEATURES['PixelContrastLoss'], memory_size=6)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    seen = []
    for one in (model.fit, model.evaluate, model.fit):
        one(x, y, batch_size=4, verbose=0)
        seen.append(int(keras.ops.sum(bank.pushed)))
    return dict(seen=seen), {}


def refused(arrays):
    """The sentences of what a model refuses."""
    x, y = data()
    sentences = []
    one = keras.Input((SIZE, SIZE, 2))
    plain = keras.layers.Conv2D(CLASSES, 1)(one)
    jaccard, named = build('JaccardMetricLoss'), BranchedModel(one, dict(logits=plain))
    for model, loss, metrics in (
        (BranchedModel(one, plain), jaccard, None),
        (BranchedModel(one, dict(scores=plain)), jaccard, None),
        (named, build('PixelTripletLoss'), None),
        (named, {'edge': build('InverseFormLoss')}, None),
        (named, jaccard, {'edge': ['accuracy']}),
        (named, [jaccard, build('SoftDiceLoss')], None),
    ):
        try:
            model.compile(loss=loss, metrics=metrics, run_eagerly=keras.backend.backend() != 'jax')
            model.fit(x, y, verbose=0)
            sentences.append('')
        except (TypeError, ValueError) as error:
            sentences.append(str(error))
    return dict(sentences=sentences), {}


def refused_when_made(arrays):
    """The sentences of models that cannot be made."""
    x = keras.Input((SIZE, SIZE, 2))
    z = keras.layers.Conv2D(CLASSES, 1)(x)
    banks = [EmbeddingBank(CLASSES, 4, CLASSES)(z) for _ in range(2)]
    sentences = []
    for outputs, given in ((dict(logits=z), dict(classifier='conv')), (dict(logits=z, a=banks[0], b=banks[1]), {})):
        try:
            sentences.append(str(BranchedModel(x, outputs, **given)))
        except (TypeError, ValueError) as error:
            sentences.append(str(error))
    return dict(sentences=sentences), {}


def no_classes(arrays):
    """The sentence of InverseFormLoss on a label of -1 that is not ignored; NaN where a step is compiled."""
    z, y = np.zeros((1, 6, 6, 1), 'float32'), np.zeros((1, 6, 6), np.int32)
    y[0, 2, 2] = -1
    assert np.isfinite(float(build('InverseFormLoss', ignore_class=-1)(y, z)))
    x = keras.Input((6, 6, 1))
    model = keras.Model(x, keras.layers.Conv2D(1, 1)(x))
    model.compile(loss=build('InverseFormLoss'))
    if keras.backend.backend() != 'torch':
        assert np.isnan(model.fit(z, y, verbose=0).history['loss'][0])
    try:
        return str(float(build('InverseFormLoss')(y, z))), {}
    except ValueError as error:
        return str(error), {}


def measured(arrays):
    """Metrics of two outputs, and what that of the edges should be."""
    x, y = data()
    model = network()

    def mean(y_true, y_pred):
        return keras.ops.mean(y_pred)

    model.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=build('JaccardMetricLoss'),
        metrics=dict(edges=[mean], logits=[keras.metrics.SparseCategoricalAccuracy(name='accuracy')]),
    )
    found = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    want = float(keras.ops.mean(model(x)['edges']))
    return {**{name: float(value) for name, value in found.items()}, 'want': want}, {}
