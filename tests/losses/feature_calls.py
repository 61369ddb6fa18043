"""What tests/losses/test_feature_distance.py asks of its Keras workers."""

import os
import tempfile

import keras
import numpy as np

import keras_plugin
from tests.losses.keras_calls import messages

Loss = keras_plugin.losses.FeatureDistanceLoss


def answers(arrays):
    """Values of every distance, a student that is trained and reloaded, and what is said of wrong inputs."""
    a, b = (arrays[name].astype('float32') for name in ('a', 'b'))
    values = {distance: Loss(distance=distance)(b, a) for distance in ('jaccard', 'dice', 'l1', 'l2', 'cosine')}
    empty = np.zeros((0, 4), 'float32')
    values |= {f'{distance} of none': Loss(distance=distance)(empty, empty) for distance in ('jaccard', 'cosine')}
    calls = dict(
        negative=lambda: Loss()(b - 5, a),
        ids=lambda: Loss()(np.array([1]), a),
        integers=lambda: Loss()(b.astype('int32'), a),
    )
    return dict(values={k: float(v) for k, v in values.items()}, **trained(), **messages(calls)), {}


def trained():
    """The first and the last loss of a student's features, that of its file, and of a compiled step on negative ones."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (8, 3)).astype('float32'), rng.uniform(0, 2, (8, 5)).astype('float32')
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, activation='relu')])
    model.compile(optimizer=keras.optimizers.SGD(0.2), loss=Loss())
    losses = model.fit(x, y, epochs=8, verbose=0).history['loss']
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'student.keras')
        model.save(path)
        again = keras.models.load_model(path)
    last, reloaded = (float(m.evaluate(x, y, verbose=0)) for m in (model, again))
    negative = 'nan'
    if keras.backend.backend() != 'torch':  # which looks, for nothing is compiled there
        negative = str(float(model.evaluate(x, -y, verbose=0)))
    return dict(fitted=(losses[0], losses[-1]), last=last, reloaded=reloaded, compiled_negative=negative)
