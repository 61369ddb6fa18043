"""NumPy functions in a step of any backend: called where values can be had, by a callback where the step is a graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import backend, ops

from keras_plugin.typing import Tensor

COMPILED = '{owner}: {why} computes on the host, where a step compiled by XLA cannot go: compile the model with jit_compile=False'


def call_on_host(
    function: Callable[..., Sequence[np.ndarray]],
    inputs: Sequence[Tensor],
    shapes: Sequence[tuple[Any, ...]],
    dtype: str,
    owner: str,
    why: str,
) -> list[Tensor]:
    """What ``function`` makes of ``inputs`` as NumPy arrays: arrays of those shapes, tensors of that dtype. No gradient.

    shapes: those of the results; a size that the trace does not know is None. ValueError that names ``owner`` and ``why``
    where TensorFlow compiles the step by XLA.
    """
    inputs = [ops.stop_gradient(ops.convert_to_tensor(x)) for x in inputs]

    def on_arrays(*arrays: Any) -> list[np.ndarray]:
        return [np.asarray(x, dtype) for x in function(*(np.asarray(x) for x in arrays))]

    if backend.backend() == 'jax':
        import jax

        results = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
        return list(jax.pure_callback(on_arrays, results, *inputs, vmap_method='sequential'))
    if backend.backend() == 'tensorflow':
        import tensorflow as tf

        from keras_plugin.tensorflow_replicas import in_xla

        if in_xla():
            raise ValueError(COMPILED.format(owner=owner, why=why))
        found = tf.numpy_function(on_arrays, inputs, [dtype] * len(shapes), stateful=False)
        return [tf.ensure_shape(x, shape) for x, shape in zip(found, shapes)]
    import torch

    return torch.compiler.disable(of_torch)(on_arrays, inputs)


def of_torch(function: Callable[..., Sequence[np.ndarray]], inputs: Sequence[Any]) -> list[Any]:
    """The same of PyTorch's tensors, on their device."""
    import torch

    found = function(*(x.cpu().numpy() for x in inputs))
    return [torch.from_numpy(x).to(inputs[0].device) for x in found]
