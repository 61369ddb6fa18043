"""Operations on arrays that losses are written in, in NumPy: reductions, shapes, indices, comparisons.

Each takes arrays, numbers and what describes axes, shapes and dtypes; sizes are looked at before an array is made. The
parameters have NumPy's names; ``names`` brings the names of others to them.
"""

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from segparity.migrate.computing.limits import NotUnderstood, allowed

Array = Any  # np.ndarray, or what np.asarray takes


def array(x: Any) -> np.ndarray:
    """Numbers as an array of float64, int64 or bool; NotUnderstood for anything else."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, (list, tuple)):
        if any(isinstance(part, np.ndarray) for part in x):
            return stack(x)
        if _count(x) > 100_000:
            raise NotUnderstood('a list is too long')
    elif isinstance(x, range):
        allowed((len(x),))
        x = list(x)
    elif not isinstance(x, (bool, int, float, np.generic)):
        raise NotUnderstood(f'{type(x).__name__} is no array of numbers')
    try:
        found = np.array(x)
    except (ValueError, OverflowError):
        raise NotUnderstood('a list is no array of numbers') from None
    if found.dtype.kind == 'f':
        return found.astype(np.float64)
    if found.dtype.kind in 'iu':
        return found.astype(np.int64)
    if found.dtype.kind != 'b':
        raise NotUnderstood('it holds what is no number')
    return found


def _count(x: Any, deep: int = 8) -> int:
    if not isinstance(x, (list, tuple)):
        return 1
    if deep == 0:
        raise NotUnderstood('a list is nested too deeply')
    return sum(_count(part, deep - 1) for part in x)


def real(x: Any) -> np.ndarray:
    """As float64."""
    found = array(x)
    return found if found.dtype.kind == 'f' else found.astype(np.float64)


def whole(x: Any) -> np.ndarray:
    """As int64, cut off towards zero."""
    return array(x).astype(np.int64)


def integer(x: Any) -> int:
    if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, np.integer, np.ndarray)):
        raise NotUnderstood('an axis or a size is no integer')
    if isinstance(x, np.ndarray) and (x.size != 1 or x.dtype.kind not in 'iu'):
        raise NotUnderstood('an axis or a size is no integer')
    return int(x)


def integers(x: Any) -> tuple[int, ...]:
    """A shape, or several axes."""
    if isinstance(x, np.ndarray) and x.ndim == 1:
        x = list(x)
    return tuple(integer(part) for part in x) if isinstance(x, (list, tuple)) else (integer(x),)


def axes(axis: Any) -> Any:
    """None, an axis or several."""
    if axis is None:
        return None
    return integers(axis) if isinstance(axis, (list, tuple, np.ndarray)) and np.ndim(axis) == 1 else integer(axis)


def shape_of(given: Sequence[Any]) -> tuple[int, ...]:
    """A shape given as one list or as several numbers."""
    return integers(given[0]) if len(given) == 1 and not isinstance(given[0], int) else integers(list(given))


def kind_of(dtype: Any) -> str:
    """'f', 'i' or 'b' of a dtype by its name."""
    name = str(dtype).rpartition('.')[2].lower()
    if name.startswith('bool'):
        return 'b'
    if name.startswith(('int', 'uint', 'long', 'short')):
        return 'i'
    if name.startswith(('float', 'half', 'double', 'bfloat')):
        return 'f'
    raise NotUnderstood(f'{name[:40]} is no dtype that is known')


def cast(x: Array, dtype: Any = 'float32', *unused: Any) -> np.ndarray:
    return {'f': real, 'i': whole, 'b': lambda x: array(x).astype(bool)}[kind_of(dtype)](x)


def identity(x: Array, *unused: Any, **named: Any) -> Array:
    return x


# Reductions


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
        return function(array(x), axis=axes(axis), keepdims=bool(keepdims))

    return reduce


def _mean(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    return real(x).mean(axis=axis, keepdims=keepdims)


def count_nonzero(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    return np.sum(array(x) != 0, axis=axes(axis), keepdims=bool(keepdims))


def pair_or_reduction(function: Callable[..., Any], both: Callable[..., Any], index: Callable[..., Any]) -> Any:
    """``torch.max``: of all, of two arrays, or along an axis with the places."""

    def found(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
        if axis is None:
            return function(array(x))
        if isinstance(axis, np.ndarray):
            return binary(both)(x, axis)
        return function(array(x), axis=integer(axis), keepdims=bool(keepdims)), arg(index)(x, axis, keepdims)

    return found


def arg(function: Callable[..., Any]) -> Callable[..., Any]:
    def found(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
        return function(array(x), axis=None if axis is None else integer(axis), keepdims=bool(keepdims))

    return found


def norm(x: Array, p: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    if p not in (1, 2, 'euclidean', 'fro'):
        raise NotUnderstood(f'the norm {p} is not known')
    x = real(x)
    if p == 1:
        return np.abs(x).sum(axis=axes(axis), keepdims=bool(keepdims))
    return np.sqrt((x**2).sum(axis=axes(axis), keepdims=bool(keepdims)))


def cumulative(x: Array, axis: Any = 0) -> np.ndarray:
    return np.cumsum(array(x), axis=integer(axis))


# Elementwise


def binary(function: Callable[..., Any]) -> Callable[..., Any]:
    def found(x: Array, y: Array) -> Any:
        a, b = array(x), array(y)
        allowed(np.broadcast_shapes(a.shape, b.shape))
        return function(a, b)

    return found


def unary(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(real(x))


def _add(a: np.ndarray, b: np.ndarray) -> Any:
    if a.dtype.kind == b.dtype.kind == 'b':
        raise NotUnderstood('true and false are added up: cast them')
    return a + b


def _minus(a: np.ndarray, b: np.ndarray) -> Any:
    if a.dtype.kind == b.dtype.kind == 'b':
        raise NotUnderstood('true and false are subtracted: cast them')
    return a - b


def _power(a: np.ndarray, b: np.ndarray) -> Any:
    if a.dtype.kind in 'ib' and b.dtype.kind in 'ib' and b.size and b.min() >= 0:
        found = real(a) ** real(b)
        return found.astype(np.int64) if found.size and np.abs(found).max() < 2**53 else found
    return real(a) ** real(b)


def _divide(a: np.ndarray, b: np.ndarray) -> Any:
    return real(a) / real(b)


def divide_no_nan(x: Array, y: Array) -> Any:
    def found(a: np.ndarray, b: np.ndarray) -> Any:
        return np.where(b == 0, 0.0, real(a) / np.where(b == 0, 1.0, b))

    return binary(found)(x, y)


def scaled_add(x: Array, y: Array, *, alpha: Any = 1) -> Any:
    return add(x, multiply(y, alpha))


def scaled_subtract(x: Array, y: Array, *, alpha: Any = 1) -> Any:
    return subtract(x, multiply(y, alpha))


add, subtract, multiply = binary(_add), binary(_minus), binary(np.multiply)
divide, power = binary(_divide), binary(_power)
maximum, minimum = binary(np.maximum), binary(np.minimum)


def add_all(x: Sequence[Any]) -> Any:
    """The sum of a list of arrays."""
    total: Any = 0
    for part in x if isinstance(x, (list, tuple, np.ndarray)) else _refuse('what is added up is no list'):
        total = add(total, part)
    return total


def _refuse(sentence: str) -> Any:
    raise NotUnderstood(sentence)


def clip(x: Array, min: Any = None, max: Any = None) -> Any:  # noqa: A002 - as in NumPy
    x = array(x)
    for bound, function in ((min, maximum), (max, minimum)):
        if bound is not None:
            x = function(x, bound)
    return x


def where(condition: Array, a: Array = None, b: Array = None) -> Any:
    if a is None or b is None:
        raise NotUnderstood('the places of a condition are asked for')
    condition, a, b = array(condition).astype(bool), array(a), array(b)
    allowed(np.broadcast_shapes(condition.shape, a.shape, b.shape))
    return np.where(condition, a, b)


def masked_fill(x: Array, mask: Array, value: Any) -> Any:
    return where(mask, value, x)


def sigmoid(x: Array) -> np.ndarray:
    x = real(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def log_sigmoid(x: Array) -> np.ndarray:
    x = real(x)
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def softplus(x: Array) -> np.ndarray:
    return -log_sigmoid(-real(x))


def softmax(x: Array, axis: Any = -1) -> np.ndarray:
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Array, axis: Any = -1) -> np.ndarray:
    if axis is None:
        raise NotUnderstood('softmax is told no axis')
    x = real(x)
    x = x - x.max(axis=integer(axis), keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=integer(axis), keepdims=True)))


def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.exp(real(x)).sum(axis=axes(axis), keepdims=bool(keepdims)))


def rounded(x: Array, decimals: Any = 0) -> np.ndarray:
    if decimals != 0:
        raise NotUnderstood('it rounds to digits')
    return np.round(real(x))


def close_to_zero(x: Array) -> np.ndarray:
    return np.isfinite(real(x))


# Shapes


def reshape(x: Array, *shape: Any, newshape: Any = None) -> np.ndarray:
    shape = (newshape,) if newshape is not None else shape
    return array(x).reshape(shape_of(shape))


def flatten(x: Array, start: Any = 0, end: Any = -1) -> np.ndarray:
    x = array(x)
    first, last = integer(start) % max(x.ndim, 1), integer(end) % max(x.ndim, 1)
    return x.reshape((*x.shape[:first], -1, *x.shape[last + 1 :]))


def batch_flatten(x: Array) -> np.ndarray:
    x = array(x)
    return x.reshape(x.shape[0], -1)


def transpose(x: Array, axes: Any = None) -> np.ndarray:
    return array(x).transpose(None if axes is None else integers(axes))


def permute(x: Array, *axes: Any) -> np.ndarray:
    return array(x).transpose(shape_of(axes))


def swap(x: Array, first: Any, second: Any) -> np.ndarray:
    return np.swapaxes(array(x), integer(first), integer(second))


def move(x: Array, source: Any, destination: Any) -> np.ndarray:
    return np.moveaxis(array(x), axes(source), axes(destination))


def expand_dims(x: Array, axis: Any = -1) -> np.ndarray:
    return np.expand_dims(array(x), axes(axis))


def squeeze(x: Array, axis: Any = None) -> np.ndarray:
    return np.squeeze(array(x), axes(axis))


def squeeze_if_one(x: Array, axis: Any = None) -> np.ndarray:
    """PyTorch leaves an axis that is longer."""
    x = array(x)
    return x if axis is not None and x.shape[integer(axis)] != 1 else squeeze(x, axis)


def _listed(x: Any) -> list[np.ndarray]:
    if isinstance(x, np.ndarray):
        return list(x)
    if not isinstance(x, (list, tuple)) or not x or len(x) > 2_000:
        raise NotUnderstood('what is put together is no list of arrays')
    return [array(part) for part in x]


def stack(x: Any, axis: Any = 0) -> np.ndarray:
    parts = _listed(x)
    allowed((len(parts), *parts[0].shape))
    return np.stack(parts, integer(axis))


def concatenate(x: Any, axis: Any = 0) -> np.ndarray:
    parts = _listed(x)
    allowed((sum(part.size for part in parts),))
    return np.concatenate(parts, integer(axis))


def unstack(x: Array, num: Any = None, axis: Any = 0) -> tuple[np.ndarray, ...]:
    return tuple(np.moveaxis(array(x), integer(axis), 0))


def unbind(x: Array, axis: Any = 0) -> tuple[np.ndarray, ...]:
    return unstack(x, axis=axis)


def split(x: Array, parts: Any, axis: Any = 0) -> tuple[np.ndarray, ...]:
    """Into ``parts`` parts of one size, or parts of these sizes."""
    if isinstance(parts, (list, tuple)):
        return tuple(np.split(array(x), np.cumsum(integers(parts))[:-1].tolist(), integer(axis)))
    return tuple(np.split(array(x), integer(parts), integer(axis)))


def split_by_size(x: Array, parts: Any, axis: Any = 0) -> tuple[np.ndarray, ...]:
    """PyTorch's: into parts of this size."""
    if isinstance(parts, (list, tuple)):
        return split(x, parts, axis)
    size, step = array(x).shape[integer(axis)], integer(parts)
    return tuple(np.split(array(x), list(range(step, size, step)), integer(axis)))


