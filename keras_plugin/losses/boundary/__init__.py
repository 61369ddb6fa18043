"""Losses, importable from keras_plugin.losses."""
