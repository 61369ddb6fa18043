"""NumPy arrays to the tensors of a framework and back, and gradients, in whatever framework the user's module loaded."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = 'torch', 'tensorflow', 'jax', 'numpy'


def kinds(function: Any) -> list[str]:
    """Which frameworks' tensors to try, the likeliest first: what the function's module names, then what is loaded."""
    loaded = [kind for kind in KINDS if kind == 'numpy' or kind in sys.modules]
    backend = keras_backend() if of_keras(function) else ''
    scope = getattr(_plain(function), '__globals__', {})
    named = [getattr(value, '__name__', '').split('.')[0] for value in list(scope.values()) if _is_module(value)]
    bases = [base.__module__.split('.')[0] for base in type(function).__mro__]
    likely = [backend, *(k for k in KINDS if k in bases), *(k for k in KINDS[:3] if k in named)]
    likely += ['numpy'] if 'numpy' in named and not any(k in named for k in KINDS[:3]) else []
    return [kind for kind in dict.fromkeys([*likely, *loaded]) if kind in loaded]


def _is_module(value: Any) -> bool:
    return type(value) is type(sys)


def _plain(function: Any) -> Any:
    """The Python function that runs: of an object its forward, call or __call__."""
    for name in ('forward', 'call'):
        inner = getattr(function, name, None)
        if inner is not None and hasattr(inner, '__func__'):
            return inner.__func__
    inner = getattr(function, '__wrapped__', None) or getattr(function, 'fn', None) or getattr(function, 'func', None)
    if inner is not None and callable(inner):
        return _plain(inner)
    if hasattr(function, '__globals__'):
        return function
    return type(function).__call__


def of_keras(function: Any) -> bool:
    """Whether a function comes from a module that names Keras, or is an object of a class of Keras."""
    if 'keras' not in sys.modules:
        return False
    scope = getattr(_plain(function), '__globals__', {})
    names = [
        getattr(v, '__name__', '') or getattr(v, '__module__', '') or ''
        for v in list(scope.values())
        if callable(v) or _is_module(v)
    ]
    return any(str(n).split('.')[0] == 'keras' for n in names) or any(
        base.__module__.split('.')[0] == 'keras' for base in type(function).__mro__
    )


def keras_backend() -> str:
    """'torch', 'tensorflow', 'jax' or 'numpy' of the Keras that is loaded; '' without one."""
    with contextlib.suppress(Exception):
        return str(sys.modules['keras'].backend.backend())
    return ''


def tensor(kind: str, array: np.ndarray, dtype: str = '') -> Any:
    """A tensor of its own memory; ``dtype``: of floating point, '' keeps integers."""
    array = np.array(array, dtype or array.dtype, order='C')  # contiguous, so that ``view`` works
    if kind == 'torch':
        return sys.modules['torch'].as_tensor(array)
    if kind == 'tensorflow':
        return sys.modules['tensorflow'].convert_to_tensor(array)
    if kind == 'jax':
        import jax.numpy as jnp

        return jnp.asarray(array)
    return array


def array(value: Any) -> np.ndarray:
    """A tensor, array or number as float64; TypeError for anything else."""
    if value is None or isinstance(value, (str, bytes, dict, list, tuple, bool)):
        raise TypeError(f'returned {type(value).__name__}, not a number')
    if hasattr(value, 'detach'):
        value = value.detach().cpu()
        if str(value.dtype) == 'torch.bfloat16':
            value = value.float()
    if hasattr(value, 'numpy') and callable(value.numpy):
        value = value.numpy()
    found = np.asarray(value)
    if found.dtype.kind not in 'fiu' and str(found.dtype) != 'bfloat16':
        raise TypeError(f'returned {type(value).__name__} of {found.dtype}, not a number')
    return found.astype(np.float64)


def gradient(kind: str, call: Callable[[Any], Any], pred: np.ndarray, dtype: str) -> np.ndarray | None:
    """d mean(call(pred)) / d pred in float64; None where the framework has no gradients, zeros where nothing reaches pred."""
    if kind == 'torch':
        x = tensor(kind, pred, dtype).requires_grad_()
        with sys.modules['torch'].enable_grad():
            loss = call(x)
            if not getattr(loss, 'requires_grad', False):
                return np.zeros(pred.shape)
            (found,) = sys.modules['torch'].autograd.grad(loss.mean(), [x], allow_unused=True)
        return np.zeros(pred.shape) if found is None else array(found)
    if kind == 'tensorflow':
        tensorflow = sys.modules['tensorflow']
        x = tensor(kind, pred, dtype)
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            loss = tensorflow.reduce_mean(call(x))
        found = tape.gradient(loss, x)
        return np.zeros(pred.shape) if found is None else array(found)
    if kind == 'jax':
        import jax

        return array(jax.grad(lambda x: jax.numpy.mean(jax.numpy.asarray(call(x))))(tensor(kind, pred, dtype)))
    return None


def has_gpu() -> bool:
    """Whether PyTorch has a CUDA device."""
    with contextlib.suppress(Exception):
        return bool(sys.modules['torch'].cuda.is_available())
    return False