def tile(x: Array, *times: Any) -> np.ndarray:
    x, repeats = array(x), shape_of(times)
    allowed((max(x.size, 1), *repeats))
    return np.tile(x, repeats)


def repeat(x: Array, repeats: Any, axis: Any = None) -> np.ndarray:
    allowed((max(array(x).size, 1), integer(repeats)))
    return np.repeat(array(x), integer(repeats), None if axis is None else integer(axis))


def expand(x: Array, *shape: Any) -> np.ndarray:
    """PyTorch's: -1 keeps an axis."""
    x, asked = array(x), shape_of(shape)
    own = (1,) * (len(asked) - x.ndim) + x.shape
    return broadcast(x, [size if size >= 0 else mine for size, mine in zip(asked, own)])


def expand_as(x: Array, other: Array) -> np.ndarray:
    return broadcast(x, array(other).shape)


def view_as(x: Array, other: Array) -> np.ndarray:
    return array(x).reshape(array(other).shape)


def broadcast(x: Array, shape: Any) -> np.ndarray:
    return np.broadcast_to(array(x), allowed(integers(list(shape)))).copy()


def filled(value: float) -> Callable[..., np.ndarray]:
    def found(*shape: Any, dtype: Any = None) -> np.ndarray:
        sizes = shape[0] if shape and isinstance(shape[0], (list, tuple)) else shape  # a dtype after it
        return np.full(allowed(integers(list(sizes))), value)

    return found


