"""What the Keras metrics cost in each step: ``KERAS_BACKEND=jax python benchmarks/keras_metrics.py``.

First ``update_state`` of one batch of 2 x 512 x 1024 logits and 19 classes (2 x 512 x 512 and 150), beside a softmax of
the same logits; then ``result()``, which Keras calls in every step, with the counts of 1,000 images in the table, and
``worst_results()``, which ``worst_every='epoch'`` calls once an epoch instead. Compiled as a model compiles them (torch:
as they are), milliseconds, the median of the rounds. ``taskset -c 0`` keeps it to one core.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics

BACKEND = keras.backend.backend()
SHAPES = ((19, 2, 512, 1024), (150, 2, 512, 512))
IMAGES = 1000


def compiled(function, stateless=None, state=None):
    """A function of tensors that runs as in a step and waits for its end."""
    if BACKEND == 'jax':
        import jax

        call = jax.jit(stateless or function)
        return lambda *x: jax.block_until_ready(call(*(() if state is None else (state,)), *x))
    if BACKEND == 'tensorflow':
        import tensorflow as tf

        call = tf.function(function, jit_compile=True)
        return lambda *x: tf.nest.map_structure(lambda y: y.numpy(), call(*x))
    import torch

    def call(*x):
        with torch.no_grad():
            found = function(*x)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return found

    return call


def milliseconds(call, rounds):
    call(), call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def show(name, classes, value):
    print(f'{BACKEND:10} {classes:4} classes  {name:46} {value:9.2f} ms', flush=True)


def updates(classes, n, height, width, rounds):
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, classes, (n, height // 32, width // 32)), np.ones((32, 32), 'int32'))
    logits = rng.normal(size=(*labels.shape, classes)) + 3 * (labels[..., None] == np.arange(classes))
    labels, logits = ops.convert_to_tensor(labels.astype('int32')), ops.convert_to_tensor(logits.astype('float32'))
    softmax = compiled(lambda z: ops.sum(ops.softmax(z), axis=(1, 2)))
    show('softmax and its sum', classes, milliseconds(lambda: softmax(logits), rounds))
    for metric in (
        metrics.MeanIoU(classes, from_logits=True),
        metrics.BoundaryIoU(classes, from_logits=True),
        metrics.CalibrationError(classes, 'ECE', from_logits=True),
        metrics.CalibrationError(classes, 'SCE', from_logits=True),
        metrics.SegmentationReport(classes, q=(), from_logits=True, calibration=True, name='Report(calibration=True)'),
    ):

        def update(y, z, metric=metric):
            metric.update_state(y, z)
            return ops.convert_to_tensor(metric.variables[-1].value)

        call = compiled(update, metric.stateless_update_state, [v.value for v in metric.variables])
        show(f'{metric.name} update_state', classes, milliseconds(lambda call=call: call(labels, logits), rounds))


def results(classes, rounds):
    table = np.random.default_rng(0).integers(0, 1000, (IMAGES + 1, classes, 3)).astype('int32')
    table[-1] = 0
    for name, metric in {
        "MeanIoU(level='C')": metrics.MeanIoU(classes, 'C'),
        "MeanIoU(level='C', q=5)": metrics.MeanIoU(classes, 'C', 5),
        'SegmentationReport(q=())': metrics.SegmentationReport(classes, q=()),
        'SegmentationReport(q=(1, 5))': metrics.SegmentationReport(classes),
        "SegmentationReport(worst_every='epoch')": metrics.SegmentationReport(classes, worst_every='epoch'),
    }.items():
        if metric._table is not None:
            metric._table.rows.assign(table)
            metric._table.seen.assign(IMAGES)
            metric._table.with_pixels.assign(IMAGES)
        call = compiled(metric.result, metric.stateless_result, [v.value for v in metric.variables])
        show(f'{name} result', classes, milliseconds(call, rounds))
    show('SegmentationReport.worst_results on the host', classes, milliseconds(metric.worst_results, rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=7)
    rounds = parser.parse_args().rounds
    for shape in SHAPES:
        updates(*shape, rounds)
    for classes, *_ in SHAPES:
        results(classes, rounds)


if __name__ == '__main__':
    main()
