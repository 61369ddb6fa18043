"""Probabilities of a teacher, asked of Keras' workers."""

import unittest.mock

import keras_plugin
from keras_plugin import values
from tests.losses.value_calls import outcome, value_and_gradient


def unsure_teacher(arrays):
    """The sentence for probabilities ``q`` of a teacher, and value and gradient where values are not seen."""
    loss = keras_plugin.losses.DistillationKLLoss(from_logits=True)
    call = value_and_gradient(loss, jit=True)
    said = outcome(value_and_gradient(loss), (arrays['z'], arrays['q'], None), arrays['z'])
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        value, gradient = call(arrays['z'], arrays['q'], None)
    return said, dict(value=value, gradient=gradient)
