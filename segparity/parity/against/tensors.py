"""NumPy arrays as the tensors that a function wants, and its value and gradient back; of what its module has loaded."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

KINDS = ('torch', 'tensorflow', 'jax', 'numpy')


def kinds_of(function: Any) -> list[str]:
    """The frameworks whose tensors a function may want, the likeliest first."""
    inner = function if hasattr(function, '__globals__') else getattr(type(function), 'forward', None)
    inner = inner or getattr(type(function), 'call', None) or vars(type(function)).get('__call__')
    scope = list(getattr(inner, '__globals__', {}).values())
    named = {str(getattr(value, '__name__', None) or getattr(value, '__module__', '')).split('.')[0] for value in scope}
    named |= {base.__module__.split('.')[0] for base in type(function).__mro__}
    if 'keras' in named:
        named.add(sys.modules['keras'].backend.backend())
    loaded = [kind for kind in KINDS if kind == 'numpy' or kind in sys.modules]
    return sorted(loaded, key=lambda kind: kind not in named)


def of_keras(function: Any, kind: str) -> bool:
    """Whether arguments come as Keras has them: labels first, channels last."""
    return kind == 'tensorflow' or type(function).__module__.startswith('keras') or _names_keras(function)


def _names_keras(function: Any) -> bool:
    scope = getattr(function, '__globals__', {}).values()
    return any(
        getattr(value, '__name__', '').split('.')[0] == 'keras' for value in scope if isinstance(value, type(sys))
    )


def tensor(kind: str, array: np.ndarray) -> Any:
    """An array as a tensor of its own memory."""
    array = np.array(array)
    if kind == 'torch':
        return sys.modules['torch'].as_tensor(array)
    if kind == 'tensorflow':
        return sys.modules['tensorflow'].convert_to_tensor(array)
    if kind == 'jax':
        return sys.modules['jax'].numpy.asarray(array)
    return array


def number(found: Any) -> float:
    """The mean of what a function returned, as a host takes it; TypeError where it is no number."""
    if found is None or isinstance(found, (str, bytes, Mapping, list, tuple)):
        raise TypeError(f'it returned {type(found).__name__}, expected a number')
    found = found.detach().cpu() if hasattr(found, 'detach') else found
    array = np.asarray(found.numpy() if callable(getattr(found, 'numpy', None)) else found)
    if array.dtype.kind not in 'fiu':
        raise TypeError(f'it returned {array.dtype}, expected a number')
    return float(array.astype(np.float64).mean())


def gradient(kind: str, call: Callable[[Any], Any], pred: np.ndarray) -> np.ndarray | None:
    """d mean(call(pred)) / d pred in float64; zeros where nothing reaches pred, None where the framework has no gradient."""
    if kind == 'torch':
        torch = sys.modules['torch']
        x = tensor(kind, pred).requires_grad_()
        value = call(x)
        if not getattr(value, 'requires_grad', False):
            return np.zeros(pred.shape)
        (found,) = torch.autograd.grad(value.mean(), [x], allow_unused=True)
        return np.zeros(pred.shape) if found is None else found.double().numpy()
    if kind == 'tensorflow':
        tensorflow = sys.modules['tensorflow']
        x = tensor(kind, pred)
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            value = tensorflow.reduce_mean(call(x))
        found = tape.gradient(value, x)
        return np.zeros(pred.shape) if found is None else found.numpy().astype(np.float64)
    if kind == 'jax':
        jax = sys.modules['jax']
        return np.asarray(jax.grad(lambda x: jax.numpy.mean(call(x)))(tensor(kind, pred)), np.float64)
    return None
