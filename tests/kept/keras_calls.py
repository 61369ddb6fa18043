"""Asked of Keras' workers: a model that an earlier version saved."""

import keras

import keras_plugin  # noqa: F401
from tests.kept import make


def loaded(arrays, path, kind):
    model = keras.saving.load_model(path)
    return (make.values_of_losses if kind == 'losses' else make.values_of_metrics)(model), {}
