"""The losses and metrics of Keras, called in a worker process with the PyTorch backend (``segparity.parity.frameworks``)."""

from typing import Any

import keras
import numpy as np
import torch
from keras import ops

from segparity.migrate.running import call_of


def version(arrays: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    return keras.__version__, {}


def prediction_of(z: torch.Tensor, activation: str | None) -> torch.Tensor:
    """The prediction of logits (N, C, H, W), channels last."""
    return {None: lambda x: x, 'softmax': lambda x: x.softmax(1), 'sigmoid': lambda x: x.sigmoid()}[activation](
        z
    ).movedim(1, -1)


def labels_for_keras(target: np.ndarray, one_channel: bool) -> np.ndarray:
    """Labels, channels last; ids of one channel with that channel."""
    if target.ndim == 4:
        return np.moveaxis(target, 1, -1)
    return target[..., None] if one_channel else target


def loss(
    arrays: dict[str, np.ndarray], name: str, arguments: dict[str, Any], activation: str | None
) -> tuple[float, dict[str, np.ndarray]]:
    """Value and gradient with respect to the logits; name: of the class."""
    function = call_of(getattr(keras.losses, name), {**arguments, 'dtype': 'float64'})
    z = torch.tensor(arrays['logits'], dtype=torch.float64, requires_grad=True)
    target = labels_for_keras(arrays['target'], z.shape[1] == 1)
    value = function(target.astype('float64'), prediction_of(z, activation)).mean()
    value.backward()
    gradient = torch.zeros_like(z) if z.grad is None else z.grad
    return float(value.detach()), {'gradient': gradient.numpy()}


CLASSES = {
    ('accuracy', 'ids'): 'SparseCategoricalAccuracy',
    ('accuracy', 'one_hot'): 'CategoricalAccuracy',
}


def metric(
    arrays: dict[str, np.ndarray], name: str, arguments: dict[str, Any], activation: str | None
) -> tuple[float, dict[str, np.ndarray]]:
    """The result after every image is given by itself."""
    target = labels_for_keras(arrays['target'], arrays['logits'].shape[1] == 1)
    kind = 'one_hot' if arrays['target'].ndim == 4 else 'ids'
    counted = call_of(getattr(keras.metrics, CLASSES.get((name, kind), name)), arguments)
    pred = prediction_of(torch.tensor(arrays['logits'], dtype=torch.float32), activation).numpy()
    for k in range(len(pred)):
        counted.update_state(target[k : k + 1], pred[k : k + 1])
    return float(ops.convert_to_numpy(counted.result())), {}
