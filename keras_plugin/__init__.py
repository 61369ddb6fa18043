"""segparity for Keras 3: losses and metrics for ``model.compile``; importing this package registers them for saving."""

try:
    import keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"keras_plugin needs Keras 3 and one of its backends, e.g. pip install 'segparity[keras,tensorflow]' ({error})"
    ) from error

from keras_plugin import layers, losses, metrics, models, soft_labels

__all__ = ['layers', 'losses', 'metrics', 'models', 'soft_labels']
