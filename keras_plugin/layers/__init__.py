"""Layers that a loss needs in the model; importing this package registers them for saving."""

from keras_plugin.layers.degrees_of_freedom import DegreesOfFreedom

__all__ = ['DegreesOfFreedom']
