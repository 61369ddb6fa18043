"""A training step of the Keras losses: ``python benchmarks/keras_losses.py [--backends jax] [--eager] [--rounds 7]``.

Value and gradient on float32 logits of 2 x 512 x 1024 pixels and 19 classes (``LovaszHingeLoss``: one channel), class
ids with 5 % ignored; compiled with XLA on TensorFlow and JAX unless ``--eager``, PyTorch eager. Keras' Dice, which the
ratios are to, takes a softmax and labels that are one-hot already; beside it the same with one-hot made inside, and
cross-entropy. All run in turns in one process for each backend. Memory: one step in a fresh process above it and its
inputs, in logits (of all but ``LovaszHingeLoss``). ``--losses JaccardMetricLoss`` for a part, ``--weigh`` for whose
memory.
"""

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from benchmarks import area, results
from benchmarks.batches import BLOCK, IGNORED
from benchmarks.memory import free_unused, peak_bytes, run_in_fresh_process
from benchmarks.overlap import unit_bytes
from benchmarks.timing import time_in_turns
from shared_spec import LOSSES

BACKENDS = ('tensorflow', 'jax', 'torch')
SHAPE, QUICK = (2, 512, 1024, 19), (2, 32, 32, 3)
REFERENCE, INSIDE = 'keras Dice', 'keras one_hot + Dice'
PEERS = (REFERENCE, INSIDE, 'keras Tversky', 'keras SparseCategoricalCrossentropy')
I_AND_C = ', I + C'
OURS = (
    'JaccardMetricLoss',
    f'JaccardMetricLoss{I_AND_C}',
    *(name for name in LOSSES if name != 'JaccardMetricLoss' and LOSSES[name].is_plain()),
)


def batch(name, shape):
    """Logits and labels in blocks, as NumPy arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    n, height, width, c = shape if name != 'LovaszHingeLoss' else (*shape[:3], 1)
    logits = 3 * rng.standard_normal((n, height, width, c), 'float32')
    ids = rng.integers(0, max(c, 2), (n, height // BLOCK, width // BLOCK))
    ids = np.kron(ids, np.ones((BLOCK, BLOCK), 'int32')).astype('int32')
    ids[rng.random(ids.shape) < 0.05] = IGNORED
    return logits, (ids[..., None] == np.arange(c)).astype('float32') if name in (REFERENCE, 'keras Tversky') else ids


def build(name):
    """A function of (labels, logits)."""
    import keras
    from keras import ops

    from keras_plugin import losses

    if name == INSIDE:
        dice = keras.losses.Dice()
        return lambda y, z: dice(ops.one_hot(ops.where(y == IGNORED, 0, y), z.shape[-1]), ops.softmax(z))
    if name == 'keras SparseCategoricalCrossentropy':
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    if name.startswith('keras '):
        peer = getattr(keras.losses, name.removeprefix('keras '))()
        return lambda y, z: peer(y, ops.softmax(z))
    options = dict(granularity={'I': 0.5, 'C': 0.5}) if name.endswith(I_AND_C) else {}
    if name == 'WeightedSumLoss':
        parts = ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')
        parts = [dict(type=part, from_logits=True, ignore_class=IGNORED) for part in parts]
        return losses.WeightedSumLoss(losses=parts, weights=[0.25, 0.75])
    return getattr(losses, name.removesuffix(I_AND_C))(from_logits=True, ignore_class=IGNORED, **options)


def stepper(loss, eager):
    """A function of (labels, logits) that takes value and gradient, and waits for them."""
    import keras

    if keras.backend.backend() == 'jax':
        import jax

        both = jax.value_and_grad(lambda z, y: loss(y, z))
        both = both if eager else jax.jit(both)
        return lambda y, z: jax.block_until_ready(both(z, y))
    if keras.backend.backend() == 'tensorflow':
        import tensorflow as tf

        def both(y, z):
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(y, z)
            return value, tape.gradient(value, z)

        both = both if eager else tf.function(both, jit_compile=True, autograph=False)

        def step(y, z):
            value, gradient = both(y, z)
            return float(value), gradient[0, 0, 0, 0].numpy(), gradient

        return step

    def step(y, z):
        leaf = z.detach().requires_grad_()
        value = loss(y, leaf)
        value.backward()
        return value.item(), leaf.grad

    return step


def time_contenders(names, shape=SHAPE, rounds=5, eager=False):
    """Name -> seconds of each round, on the backend of this process."""
    from keras import ops

    data, calls = {}, {}
    for name in names:
        logits, labels = batch(name, shape)
        kind = labels.shape, logits.shape
        if kind not in data:
            data[kind] = ops.convert_to_tensor(logits), ops.convert_to_tensor(labels)
        step = stepper(build(name), eager)
        calls[name] = lambda step=step, z=data[kind][0], y=data[kind][1]: step(y, z)
    return time_in_turns(calls, rounds)


def prepare_step(name, shape=SHAPE, eager=False):
    """A step for ``peak_bytes``, compiled."""
    from keras import ops

    logits, labels = (ops.convert_to_tensor(x) for x in batch(name, shape))
    step = stepper(build(name), eager)
    step(labels, logits)
    free_unused()
    return lambda: step(labels, logits)


def measure(options):
    shape = QUICK if options.quick else SHAPE
    names = [*PEERS, *(options.losses[:1] if options.quick else options.losses)]
    cases = {}
    for backend in options.backends:
        os.environ['KERAS_BACKEND'] = backend  # of the processes that follow
        how = f'{backend}, {"eager" if options.eager or backend == "torch" else "compiled"}'
        area.say(how)
        seconds = run_in_fresh_process(time_contenders, names, shape, options.rounds, options.eager)
        weighed = [name for name in names if name in (options.weigh or names) and name != 'LovaszHingeLoss']
        weighed = weighed[:1] if options.quick else weighed
        peaks = {name: peak_bytes(prepare_step, name, shape, options.eager, fork=False) for name in weighed}
        peaks = {name: peak for name, peak in peaks.items() if peak is not None}
        cases[f'{how}, {shape}'] = results.case(seconds, peaks, unit_bytes(shape))
    yield results.comparison('Keras losses, a training step', cases, REFERENCE)


def main():
    parser = area.parser(__doc__)
    parser.add_argument('--backends', nargs='+', default=BACKENDS, choices=BACKENDS)
    parser.add_argument('--eager', action='store_true', help='without XLA')
    parser.add_argument('--losses', nargs='+', default=OURS, choices=OURS, metavar='LOSS', help='these of ours')
    parser.add_argument('--weigh', nargs='*', metavar='NAME', help='whose memory is measured (of all)')
    area.run(measure, parser.parse_args())


if __name__ == '__main__':
    main()
