"""Layers that a loss needs in the model; importing this package registers them for saving."""

from keras_plugin.layers.degrees_of_freedom import DegreesOfFreedom
from keras_plugin.layers.embedding_bank import EmbeddingBank

__all__ = ['DegreesOfFreedom', 'EmbeddingBank']
