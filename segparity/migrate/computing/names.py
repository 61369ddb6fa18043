"""Which dotted names are computed, and by what: everything else is not.

``operation(name)`` takes a name as the library says it ('keras.backend.sum', 'torch.Tensor.sum'), ``'.sum'`` for a method of
an array, 'operator.add' for an operator, a bare name for a builtin.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from segparity.migrate.computing import arrays as a
from segparity.migrate.computing import entropies as e

Operation = Callable[..., Any]
Table = dict[str, Operation]

FREE = frozenset('name dtype device requires_grad memory_format non_blocking copy inplace out_type sparse fn'.split())
ALIASES: dict[str, tuple[str, ...]] = {
    'x': ('input_tensor', 'a', 'input', 'tensor', 'arr', 'values', 'arrays', 'inputs', 'condition', 'x1', 'indices', 'tensors',
          'logits', 'params', 'value', 'features', 'arys', 'xs', 'self', 'object', 'output'),
    'y': ('x2', 'b', 'other', 'exponent', 'min', 'max'),
    'repeats': ('rep',),
    'axis': ('dim', 'dims', 'reduction_indices', 'source'),
    'keepdims': ('keepdim', 'keep_dims'),
    'min': ('clip_value_min', 'min_value', 'x_min', 'a_min'),
    'max': ('clip_value_max', 'max_value', 'x_max', 'a_max'),
    'a': ('x', 'then_expression', 'x1', 'input'),
    'b': ('y', 'else_expression', 'x2', 'other'),
    'depth': ('num_classes', 'nb_classes'),
    'on': ('on_value',), 'off': ('off_value',),
    'newshape': ('shape',),
    'shape': ('dims', 'size'),
    'axes': ('perm', 'pattern', 'dims'),
    'parts': ('num_or_size_splits', 'indices_or_sections', 'split_size_or_sections', 'num_split'),
    'p': ('ord',),
    'times': ('multiples', 'n', 'reps'),
    'target': ('y_true', 'labels'),
    'output': ('y_pred', 'logits'),
    'labels': ('y_true',),
    'start': ('start_dim',), 'end': ('end_dim',),
    'beta': (),
}  # fmt: skip


def of(words: str, table: Table) -> Table:
    return {word: table[word] for word in words.split()}


SUMS = of('sum mean prod max min any all', a.REDUCTIONS)
MATH = of(
    'abs exp expm1 log log1p sqrt square sign cos sin tan tanh cosh sinh floor ceil round',
    a.ELEMENTWISE,
)
COMPARISONS = of('equal not_equal greater greater_equal less less_equal maximum minimum', a.BINARY)
LOGIC = of('logical_and logical_or', a.BINARY) | {'logical_not': lambda x: ~a.array(x).astype(bool)}
ARITHMETIC = of('add subtract multiply divide', a.BINARY)
ACTIVATIONS = of('sigmoid softmax relu softplus', a.ELEMENTWISE)
SAME = dict.fromkeys('identity convert_to_tensor constant array asarray variable ascontiguousarray'.split(), a.identity)
ENTROPIES: Table = {
    'binary_crossentropy': e.binary,
    'categorical_crossentropy': e.categorical,
    'sparse_categorical_crossentropy': e.sparse,
    'mean_squared_error': e.squared,
    'mse': e.squared,
    'MSE': e.squared,
    'mean_absolute_error': e.absolute,
    'mae': e.absolute,
    'binary_focal_crossentropy': e.binary_focal,
    'dice': e.dice,
}
KERAS_ARRAYS: Table = {
    'cast': a.cast,
    'reshape': a.reshape,
    'expand_dims': a.expand_dims,
    'squeeze': a.squeeze,
    'stack': a.stack,
    'concatenate': a.concatenate,
    'argmax': lambda x, axis=-1: a.arg(np.argmax)(x, axis),
    'argmin': lambda x, axis=-1: a.arg(np.argmin)(x, axis),
    'one_hot': a.one_hot,
    'ones_like': a.filled_like(1.0),
    'zeros_like': a.filled_like(0.0),
    'ones': a.filled(1.0),
    'zeros': a.filled(0.0),
    'tile': a.tile,
    'transpose': a.transpose,
    'logsumexp': a.logsumexp,
    'arange': a.arange,
    'clip': a.clip,
    'pow': a.power,
    'softmax': a.softmax,
}
BACKEND: Table = {
    **SUMS, **MATH, **COMPARISONS, **ACTIVATIONS, **SAME, **KERAS_ARRAYS,
    'epsilon': lambda: e.EPSILON,
    'floatx': lambda: 'float32',
    'flatten': lambda x: a.array(x).reshape(-1),
    'batch_flatten': a.batch_flatten,
    'permute_dimensions': a.transpose,
    'int_shape': lambda x: a.array(x).shape,
    'shape': lambda x: np.array(a.array(x).shape, np.int64),
    'ndim': lambda x: a.array(x).ndim,
    'binary_crossentropy': e.binary_map,
    'categorical_crossentropy': e.categorical_map,
    'sparse_categorical_crossentropy': e.sparse,
    'switch': a.where,
    'gather': a.gather,
    'repeat_elements': a.repeat,
    'eye': a.eye,
    'cumsum': a.cumulative,
    'abs': a.ELEMENTWISE['abs'],
    'std': a.REDUCTIONS['std'],
    'var': a.REDUCTIONS['var'],
    'hard_sigmoid': lambda x: np.clip(a.real(x) * 0.2 + 0.5, 0, 1),
}  # fmt: skip
OPS: Table = {
    **SUMS, **MATH, **COMPARISONS, **LOGIC, **ARITHMETIC, **ACTIVATIONS, **SAME, **KERAS_ARRAYS,
    **of('std var', a.REDUCTIONS),
    **of('isnan isinf isfinite log10 log2 rsqrt negative reciprocal log_softmax log_sigmoid', a.ELEMENTWISE),
    **of('mod floor_divide logical_xor', a.BINARY),
    'absolute': a.ELEMENTWISE['abs'],
    'power': a.power,
    'pow': a.power,
    'true_divide': a.divide,
    'divide_no_nan': a.divide_no_nan,
    'shape': lambda x: a.array(x).shape,
    'ndim': lambda x: a.array(x).ndim,
    'size': a.size,
    'ravel': lambda x: a.array(x).reshape(-1),
    'where': a.where,
    'take': lambda x, indices, axis=None: a.gather(x, indices, axis),
    'take_along_axis': lambda x, indices, axis: a.gather_along(x, axis, indices),
    'count_nonzero': a.count_nonzero,
    'moveaxis': a.move,
    'swapaxes': a.swap,
    'broadcast_to': a.broadcast,
    'repeat': a.repeat,
    'split': a.split,
    'unstack': a.unstack,
    'einsum': a.einsum,
    'eye': a.eye,
    'full': a.fill,
    'full_like': a.fill_like,
    'norm': lambda x, p=2, axis=None, keepdims=False: a.norm(x, p, axis, keepdims),
    'cumsum': a.cumulative,
    'binary_crossentropy': e.binary_map,
    'categorical_crossentropy': e.categorical_map,
    'sparse_categorical_crossentropy': e.sparse,
}  # fmt: skip
TENSORFLOW: Table = {
    **{f'reduce_{name}': function for name, function in SUMS.items()},
    'reduce_std': a.REDUCTIONS['std'],
    'reduce_variance': a.REDUCTIONS['var'],
    **MATH, **COMPARISONS, **LOGIC, **ARITHMETIC, **SAME,
    **of('rsqrt log_sigmoid negative reciprocal softplus sigmoid', a.ELEMENTWISE),
    **of('squared_difference mod', a.BINARY),
    **KERAS_ARRAYS,
    'is_nan': a.ELEMENTWISE['isnan'],
    'is_inf': a.ELEMENTWISE['isinf'],
    'is_finite': a.ELEMENTWISE['isfinite'],
    'reduce_logsumexp': a.logsumexp,
    'truediv': a.divide,
    'div': a.divide,
    'realdiv': a.divide,
    'mul': a.multiply,
    'sub': a.subtract,
    'neg': a.ELEMENTWISE['negative'],
    'floordiv': a.BINARY['floor_divide'],
    'divide_no_nan': a.divide_no_nan,
    'div_no_nan': a.divide_no_nan,
    'multiply_no_nan': lambda x, y: a.where(a.BINARY['equal'](y, 0), 0.0, a.multiply(x, y)),
    'add_n': a.add_all,
    'accumulate_n': a.add_all,
    'clip_by_value': a.clip,
    'concat': a.concatenate,
    'unstack': a.unstack,
    'split': lambda x, parts, axis=0: a.split(x, parts, axis),
    'shape': lambda x: np.array(a.array(x).shape, np.int64),
    'rank': lambda x: a.array(x).ndim,
    'size': a.size,
    'where': a.where,
    'gather': a.gather,
    'boolean_mask': a.boolean_mask,
    'count_nonzero': a.count_nonzero,
    'range': a.arange,
    'fill': a.fill,
    'eye': a.eye,
    'norm': lambda x, p='euclidean', axis=None, keepdims=False: a.norm(x, p, axis, keepdims),
    'broadcast_to': a.broadcast,
    'slice': a.begin_size,
    'einsum': a.einsum,
    'cumsum': a.cumulative,
    'to_float': a.real,
    'to_int32': a.whole,
    'repeat': a.repeat,
    'argmax': lambda x, axis=0: a.arg(np.argmax)(x, axis),
    'reverse': lambda x, axis: np.flip(a.array(x), a.axes(axis)),
    'sigmoid_cross_entropy_with_logits': e.sigmoid_with_logits,
    'softmax_cross_entropy_with_logits': e.softmax_with_logits,
    'softmax_cross_entropy_with_logits_v2': e.softmax_with_logits,
    'sparse_softmax_cross_entropy_with_logits': e.sparse_with_logits,
    'weighted_cross_entropy_with_logits': e.weighted_with_logits,
    'relu': a.ELEMENTWISE['relu'],
    'softmax': a.softmax,
    'log_softmax': a.log_softmax,
    'flatten': a.batch_flatten,
}  # fmt: skip
NUMPY: Table = {
    **SUMS, **MATH, **COMPARISONS, **LOGIC, **ARITHMETIC,
    **of('std var', a.REDUCTIONS), **of('log10 log2 negative reciprocal isnan isinf isfinite', a.ELEMENTWISE),
    **of('mod floor_divide', a.BINARY),
    'sum': lambda x, axis=None, dtype=None, out=None, keepdims=False: a.REDUCTIONS['sum'](x, axis, keepdims),
    'mean': lambda x, axis=None, dtype=None, out=None, keepdims=False: a.REDUCTIONS['mean'](x, axis, keepdims),
    'absolute': a.ELEMENTWISE['abs'], 'power': a.power, 'true_divide': a.divide, 'clip': a.clip, 'round': a.rounded,
    'rint': a.rounded, 'reshape': a.reshape, 'ravel': lambda x: a.array(x).reshape(-1), 'where': a.where,
    'array': a.identity, 'asarray': a.identity, 'ascontiguousarray': a.identity, 'float32': a.real, 'float64': a.real,
    'stack': a.stack, 'concatenate': a.concatenate, 'argmax': a.arg(np.argmax), 'expand_dims': a.expand_dims,
    'squeeze': a.squeeze, 'transpose': a.transpose, 'moveaxis': a.move, 'swapaxes': a.swap,
    'ones': a.filled(1.0), 'zeros': a.filled(0.0), 'ones_like': a.filled_like(1.0), 'zeros_like': a.filled_like(0.0),
    'full': a.fill, 'eye': a.eye, 'arange': a.arange, 'size': a.size, 'ndim': lambda x: a.array(x).ndim,
    'shape': lambda x: a.array(x).shape, 'count_nonzero': a.count_nonzero, 'tile': a.tile, 'repeat': a.repeat,
    'broadcast_to': a.broadcast, 'einsum': a.einsum,
}  # fmt: skip
TORCH: Table = {
    **MATH, **of('sum mean prod any all', a.REDUCTIONS), **LOGIC, **of('maximum minimum', a.BINARY),
    **of('sigmoid softmax relu log_softmax rsqrt reciprocal isnan isinf isfinite log10 log2 logsumexp', a.ELEMENTWISE),
    **SAME,
    'absolute': a.ELEMENTWISE['abs'],
    'neg': a.ELEMENTWISE['negative'], 'negative': a.ELEMENTWISE['negative'],
    'add': a.scaled_add, 'sub': a.scaled_subtract, 'subtract': a.scaled_subtract,
    'mul': a.multiply, 'multiply': a.multiply, 'div': a.divide, 'divide': a.divide, 'true_divide': a.divide,
    'pow': a.power, 'float_power': a.power, 'amax': a.REDUCTIONS['max'], 'amin': a.REDUCTIONS['min'],
    'max': a.pair_or_reduction(np.max, np.maximum, np.argmax),
    'min': a.pair_or_reduction(np.min, np.minimum, np.argmin),
    'eq': a.BINARY['equal'], 'ne': a.BINARY['not_equal'], 'gt': a.BINARY['greater'], 'ge': a.BINARY['greater_equal'],
    'lt': a.BINARY['less'], 'le': a.BINARY['less_equal'],
    'clamp': a.clip, 'clip': a.clip, 'clamp_min': a.maximum, 'clamp_max': a.minimum,
    'where': a.where, 'masked_fill': a.masked_fill, 'masked_select': a.boolean_mask,
    'argmax': a.arg(np.argmax), 'argmin': a.arg(np.argmin), 'count_nonzero': a.count_nonzero, 'norm': a.norm,
    'flatten': a.flatten, 'ravel': a.flatten, 'reshape': a.reshape, 'squeeze': a.squeeze_if_one, 'unsqueeze': a.expand_dims,
    'transpose': a.swap, 'swapaxes': a.swap, 'permute': a.permute, 'movedim': a.move, 'moveaxis': a.move,
    'stack': a.stack, 'cat': a.concatenate, 'concat': a.concatenate, 'unbind': a.unbind,
    'split': a.split_by_size, 'chunk': a.split, 'tile': a.tile,
    'gather': a.gather_along, 'index_select': a.choose, 'select': a.choose, 'narrow': a.narrow, 'einsum': a.einsum,
    'broadcast_to': a.broadcast, 'cumsum': a.cumulative,
    'ones_like': a.filled_like(1.0), 'zeros_like': a.filled_like(0.0), 'full_like': a.fill_like, 'full': a.fill,
    'ones': a.filled(1.0), 'zeros': a.filled(0.0), 'eye': a.eye, 'arange': a.arange,
    'tensor': a.identity, 'as_tensor': a.identity, 'from_numpy': a.identity, 'FloatTensor': a.real, 'Tensor': a.real,
    'LongTensor': a.whole, 'numel': a.size, 'is_tensor': lambda x: True,
}  # fmt: skip
FUNCTIONAL: Table = {
    **of('sigmoid softmax log_softmax relu softplus tanh', a.ELEMENTWISE),
    'logsigmoid': a.log_sigmoid,
    'one_hot': a.one_hot_of_ids,
    'binary_cross_entropy': e.torch_binary,
    'binary_cross_entropy_with_logits': e.torch_binary_with_logits,
    'cross_entropy': e.torch_cross_entropy,
    'nll_loss': e.torch_nll,
    'mse_loss': e.torch_squared,
    'l1_loss': e.torch_absolute,
}
METHODS: Table = {
    **{name: function for name, function in TORCH.items() if name not in SAME and not name[:1].isupper()},
    **dict.fromkeys(('float', 'double'), a.real),
    **dict.fromkeys(('long', 'int', 'short'), a.whole),
    **dict.fromkeys('contiguous cpu cuda clone requires_grad_ to_dense numpy copy'.split(), a.identity),
    'bool': lambda x: a.array(x).astype(bool), 'half': a.real, 'byte': a.whole,
    'to': lambda x, to=None, *unused: a.cast(x, to) if isinstance(to, str) and _is_dtype(to) else a.identity(x),
    'type': a.cast, 'astype': a.cast,
    'type_as': lambda x, like: a.cast(x, {'f': 'float', 'i': 'int', 'b': 'bool'}[a.array(like).dtype.kind]),
    'view': a.reshape, 'view_as': a.view_as, 'reshape_as': a.view_as, 'expand': a.expand, 'expand_as': a.expand_as,
    'repeat': a.tile, 'size': lambda x, axis=None: a.array(x).shape if axis is None else a.array(x).shape[axis],
    'dim': lambda x: a.array(x).ndim, 'ndimension': lambda x: a.array(x).ndim, 'numel': a.size, 'nelement': a.size,
    'item': a.number, 'scatter': a.scatter, 'scatter_': a.scatter, 't': lambda x: a.array(x).T,
    'get_shape': lambda x: a.array(x).shape, 'as_list': list,
    'new_tensor': lambda x, data: a.array(data), 'logical_not': LOGIC['logical_not'], 'tolist': a.identity,
}  # fmt: skip


def _is_dtype(name: str) -> bool:
    return (
        name.rpartition('.')[2].lower().startswith(('float', 'int', 'uint', 'long', 'bool', 'half', 'double', 'bfloat'))
    )


OPERATORS: Table = {
    'add': a.add, 'iadd': a.add, 'sub': a.subtract, 'isub': a.subtract, 'mul': a.multiply, 'imul': a.multiply,
    'truediv': a.divide, 'itruediv': a.divide, 'floordiv': a.BINARY['floor_divide'], 'mod': a.BINARY['mod'], 'pow': a.power,
    'neg': a.ELEMENTWISE['negative'], 'pos': a.identity,
    'eq': a.BINARY['equal'], 'ne': a.BINARY['not_equal'], 'lt': a.BINARY['less'], 'le': a.BINARY['less_equal'],
    'gt': a.BINARY['greater'], 'ge': a.BINARY['greater_equal'],
    'and': a.binary(lambda x, y: x & y), 'or': a.binary(lambda x, y: x | y), 'xor': a.binary(lambda x, y: x ^ y),
    'invert': lambda x: ~a.array(x), 'getitem': a.item,
}  # fmt: skip
BUILTINS: Table = {
    'abs': a.ELEMENTWISE['abs'], 'sum': a.add_all, 'pow': a.power, 'len': a.length, 'float': a.number,
    'max': lambda x, y: a.maximum(x, y) if np.ndim(x) == np.ndim(y) == 0 else a._refuse('max of arrays'),
    'min': lambda x, y: a.minimum(x, y) if np.ndim(x) == np.ndim(y) == 0 else a._refuse('min of arrays'),
    'list': a.identity, 'tuple': a.identity, 'range': lambda *bounds: list(range(*(a.integer(b) for b in bounds))),
}  # fmt: skip
FAMILIES: dict[str, Table] = {
    'keras.backend': BACKEND,
    'tensorflow.python.keras.backend': BACKEND,
    'keras.ops': OPS,
    'keras.ops.numpy': OPS,
    'keras.ops.nn': OPS,
    'keras.losses': ENTROPIES,
    'keras.metrics': ENTROPIES,
    'keras.objectives': ENTROPIES,
    'keras.activations': ACTIVATIONS,
    'keras.utils': {'to_categorical': a.to_categorical},
    'tensorflow': TENSORFLOW,
    'tensorflow.math': TENSORFLOW,
    'tensorflow.nn': TENSORFLOW,
    'tensorflow.compat.v1': TENSORFLOW,
    'tensorflow.linalg': {'norm': TENSORFLOW['norm']},
    'tensorflow.layers': {'flatten': a.batch_flatten},
    'numpy': NUMPY,
    'math': MATH | {'pow': a.power, 'prod': a.REDUCTIONS['prod'], 'fabs': a.ELEMENTWISE['abs']},
    'torch': TORCH,
    'torch.special': TORCH,
    'torch.nn.functional': FUNCTIONAL,
    'torch.Tensor': METHODS,
    'operator': OPERATORS,
    '': BUILTINS,
}
OBJECTS: dict[str, tuple[Operation, tuple[str, ...]]] = {
    'torch.nn.BCELoss': (e.torch_binary, ('weight', 'size_average', 'reduce', 'reduction')),
    'torch.nn.BCEWithLogitsLoss': (
        e.torch_binary_with_logits, ('weight', 'size_average', 'reduce', 'reduction', 'pos_weight'),
    ),
    'torch.nn.CrossEntropyLoss': (
        e.torch_cross_entropy, ('weight', 'size_average', 'ignore_index', 'reduce', 'reduction', 'label_smoothing'),
    ),
    'torch.nn.NLLLoss': (e.torch_nll, ('weight', 'size_average', 'ignore_index', 'reduce', 'reduction')),
    'torch.nn.MSELoss': (e.torch_squared, ('size_average', 'reduce', 'reduction')),
    'torch.nn.L1Loss': (e.torch_absolute, ('size_average', 'reduce', 'reduction')),
    'torch.nn.Sigmoid': (a.sigmoid, ()),
    'torch.nn.Softmax': (a.softmax, ('axis',)),
    'torch.nn.Softmax2d': (lambda x: a.softmax(x, -3), ()),
    'torch.nn.LogSoftmax': (a.log_softmax, ('axis',)),
    'torch.nn.LogSigmoid': (a.log_sigmoid, ()),
    'torch.nn.ReLU': (a.ELEMENTWISE['relu'], ('inplace',)),
    'torch.nn.Flatten': (lambda x, start=1, end=-1: a.flatten(x, start, end), ('start', 'end')),
    'keras.losses.BinaryCrossentropy': (e.binary, ('from_logits', 'label_smoothing', 'axis', 'reduction')),
    'keras.losses.CategoricalCrossentropy': (e.categorical, ('from_logits', 'label_smoothing', 'axis', 'reduction')),
    'keras.losses.SparseCategoricalCrossentropy': (e.sparse, ('from_logits', 'ignore_class', 'reduction')),
    'keras.losses.Dice': (e.dice, ('reduction', 'axis')),
    'keras.losses.MeanSquaredError': (e.squared, ('reduction',)),
    'keras.losses.MeanAbsoluteError': (e.absolute, ('reduction',)),
    'keras.layers.Flatten': (a.batch_flatten, ()),
    'keras.layers.Reshape': (lambda x, shape: a.reshape(x, (a.array(x).shape[0], *a.integers(shape))), ('shape',)),
}  # fmt: skip
ACTIVATING: dict[str, tuple[Operation, ...]] = {
    'sigmoid': (
        a.sigmoid, a.log_sigmoid, e.torch_binary_with_logits, e.sigmoid_with_logits, e.weighted_with_logits,
    ),
    'softmax': (a.softmax, a.log_softmax, e.torch_cross_entropy, e.softmax_with_logits, e.sparse_with_logits),
    'sigmoid from_logits': (e.binary, e.binary_map, e.binary_focal),
    'softmax from_logits': (e.categorical, e.categorical_map, e.sparse),
}  # fmt: skip  # what turns logits into probabilities
DYNAMIC = frozenset({a.boolean_mask})  # whose shapes those of the arguments do not tell
VALUES: dict[str, Any] = {
    'numpy.newaxis': None, 'tensorflow.newaxis': None, 'numpy.pi': np.pi, 'math.pi': np.pi, 'torch.pi': np.pi,
    'numpy.e': np.e, 'math.e': np.e, 'math.inf': np.inf, 'numpy.inf': np.inf,
}  # fmt: skip


def operation(name: str) -> Operation | None:
    """What computes a dotted name; None where nothing does."""
    if name.startswith('.'):
        return METHODS.get(name[1:])
    module, _, last = name.rpartition('.')
    return FAMILIES.get(module, {}).get(last)


def parameters(function: Operation) -> tuple[str, ...]:
    """The names of its parameters; () for what takes any."""
    code = getattr(function, '__code__', None)
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def names(function: Operation, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name under the names of ``function``; what changes no number is left out."""
    own = parameters(function)
    found: dict[str, Any] = {}
    for word, value in given.items():
        if word in own:
            found[word] = value
            continue
        mine = next((name for name in own if word in ALIASES.get(name, ()) and name not in found), None)
        if mine is not None:
            found[mine] = value
        elif word not in FREE:
            found[word] = value  # which the call refuses
    return found