def fill(shape: Any, value: Any, *unused: Any) -> np.ndarray:
    return np.full(allowed(integers(shape)), real(value))


def filled_like(value: float) -> Callable[..., np.ndarray]:
    return lambda x, *unused: np.full(array(x).shape, value)


def fill_like(x: Array, value: Any) -> np.ndarray:
    return np.full(array(x).shape, real(value))


def eye(n: Any, *unused: Any) -> np.ndarray:
    rows, columns = allowed((integer(n), integer(n)))
    return np.eye(rows, columns)


def arange(*bounds: Any) -> np.ndarray:
    found = range(*(integer(bound) for bound in bounds))
    allowed((len(found),))
    return np.array(found, np.int64)


# Indices


def one_hot(x: Array, depth: Any, on: Any = None, off: Any = None, axis: Any = -1) -> np.ndarray:
    ids, count = array(x), integer(depth)
    if ids.dtype.kind not in 'iu' or (on, off) not in ((None, None), (1, 0)):
        raise NotUnderstood('one_hot takes class ids as integers, cast them')
    allowed((*ids.shape, count))
    return np.moveaxis((ids[..., None] == np.arange(count)).astype(np.float64), -1, integer(axis))


def one_hot_of_ids(x: Array, depth: Any = -1) -> np.ndarray:
    """PyTorch's, integers; -1: as many as the largest id asks for."""
    ids = array(x)
    if ids.dtype.kind not in 'iu' or (ids.size and ids.min() < 0):
        raise NotUnderstood('one_hot takes class ids as integers >= 0')
    count = integer(depth)
    if count < 0:
        count = int(ids.max()) + 1 if ids.size else 1
    elif ids.size and ids.max() >= count:
        raise NotUnderstood('one_hot has fewer classes than the labels')
    return one_hot(ids, count).astype(np.int64)


