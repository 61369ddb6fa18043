"""What the Keras metrics cost in each step: ``KERAS_BACKEND=jax python benchmarks/keras_metrics.py``.

First ``update_state`` of one batch of 2 x 512 x 1024 logits and 19 classes (2 x 512 x 512 and 150), beside a softmax of
the same logits; then ``result()``, which Keras calls in every step, with the counts of 1,000 images in the table, and
``worst_results()``, which ``worst_every='epoch'`` calls once an epoch instead. Compiled as a model compiles them (torch:
as they are), milliseconds, the median of the rounds. ``--threads 1`` keeps it to one core.
"""

import os

os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from benchmarks import area, results
from benchmarks.timing import time_in_turns

BACKEND = os.environ['KERAS_BACKEND']
SHAPES = ((19, 2, 512, 1024), (150, 2, 512, 512))
QUICK = ((3, 1, 32, 32),)
IMAGES = 1000
SOFTMAX = 'softmax and its sum'
THREE = 'mAcc', 'mIoU', 'mDice'


def compile_step(function, stateless=None, state=None):
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


def updates(classes, n, height, width):
    """Name -> one update of one batch."""
    import numpy as np
    from keras import ops

    from keras_plugin import metrics

    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, classes, (n, height // 32, width // 32)), np.ones((32, 32), 'int32'))
    logits = rng.normal(size=(*labels.shape, classes)) + 3 * (labels[..., None] == np.arange(classes))
    labels, logits = ops.convert_to_tensor(labels.astype('int32')), ops.convert_to_tensor(logits.astype('float32'))
    softmax = compile_step(lambda z: ops.sum(ops.softmax(z), axis=(1, 2)))
    found = {SOFTMAX: lambda: softmax(logits)}
    for metric in (
        metrics.MeanIoU(classes, from_logits=True),
        metrics.BoundaryIoU(classes, from_logits=True),
        metrics.CalibrationError(classes, 'ECE', from_logits=True),
        metrics.CalibrationError(classes, 'SCE', from_logits=True),
        metrics.SegmentationReport(
            classes, metrics=THREE, from_logits=True, calibration=True, name='Report(calibration=True)'
        ),
    ):

        def update(y, z, metric=metric):
            metric.update_state(y, z)
            return ops.convert_to_tensor(metric.variables[-1].value)

        call = compile_step(update, metric.stateless_update_state, [v.value for v in metric.variables])
        found[metric.name] = lambda call=call: call(labels, logits)
    return found


def readings(classes):
    """Name -> one result with the counts of IMAGES images in the table."""
    import numpy as np

    from keras_plugin import metrics

    table = np.random.default_rng(0).integers(0, 1000, (IMAGES + 1, classes, 3)).astype('int32')
    table[-1] = 0
    found = {}
    for name, metric in {
        "MeanIoU(level='C')": metrics.MeanIoU(classes, 'C'),
        "MeanIoU(level='C', q=5)": metrics.MeanIoU(classes, 'C', 5),
        'SegmentationReport(q=())': metrics.SegmentationReport(classes, metrics=THREE),
        'SegmentationReport(q=(1, 5))': metrics.SegmentationReport(classes, metrics=THREE, q=(1, 5)),
        "SegmentationReport(worst_every='epoch')": metrics.SegmentationReport(
            classes, metrics=THREE, q=(1, 5), worst_every='epoch'
        ),
    }.items():
        if metric._table is not None:
            metric._table.rows.assign(table)
            metric._table.seen.assign(IMAGES)
            metric._table.with_pixels.assign(IMAGES)
        found[name] = compile_step(metric.result, metric.stateless_result, [v.value for v in metric.variables])
    found['SegmentationReport.worst_results on the host'] = metric.worst_results
    return found


def measure(options):
    shapes = QUICK if options.quick else SHAPES
    for title, reference, make in (
        ('update_state', SOFTMAX, lambda shape: updates(*shape)),
        ('result', None, lambda shape: readings(shape[0])),
    ):
        cases = {}
        for shape in shapes:
            area.say(f'{BACKEND} {title} {shape}')
            name = f'{BACKEND}, {shape[0]} classes' + (f', {shape[1]} x {shape[2]} x {shape[3]}' if reference else '')
            cases[name] = results.case(time_in_turns(make(shape), options.rounds))
        yield results.comparison(f'Keras metrics, {title}', cases, reference)


if __name__ == '__main__':
    area.run(measure, area.parser(__doc__).parse_args())
