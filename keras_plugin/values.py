"""Values that are no labels, weights, probabilities or predictions, in Keras: found in the step, told where they are seen.

The rule is ``shared_spec.values``'. ``prepare`` gives a pixel with such a value the weight NaN, and so the loss and its
gradient; where values can be seen it calls the spec's sentence first.
"""

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import backend, ops

from keras_plugin.typing import Tensor
from shared_spec import values
from shared_spec.values import TOLERANCE

DEBUG = os.environ.get('SEGPARITY_DEBUG', '') not in ('', '0')
COMPILED = (
    'SEGPARITY_DEBUG=1: {what}, where nothing can look at values; wrong ones make the loss NaN there, and {how} '
    'raises the sentence that says what is wrong'
)


def widest_integer_dtype() -> str:
    """The dtype of integers that no label wraps in, where the backend has it (JAX without x64 has not)."""
    if backend.backend() != 'jax':
        return 'int64'
    import jax

    # the options of jax.config are made at run time
    return 'int64' if jax.config.jax_enable_x64 else 'int32'  # type: ignore[attr-defined]


def to_tensor(x: Any) -> Tensor:
    """x as a tensor of its own dtype, whatever ``floatx`` is, which on JAX rounds arrays of NumPy.

    64-bit integers of NumPy that the backend would wrap, or does not have, end at its largest.
    """
    if not isinstance(x, np.ndarray):
        return ops.convert_to_tensor(x)
    if x.dtype.kind in 'iu' and x.dtype.itemsize == 8:
        dtype = widest_integer_dtype()
        lowest = np.iinfo(dtype).min if x.dtype.kind == 'i' else 0
        x = np.clip(x, lowest, np.iinfo(dtype).max).astype(dtype)
    elif x.dtype == np.float64 and widest_integer_dtype() == 'int32':
        x = x.astype(np.float32)
    return ops.convert_to_tensor(x, dtype=backend.standardize_dtype(x.dtype))


def as_numbers(labels: Tensor) -> Tensor:
    """Labels in int32 or int64, float32 or float64, which compare everywhere; from 2^31 on uint32 turns negative on JAX."""
    dtype = backend.standardize_dtype(labels.dtype)
    if backend.is_float_dtype(dtype):
        return labels if dtype == 'float64' else ops.cast(labels, 'float32')
    if (
        dtype == 'bool'
    ):  # no cast: on TensorFlow a bool of the byte 255, which Pillow's 1-bit pictures have, becomes 255
        return ops.where(labels, *(ops.convert_to_tensor(x, dtype='int32') for x in (1, 0)))
    return ops.cast(labels, widest_integer_dtype() if dtype in ('int64', 'uint32', 'uint64') else 'int32')


def is_float(x: Tensor) -> bool:
    return backend.is_float_dtype(backend.standardize_dtype(x.dtype))


def equals(labels: Tensor, ignored: int) -> Tensor:
    """Which of ``as_numbers`` are the integer ``ignored``."""
    if is_float(labels):
        return labels == float(ignored)
    half = 2 ** (63 if backend.standardize_dtype(labels.dtype) == 'int64' else 31)
    return labels == (ignored + half) % (2 * half) - half  # as the labels' own cast would wrap it


def is_no_class(labels: Tensor, num_classes: int) -> Tensor:
    """Which labels are no class ids."""
    wrong = ops.logical_or(labels < 0, labels >= num_classes)
    return ops.logical_or(wrong, labels != ops.floor(labels)) if is_float(labels) else wrong  # NaN is not itself


def is_outside(x: Tensor) -> Tensor:
    """Which numbers are not in [0, 1], floats by more than rounding; NaN is not either."""
    if is_float(x):
        return negate(ops.abs(x - 0.5) <= 0.5 + TOLERANCE)
    return ops.logical_or(x < 0, x > 1)


def negate(x: Tensor) -> Tensor:
    """Where x is False. For TensorFlow's graph optimizer ``not a < b`` is ``a >= b``, which of NaN is not true."""
    return ops.where(x, False, True)


