"""Time and peak memory of the Keras losses: ``taskset -c 0,1 python benchmarks/keras_losses.py [--eager] [--rounds 7]``.

Value and gradient on float32 logits of 2 x 512 x 1024 pixels and 19 classes (``LovaszHingeLoss``: one channel), class
ids with 5 % ignored; compiled with XLA on TensorFlow and JAX unless ``--eager``, PyTorch eager. Beside them Keras' Dice
on the softmax and labels that are one-hot already, or made so inside, and its cross-entropy. All run in turns in one
process for each backend; medians over the rounds, and the median ratio to the first. Memory: one step in a fresh process
above it and its inputs, the gradient included, in logits. ``--backends jax --losses JaccardMetricLoss`` for a part;
``JaccardMetricLoss(IC)`` has the granularity I + C.
"""

import argparse
import ctypes
import gc
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

SHAPE = (2, 512, 1024, 19)
BACKENDS = ('tensorflow', 'jax', 'torch')
REFERENCE = 'keras Dice'
PEERS = (REFERENCE, 'keras one_hot + Dice', 'keras SparseCategoricalCrossentropy')


def names():
    """Everything that is measured by default."""
    from shared_spec import LOSSES

    return [*PEERS, *LOSSES, 'JaccardMetricLoss(IC)']


def inputs(name, shape=SHAPE):
    """Logits and labels of one batch as NumPy arrays: blocks of 16 x 16 pixels."""
    import numpy as np

    rng = np.random.default_rng(0)
    n, h, w, c = shape if name != 'LovaszHingeLoss' else (*shape[:3], 1)
    logits = 3 * rng.standard_normal((n, h, w, c), dtype='float32')
    labels = np.kron(rng.integers(0, max(c, 2), (n, h // 16, w // 16)), np.ones((16, 16), 'int32')).astype('int32')
    labels[rng.random(labels.shape) < 0.05] = 255
    if name == REFERENCE:
        labels = (labels[..., None] == np.arange(c)).astype('float32')
    return logits, labels


def build(name):
    """A function of labels and logits."""
    import keras
    from keras import ops

    from keras_plugin import losses

    if name == REFERENCE:
        dice = keras.losses.Dice()
        return lambda y, z: dice(y, ops.softmax(z))
    if name == 'keras one_hot + Dice':
        dice = keras.losses.Dice()

        def one_hot_inside(y, z):  # ops.one_hot refuses the ignored label on PyTorch
            y = ops.cast(y[..., None] == ops.arange(z.shape[-1], dtype='int32'), 'float32')
            return dice(y, ops.softmax(z))

        return one_hot_inside
    if name == 'keras SparseCategoricalCrossentropy':
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    kind, _, level = name.partition('(')
    options = dict(granularity={'I': 0.5, 'C': 0.5}) if level else {}
    if kind == 'WeightedSumLoss':
        parts = [
            dict(type=k, from_logits=True, ignore_class=255) for k in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')
        ]
        return losses.WeightedSumLoss(losses=parts, weights=[0.25, 0.75])
    return getattr(losses, kind)(from_logits=True, ignore_class=255, **options)


def stepper(loss, eager=False):
    """A function of labels and logits that computes value and gradient, waits for them and returns the value."""
    import keras

    if keras.backend.backend() == 'jax':
        import jax

        step = jax.value_and_grad(lambda z, y: loss(y, z))
        step = step if eager else jax.jit(step)
        return lambda y, z: float(jax.block_until_ready(step(z, y))[0])
    if keras.backend.backend() == 'tensorflow':
        import tensorflow as tf

        def step(y, z):
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(y, z)
            return value, tape.gradient(value, z)

        step = step if eager else tf.function(step, jit_compile=True, autograph=False)

        def waiting(y, z):
            value, gradient = step(y, z)
            gradient[0, 0, 0, 0].numpy()
            return float(value)

        return waiting

    def step(y, z):
        z = z.detach().requires_grad_(True)
        value = loss(y, z)
        value.backward()
        return value.item()

    return step


def timed(names, rounds=7, eager=False, shape=SHAPE):
    """name -> seconds of each round, on the backend of this process."""
    from keras import ops

    steps, data = {}, {}
    for name in names:
        key = name if name in (REFERENCE, 'LovaszHingeLoss') else ''
        if key not in data:
            data[key] = [ops.convert_to_tensor(x) for x in inputs(key, shape)]
        steps[name] = stepper(build(name), eager), data[key]
    times = {name: [] for name in names}
    for k in range(rounds + 1):
        for name, (step, (logits, labels)) in steps.items():
            start = time.perf_counter()
            step(labels, logits)
            if k:  # the first round compiles
                times[name].append(time.perf_counter() - start)
    return times


def memory(name, eager=False, shape=SHAPE):
    """The peak of one step above the process with its inputs, in logits; call it in a fresh process."""
    from keras import ops

    logits, labels = (ops.convert_to_tensor(x) for x in inputs(name, shape))
    step = stepper(build(name), eager)
    step(labels, logits)  # compiles
    give_back()
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Linux: the highest so far is forgotten
    before = kilobytes('VmRSS')
    step(labels, logits)
    size = 4
    for length in logits.shape:
        size *= length
    return (kilobytes('VmHWM') - before) * 1024 / size


def give_back():
    """What the first step has freed goes back to the system, or the second one would take it unseen."""
    gc.collect()
    time.sleep(0.5)  # JAX frees in its own threads
    if sys.platform == 'linux':
        ctypes.CDLL('libc.so.6').malloc_trim(0)


def kilobytes(kind):
    return int(re.search(rf'{kind}:\s+(\d+)', pathlib.Path('/proc/self/status').read_text())[1])


def in_a_process(backend, *arguments):
    """What this script prints under ``backend``."""
    environment = {**os.environ, 'KERAS_BACKEND': backend, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f'{" ".join(command)} ended with {done.returncode} under KERAS_BACKEND={backend}')
    return done.stdout


def table(times, peaks, title):
    """Markdown rows, fastest first."""
    print(f'\n| {title} | ms | ratio | memory, logits |')
    print('|---|---|---|---|')
    reference = next(iter(times.values()))
    for name in sorted(times, key=lambda name: statistics.median(times[name])):
        ratio = statistics.median(a / b for a, b in zip(times[name], reference))
        print(f'| {name} | {1e3 * statistics.median(times[name]):.0f} | {ratio:.2f} | {peaks(name)} |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--eager', action='store_true', help='do not compile')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--backends', nargs='+', default=BACKENDS, choices=BACKENDS)
    parser.add_argument('--losses', nargs='+', help="these, beside Keras' own")
    parser.add_argument('--no-memory', action='store_true', help='time alone')
    parser.add_argument('--one', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('--memory', help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    eager = ['--eager'] * options.eager
    if options.memory:
        print(f'{memory(options.memory, options.eager):.2f}')
    elif options.one:
        backend = os.environ['KERAS_BACKEND']
        chosen = [*PEERS, *options.losses] if options.losses else names()
        times = timed(chosen, options.rounds, options.eager)

        def peak(name):
            return '' if options.no_memory else in_a_process(backend, '--memory', name, *eager).split()[-1]

        table(times, peak, f'{backend}, {"eager" if options.eager or backend == "torch" else "compiled"}')
    else:
        for backend in options.backends:
            print(in_a_process(backend, '--one', *sys.argv[1:]), end='', flush=True)


if __name__ == '__main__':
    main()
