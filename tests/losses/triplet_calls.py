"""Anchors of Keras, asked of its workers."""

import unittest.mock

import keras
import numpy as np
from keras import ops

from keras_plugin import values
from keras_plugin.losses import PixelTripletLoss
from tests.losses.value_calls import value_and_gradient


def anchors(arrays, samples):
    """The places of anchors, and which are some, for several numbers of samples."""
    found = {}
    for number in samples:
        chosen = PixelTripletLoss(samples=number).anchors(ops.convert_to_tensor(arrays['y'].astype('int32')))
        found[f'places {number}'], found[f'some {number}'] = (
            np.asarray(ops.convert_to_numpy(x)) for x in (chosen.places, chosen.some)
        )
    return None, found


def wrong_anchors(arrays, jit):
    """What is said of an anchor behind the last pixel, where it is seen and where it is not; and of unknown sizes."""
    z, y, e = arrays['z'], arrays['y'], arrays['e']
    loss, found = PixelTripletLoss(from_logits=True, margin=1.0), {}
    right, wrong = np.array([[3, 5], [40, -1]]), np.array([[3, 108], [40, -1]])
    found['said'] = sentence(lambda: loss(y, z, embedding=e, anchors=wrong))
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        for name, places in (('right', right), ('wrong', wrong)):
            call = value_and_gradient(lambda y, x, w, places=places: loss(y, z, embedding=x, anchors=places), jit)
            found[name], found['gradient'] = call(e, y, None)
    unknown = keras.KerasTensor((2, None, None, 4))
    found['sizes'] = sentence(lambda: keras.ops.shape(loss(y, z, embedding=unknown)))
    return None, found


def sentence(call):
    try:
        call()
    except ValueError as error:
        return np.array(str(error))
    return np.array('')
