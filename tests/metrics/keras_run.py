"""Metrics compiled as a model compiles them on the backend of this process, and what else its cases share."""

import os

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics import wrong_pixels as wrong_module

BACKEND = keras.backend.backend()
X64 = BACKEND != 'jax' or os.environ.get('JAX_ENABLE_X64') == '1'  # whether there is float64


def jit(function):
    """The function compiled as the backend compiles a step."""
    if BACKEND == 'tensorflow':
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if BACKEND == 'jax':
        import jax

        return jax.jit(function)
    return function


class Run:
    """A metric whose update and result are compiled, as in a model; it may be reset and used again.

    ``eager`` leaves them as they are, except on JAX, which would compile every operation by itself.
    """

    def __init__(self, metric, eager=False):
        self.metric = metric
        if BACKEND == 'jax':
            self._update, self._result = jit(metric.stateless_update_state), jit(metric.stateless_result)
        else:
            plain = metric.update_state, metric.result
            self._update, self._result = plain if eager else map(jit, plain)

    def update(self, *arguments):
        if BACKEND == 'jax':
            new = self._update([v.value for v in self.metric.variables], *arguments)
            for variable, value in zip(self.metric.variables, new):
                variable.assign(value)
        else:
            self._update(*(ops.convert_to_tensor(a, dtype=keras.backend.standardize_dtype(a.dtype)) for a in arguments))

    def result(self):
        found = self._result([v.value for v in self.metric.variables]) if BACKEND == 'jax' else self._result()
        if isinstance(found, dict):
            # a compiled function of JAX sorts the names
            return {name: float(found[name]) for name in self.metric.names()}
        return float(found)

    def run_on(self, preds, targets, weights=None, batch=8):
        self.metric.reset_state()
        for i in range(0, len(targets), batch):
            parts = [x[i : i + batch] for x in (targets, preds, weights) if x is not None]
            self.update(*parts)
        return self.result()


def classes_only(targets, num_classes, ignore_index=255):
    """Whether every label is a class or ignored; what is not is refused or NaN: ``keras_wrong_cases``."""
    labels = np.concatenate([np.ravel(target) for target in targets])
    return bool(np.isin(labels, [*range(num_classes), *([] if ignore_index is None else [ignore_index])]).all())


def report(spec, eager=False, **arguments):
    return Run(km.SegmentationReport(**spec.keras_arguments(), **arguments), eager)


def assert_wrong_batch(run, sentence, *batch):
    """A compiled update with a wrong batch makes every result NaN, and ``check`` says why; eager ones refuse it."""
    if BACKEND == 'torch':
        refuses(ValueError, sentence, run.update, *batch)
        visible = wrong_module.can_look  # as a GPU does it
        wrong_module.can_look = lambda x: False
        try:
            run.update(*batch)
        finally:
            wrong_module.can_look = visible
    else:
        run.update(*batch)
    found = run.result()
    assert np.isnan(list(found.values()) if isinstance(found, dict) else found).all(), found
    refuses(ValueError, sentence, run.metric.check)


def refuses(kind, sentence, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except kind as error:
        assert sentence in str(error), f'{error} does not say {sentence!r}'
        assert '\n' not in str(error)
    else:
        raise AssertionError(f'{arguments} {keywords} was not refused')