def to_categorical(x: Array, depth: Any = None) -> np.ndarray:
    if depth is None:
        raise NotUnderstood('to_categorical is told no number of classes')
    return one_hot(whole(x), depth)


def gather(x: Array, indices: Array, axis: Any = 0, *unused: Any) -> np.ndarray:
    """Rows by their number."""
    x, indices = array(x), _ids(indices)
    allowed((max(x.size, 1), max(indices.size, 1)))
    return np.take(x, indices, axis=integer(axis))


def gather_along(x: Array, axis: Any, indices: Array) -> np.ndarray:
    """PyTorch's: of each place along an axis."""
    return np.take_along_axis(array(x), _ids(indices), integer(axis))


def scatter(x: Array, axis: Any, indices: Array, source: Any) -> np.ndarray:
    x, indices = real(x).copy(), _ids(indices)
    values = np.broadcast_to(real(source), indices.shape) if np.ndim(source) == 0 else real(source)
    np.put_along_axis(x, indices, values[tuple(slice(0, size) for size in indices.shape)], integer(axis))
    return x


def _ids(x: Array) -> np.ndarray:
    found = array(x)
    if found.dtype.kind not in 'iu':
        raise NotUnderstood('an index is no integer: cast it')
    return found


def boolean_mask(x: Array, mask: Array) -> np.ndarray:
    return array(x)[array(mask).astype(bool)]


def item(x: Any, index: Any) -> Any:
    """``x[index]``: integers, slices, ..., None and arrays of integers or bool."""
    if isinstance(x, (list, tuple, dict, str)):
        if isinstance(x, dict):
            raise NotUnderstood('what is chosen by a key is known only when the source runs')
        return x[index if isinstance(index, slice) else integer(index)]
    x, parts = array(x), index if isinstance(index, tuple) else (index,)
    found: list[Any] = []
    for part in parts:
        if part is None or part is ... or isinstance(part, slice):
            found.append(part)
        elif isinstance(part, (bool, np.bool_)):
            raise NotUnderstood('true or false is an index')
        elif isinstance(part, (int, np.integer)):
            found.append(int(part))
        else:
            chosen = array(part)
            if chosen.dtype.kind not in 'iub':
                raise NotUnderstood('an index is no integer: cast it')
            allowed((max(chosen.size, 1), max(x.size, 1)))
            found.append(int(chosen) if chosen.ndim == 0 and chosen.dtype.kind != 'b' else chosen)
    made = x[tuple(found)]
    allowed(np.shape(made))
    return made


