"""What maps of distances cost for each image, given or made by the loss: ``python -m benchmarks.distance_maps``.

Labels of blocks, 5 % of the pixels ignored, (1, 19, 512, 1024) by default. PyTorch: the map alone, and forward and
backward of each loss with a map given and made, beside MONAI's DiceLoss, in turns. ``--device cuda`` does it there.
``--keras``: the step of Keras under the backend of KERAS_BACKEND, compiled where it compiles. On the CPU the time is that
of the processor, all threads together, which other work on the machine changes little.
"""

import argparse
import os
import sys
import time

import numpy as np

from benchmarks.timing import milliseconds, ratio

SHAPE, IGNORED, BLOCK = (1, 19, 512, 1024), 255, 32
LOSSES = ['SurfaceLoss', 'RegionWiseLoss', 'DistanceMapCrossEntropyLoss', 'HausdorffDistanceLoss', 'ActiveBoundaryLoss']
DICE = 'MONAI DiceLoss'


def labels_of(shape, seed=0):
    """Class ids of one image in blocks, 5 % ignored."""
    rng = np.random.default_rng(seed)
    n, c, height, width = shape
    coarse = rng.integers(0, c, (n, -(-height // BLOCK), -(-width // BLOCK)))
    ids = coarse.repeat(BLOCK, 1).repeat(BLOCK, 2)[:, :height, :width].copy()
    ids[rng.random(ids.shape) < 0.05] = IGNORED
    return ids


def specs():
    from shared_spec import LOSSES as ALL

    return {name: ALL[name](ignore_index=IGNORED) for name in LOSSES}


def maps_alone(ids, classes):
    """Name -> function that makes the map of one image on the host."""
    from unittest import mock

    from shared_spec import quick_distance

    def by_scipy(spec):
        with mock.patch.object(quick_distance.importlib.util, 'find_spec', return_value=None):
            return spec.distance_map(ids[0], classes)

    found = {}
    for name, spec in specs().items():
        found[f'{name}: map on the host, OpenCV'] = lambda spec=spec: spec.distance_map(ids[0], classes)
        found[f'{name}: map on the host, SciPy'] = lambda spec=spec: by_scipy(spec)
    return found


def steps_of_pytorch(shape, ids, device):
    """Name -> function: forward and backward."""
    import torch

    from mmseg_plugin import losses

    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    target = torch.tensor(ids, device=device)

    def step(function, *args, **kwargs):
        logits.grad = None
        function(logits, *args, **kwargs).backward()
        if device == 'cuda':
            torch.cuda.synchronize()

    found = {}
    try:
        from monai.losses import DiceLoss
    except ImportError:
        print('MONAI is not installed', file=sys.stderr)
    else:
        theirs = DiceLoss(to_onehot_y=True, softmax=True)  # which knows no ignored pixels
        clean = target.where(target != IGNORED, 0)[:, None]
        found[DICE] = lambda: step(theirs, clean)
    for name, spec in specs().items():
        ours = getattr(losses, name)(**{k: v for k, v in spec.to_mmseg().items() if k != 'type'})
        maps = torch.tensor(np.stack([spec.distance_map(one, shape[1]) for one in ids]), device=device)
        found[f'{name}, map given'] = lambda ours=ours, maps=maps: step(ours, target, distance_map=maps)
        found[f'{name}, map made'] = lambda ours=ours: step(ours, target)
    return found


def steps_of_keras(shape, ids):
    """Name -> function: value and gradient, compiled by JAX or TensorFlow."""
    import keras
    from keras import ops

    from keras_plugin import losses

    z = np.random.default_rng(0).normal(size=(shape[0], *shape[2:], shape[1])).astype(np.float32)
    found = {}
    for name, spec in specs().items():
        ours = getattr(losses, name)(**{**spec.to_keras(), 'from_logits': True})
        maps = np.stack([np.moveaxis(spec.distance_map(one, shape[1]), 0, -1) for one in ids])
        for way, extra in (('given', maps), ('made', None)):
            found[f'{name}, map {way}'] = compiled(keras.backend.backend(), ours, ops.convert_to_tensor(z), ids, extra)
    return found


def compiled(backend, loss, z, ids, maps):
    if backend == 'jax':
        import jax

        maps = None if maps is None else jax.numpy.asarray(maps)
        step = jax.jit(jax.value_and_grad(lambda z, y, d: loss(y, z, distance_map=d)))
        y = jax.numpy.asarray(ids)
        return lambda: jax.block_until_ready(step(z, y, maps))
    if backend == 'tensorflow':
        import tensorflow as tf

        y = tf.constant(ids)
        maps = None if maps is None else tf.constant(maps)

        @tf.function(jit_compile=True)
        def step(z):
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(y, z, distance_map=maps)
            return value, tape.gradient(value, z)

        return lambda: tuple(x.numpy() for x in step(z))
    import torch

    maps = None if maps is None else torch.tensor(maps)
    z = z.requires_grad_()
    return lambda: torch.autograd.grad(loss(ids, z, distance_map=maps), z)


def in_turns(contenders, rounds, clock):
    """Name -> seconds of one call in each round, after a first one."""
    found = {name: [] for name in contenders}
    for k in range(rounds + 1):
        for name, call in contenders.items():
            start = clock()
            call()
            found[name] += [clock() - start] if k else []
    return found


def table(contenders, rounds, reference=None, clock=time.process_time):
    """Rows of Markdown: the median of each, and how many times the reference it is."""
    times = in_turns(contenders, rounds, clock)
    print('| | ms | of the reference |\n|---|---|---|')
    for name, found in times.items():
        share = f'{ratio(found, times[reference]):.2f}' if reference in times else ''
        print(f'| {name} | {milliseconds(found):.1f} | {share} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--shape', type=int, nargs=4, default=SHAPE, help='N C H W')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--keras', action='store_true')
    parser.add_argument('--losses', nargs='+', choices=list(LOSSES), default=list(LOSSES))
    given = parser.parse_args()
    LOSSES[:] = given.losses
    shape, ids = tuple(given.shape), labels_of(given.shape)
    if given.keras:
        print(f'\nKeras on {os.environ.get("KERAS_BACKEND", "its default backend")}, {shape}\n')
        table(steps_of_keras(shape, ids), given.rounds)
        return
    import torch

    print(f'\n{shape}, {given.device}, {torch.get_num_threads()} threads\n')
    table(maps_alone(ids, shape[1]), 3)
    print()
    clock = time.perf_counter if given.device != 'cpu' else time.process_time
    table(steps_of_pytorch(shape, ids, given.device), given.rounds, DICE, clock)


if __name__ == '__main__':
    main()
