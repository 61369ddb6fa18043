"""What tests of readers ask of Keras, in a process of its own: its names, files that it writes, sources as they run."""

import json
from pathlib import Path

import keras
import numpy as np

import keras_plugin.losses
import keras_plugin.metrics


def names(arrays):
    """Words and names of Keras' losses and metrics."""
    losses, metrics = keras.src.losses.ALL_OBJECTS_DICT, keras.src.metrics.ALL_OBJECTS_DICT
    return dict(
        losses={word: found.__name__ for word, found in losses.items()},
        metrics={word: found.__name__ for word, found in metrics.items()},
        metric_classes=[cls.__name__ for cls in keras.src.metrics.ALL_OBJECTS],
        metric_functions=[name for name in dir(keras.metrics) if name.islower()],
    ), {}


def write_files(arrays, folder):
    """A compiled model of two outputs as ``model.keras``, ``compile.json``, ``model.json``; the arguments of its loss of ours."""
    x = i = keras.layers.Input((16, 16, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, strides=2, padding='same')(x))
    mask = keras.layers.Conv2D(4, 1, name='mask')(x)
    edge = keras.layers.Activation('sigmoid', name='edge')(keras.layers.Conv2D(1, 1)(x))
    model = keras.Model(i, {'mask': mask, 'edge': edge})
    ours = keras_plugin.losses.SoftDiceLoss(from_logits=True, ignore_class=3, smooth=0.5)
    model.compile(
        loss={'mask': ours, 'edge': keras.losses.BinaryFocalCrossentropy(gamma=1.5)},
        loss_weights={'mask': 2.0, 'edge': 0.5},
        metrics={'mask': [keras_plugin.metrics.MeanIoU(num_classes=4, from_logits=True)], 'edge': ['acc']},
    )
    model.save(Path(folder, 'model.keras'))
    Path(folder, 'compile.json').write_text(json.dumps(model.get_compile_config(), indent=1))
    Path(folder, 'model.json').write_text(model.to_json())
    return ours.spec.to_dict(), {}


def run_text(arrays, text):
    """The mean of what ``loss`` of a source returns on labels and prediction, in TensorFlow's float64."""
    import tensorflow as tf

    if 'from keras import backend as K' in text:  # which Keras 3 has left
        text = text.replace('from keras import backend as K', 'from tensorflow.keras import backend as K')
    scope = {}
    keras.config.set_floatx('float64')
    try:
        exec(text.replace('float32', 'float64'), scope)
        tensors = [
            tf.constant(x, tf.float64 if x.dtype.kind == 'f' else tf.int64) for x in (arrays['labels'], arrays['pred'])
        ]
        return float(np.mean(np.asarray(scope['loss'](*tensors)))), {}
    finally:
        keras.config.set_floatx('float32')