def is_no_weight(weight: Tensor) -> Tensor:
    return negate(ops.logical_and(weight >= 0, weight < np.inf))


def pixels_outside(x: Tensor) -> Tensor | None:
    """(N, P) which pixels have a number of x (N, P, C) ``is_outside`` [0, 1]; None where it is seen that none has."""
    if not is_float(x):
        return ops.any(is_outside(x), axis=-1)
    if is_seen_finite(x) and (0 in x.shape or (bool(ops.min(x) >= 0) and bool(ops.max(x) <= 1))):
        return None
    return ops.logical_not(ops.all(ops.abs(x - 0.5) <= 0.5 + TOLERANCE, axis=-1))  # XLA's maxima would drop NaN


def pixels_without_number(logits: Tensor, softmax: bool) -> Tensor | None:
    """(N, P) which pixels have a logit of NaN or +inf, or for softmax only -inf; None where it is seen that none has."""
    if is_seen_finite(logits):
        return None
    numbers = ops.all(logits < np.inf, axis=-1)
    return ops.logical_not(ops.logical_and(numbers, ops.any(logits > -np.inf, axis=-1)) if softmax else numbers)


def wrong_pixels(
    owner: str,
    labels: Tensor,
    given: Tensor,
    weights: tuple[Tensor, ...],
    logits: bool,
    softmax: bool,
    one_label: bool = False,
    sums_tell: bool = False,
) -> tuple[Tensor | None, Tensor | None, bool]:
    """Which pixels that count have a weight or a label outside its range, and which such a prediction; refuses what it sees.

    labels (N, P) or (N, P, C) ``as_numbers``, given (N, P, C), weights: those of pixels, and of images where there are.
    Each (N, P), or None where it is seen that all is well, and whether maps of labels are not seen: which of their
    pixels are wrong costs a pass over them, while NaN in their place costs next to nothing, where ``sums_tell``: the loss
    is made of ``Batch.sum``, and not of maxima, in which XLA drops NaN. A softmax of what is no
    number is NaN by itself.
    """
    classes, counts = given.shape[-1], weights[0] != 0
    found = []
    for weight in weights[1:] and weights:
        wrong = look(functools.partial(values.check_weights, owner), is_no_weight(weight), weight)
        found.append(wrong if wrong is None or len(wrong.shape) == 2 else wrong[:, None])
    maps = (
        sums_tell
        and len(labels.shape) == 3
        and not one_label
        and is_float(labels)
        and not can_look(labels)
        and not DEBUG
    )
    check: Any  # None where nothing is looked at
    if maps:
        wrong = check = None
    elif len(labels.shape) == 3:
        wrong, check = pixels_outside(labels), functools.partial(check_maps, owner)
        if one_label:
            wrong = ops.logical_or(wrong, ops.sum(labels, axis=-1) != 1)
            check = functools.partial(check_one_label, owner)
    elif classes == 1:
        wrong, check = is_outside(labels), functools.partial(values.check_one_channel, owner)
    else:
        wrong, check = is_no_class(labels, classes), functools.partial(check_ids, owner, classes)
    found.append(look(check, and_where_counted(counts, wrong), labels, counts))
    found = [wrong for wrong in found if wrong is not None]
    unpredicted = None
    if not logits:
        unpredicted = and_where_counted(counts, pixels_outside(given))
        unpredicted = look(functools.partial(check_prediction, owner), unpredicted, given, counts)
    elif not softmax or (backend.backend() == 'tensorflow' and not maps):  # whose softmax may spare classes
        unpredicted = and_where_counted(counts, pixels_without_number(given, softmax))
    return functools.reduce(ops.logical_or, found) if found else None, unpredicted, maps


def nan_where(x: Tensor, wrong: Tensor | None) -> Tensor:
    """x with NaN where something is ``wrong``, if anything may be."""
    return x if wrong is None else ops.where(wrong, np.nan * ops.ones_like(x), x)