def choose(x: Array, axis: Any, indices: Any) -> np.ndarray:
    """PyTorch's index_select, and select with one number."""
    return np.take(array(x), integer(indices) if np.ndim(indices) == 0 else _ids(indices), axis=integer(axis))


def narrow(x: Array, axis: Any, start: Any, length: Any) -> np.ndarray:
    x, begin = np.moveaxis(array(x), integer(axis), 0), integer(start)
    return np.moveaxis(x[begin : begin + integer(length)], 0, integer(axis))


def begin_size(x: Array, begin: Any, size: Any) -> np.ndarray:
    """TensorFlow's slice; a size of -1 goes to the end."""
    pairs = zip(integers(begin), integers(size))
    return array(x)[tuple(slice(b, None if s == -1 else b + s) for b, s in pairs)]


def einsum(*operands: Any) -> Any:
    """With one or two arrays and letters."""
    rule, *arrays = operands
    parts = [array(x) for x in (arrays[0] if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays)]
    if (
        not isinstance(rule, str)
        or len(rule) > 60
        or len(parts) > 3
        or not set(rule) <= {*string.ascii_letters, *',-> '}
    ):
        raise NotUnderstood('this einsum is not known')
    sizes: dict[str, int] = {}
    for letters, part in zip(rule.replace(' ', '').partition('->')[0].split(','), parts):
        sizes.update(zip(letters, part.shape))
    if math.prod(sizes.values()) > 20_000_000:
        raise NotUnderstood('this einsum is too large')
    return np.einsum(rule, *parts)


def size(x: Any) -> int:
    return int(array(x).size)


def length(x: Any) -> int:
    return len(x) if isinstance(x, (list, tuple, str, dict)) else int(array(x).shape[0])


def number(x: Any) -> Any:
    """``x.item()``, ``float(x)``: the one number of an array, as an array without axes."""
    found = array(x)
    if found.size != 1:
        raise NotUnderstood('several numbers are taken for one')
    return found.reshape(())


REDUCTIONS = {
    'sum': reduction(np.sum),
    'mean': reduction(_mean),
    'prod': reduction(np.prod),
    'max': reduction(np.max),
    'min': reduction(np.min),
    'any': reduction(np.any),
    'all': reduction(np.all),
    'std': reduction(np.std),
    'var': reduction(np.var),
}
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    'abs': lambda x: np.abs(array(x)),
    'exp': unary(np.exp),
    'expm1': unary(np.expm1),
    'log': unary(np.log),
    'log1p': unary(np.log1p),
    'log10': unary(np.log10),
    'log2': unary(np.log2),
    'sqrt': unary(np.sqrt),
    'rsqrt': lambda x: 1 / np.sqrt(real(x)),
    'reciprocal': lambda x: 1 / real(x),
    'square': lambda x: array(x) * array(x),
    'sign': unary(np.sign),
    'cos': unary(np.cos),
    'sin': unary(np.sin),
    'tan': unary(np.tan),
    'tanh': unary(np.tanh),
    'cosh': unary(np.cosh),
    'sinh': unary(np.sinh),
    'atan': unary(np.arctan),
    'floor': unary(np.floor),
    'ceil': unary(np.ceil),
    'round': rounded,
    'relu': lambda x: np.maximum(real(x), 0),
    'negative': lambda x: -array(x),
    'isnan': unary(np.isnan),
    'isinf': unary(np.isinf),
    'isfinite': close_to_zero,
    'sigmoid': sigmoid,
    'softplus': softplus,
    'softmax': softmax,
    'log_softmax': log_softmax,
    'log_sigmoid': log_sigmoid,
    'logsumexp': logsumexp,
}
BINARY: dict[str, Callable[..., Any]] = {
    'add': add,
    'subtract': subtract,
    'multiply': multiply,
    'divide': divide,
    'pow': power,
    'floor_divide': binary(np.floor_divide),
    'mod': binary(np.mod),
    'maximum': maximum,
    'minimum': minimum,
    'equal': binary(np.equal),
    'not_equal': binary(np.not_equal),
    'greater': binary(np.greater),
    'greater_equal': binary(np.greater_equal),
    'less': binary(np.less),
    'less_equal': binary(np.less_equal),
    'logical_and': binary(np.logical_and),
    'logical_or': binary(np.logical_or),
    'logical_xor': binary(np.logical_xor),
    'squared_difference': binary(lambda a, b: (a - b) ** 2),
}