def and_where_counted(counts: Tensor, wrong: Tensor | None) -> Tensor | None:
    return None if wrong is None else ops.logical_and(counts, wrong)


def check_ids(owner: str, num_classes: int, ids: np.ndarray, counts: np.ndarray) -> None:
    """As in ``shared_spec.values``, in whose sentence ``ignore_class`` leaves a label out."""
    values.check_ids(owner, ids, counts, num_classes, ignore='ignore_class')


def check_maps(owner: str, target: np.ndarray, counts: np.ndarray) -> None:
    values.check_maps(owner, target, counts[..., None])


def check_one_label(owner: str, target: np.ndarray, counts: np.ndarray) -> None:
    check_maps(owner, target, counts)
    values.check_one_label(owner, target, counts, axis=-1)


def check_prediction(owner: str, prob: np.ndarray, counts: np.ndarray) -> None:
    """Refuses probabilities (N, P, C), unless one is no number, which makes NaN of the loss and no error."""
    if (values.is_number(prob, False, -1) | ~counts).all():
        values.check_probabilities(owner, prob, counts[..., None])


def look(check: Callable[..., None], wrong: Tensor | None, *tensors: Tensor) -> Tensor | None:
    """``wrong``, or None where it is seen that nothing is; there ``check`` gets the tensors of what is as NumPy arrays.

    Values can be seen wherever nothing is traced and the tensors are on a CPU; under SEGPARITY_DEBUG=1 also on other
    devices and in compiled steps, but for those of XLA on TensorFlow and of ``torch.compile``, which are warned of.
    """
    if wrong is None:
        return None
    if all(can_look(x) for x in (wrong, *tensors)):
        if not bool(ops.any(wrong)):
            return None
        check(*(np.asarray(ops.convert_to_numpy(x)) for x in tensors))
    elif DEBUG:
        check_in_step(check, tensors)
    return wrong


def is_seen_finite(x: Tensor) -> bool:
    """Whether it is seen that every number of x is finite; one sum costs less than what a loss does about those."""
    return can_look(x) and bool(ops.isfinite(ops.sum(ops.stop_gradient(x))))


def can_look(x: Tensor) -> bool:
    """Whether a tensor's values can be seen now, without waiting for a device (or with, under SEGPARITY_DEBUG=1)."""
    if backend.backend() == 'tensorflow':
        import tensorflow as tf

        return tf.executing_eagerly() and (DEBUG or 'CPU' in x.device)
    if backend.backend() == 'jax':
        import jax

        if isinstance(x, jax.core.Tracer) or not x.is_fully_addressable:
            return False
        return DEBUG or all(device.platform == 'cpu' for device in x.devices())
    import torch

    if torch.compiler.is_compiling() or type(x) is not torch.Tensor or torch._C._functorch.maybe_get_level(x) != -1:
        return False
    return x.device.type == 'cpu' or (DEBUG and x.device.type != 'meta')


def check_in_step(check: Callable[..., None], tensors: Sequence[Tensor]) -> None:
    """Makes the compiled step call ``check`` by itself."""
    if backend.backend() == 'jax':
        import jax

        jax.debug.callback(lambda *arrays: check(*map(np.asarray, arrays)), *tensors)
    elif backend.backend() == 'tensorflow':
        import tensorflow as tf

        from keras_plugin.tensorflow_replicas import in_xla

        if in_xla():
            what, how = 'TensorFlow compiles this step with XLA', 'model.compile(jit_compile=False)'
            warnings.warn(COMPILED.format(what=what, how=how), stacklevel=2)
        else:
            tf.py_function(lambda *arrays: check(*(x.numpy() for x in arrays)), tensors, [])
    else:
        import torch

        if torch.compiler.is_compiling():
            what, how = 'torch.compile compiles this step', 'model.compile(jit_compile=False)'
            warnings.warn(COMPILED.format(what=what, how=how), stacklevel=2)
