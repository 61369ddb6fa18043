"""The U-Net's layer list, initial weights, batches and learning rates: made once, used by both worlds.

The list is that of MMSegmentation's own ``UNet`` (`configs/demo/digits_unet_jaccard_metric.py`): an encoder of four
stages, a decoder that goes back up, each unit a convolution without bias, a batch normalisation and a ReLU.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from segparity.demo.settings import NUM_CLASSES, DemoError, Settings, fingerprint
from shared_spec.files import one_sentence, replacing

STAGES = 4
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.1  # PyTorch's sense of momentum; Keras' is one minus this
PLAN = 'plan.npz'


@dataclasses.dataclass(frozen=True)
class Unit:
    """A convolution; with ``norm`` followed by normalisation and ReLU, without it has a bias."""

    name: str
    kernel: int
    inputs: int
    outputs: int
    mmseg: str  # where MMSegmentation's state dict keeps it
    norm: bool = True


def encoder(stage: int, base: int) -> list[Unit]:
    """The two units of an encoder stage."""
    width = base * 2**stage
    first = base * 2 ** (stage - 1) if stage else 3
    where = f'backbone.encoder.{stage}.{1 if stage else 0}.convs'
    return [Unit(f'encoder{stage}_{i}', 3, first if i == 0 else width, width, f'{where}.{i}') for i in range(2)]


def upward(stage: int, base: int) -> Unit:
    """The 1x1 unit in front of the enlargement that leads to a decoder stage."""
    width = base * 2**stage
    return Unit(f'up{stage}', 1, 2 * width, width, f'backbone.decoder.{stage}.upsample.interp_upsample.0')


def decoder(stage: int, base: int) -> list[Unit]:
    """The two units of a decoder stage."""
    width = base * 2**stage
    where = f'backbone.decoder.{stage}.conv_block.convs'
    return [Unit(f'decoder{stage}_{i}', 3, 2 * width if i == 0 else width, width, f'{where}.{i}') for i in range(2)]


def classifier(base: int) -> Unit:
    """The 1x1 unit that makes the logits, the only one without normalisation."""
    return Unit('logits', 1, base, NUM_CLASSES, 'decode_head.conv_seg', norm=False)


def units(base: int) -> list[Unit]:
    """Every unit, in the order of the forward pass."""
    down = [unit for stage in range(STAGES) for unit in encoder(stage, base)]
    up = [unit for stage in reversed(range(STAGES - 1)) for unit in [upward(stage, base), *decoder(stage, base)]]
    return [*down, *up, classifier(base)]


def initial_weights(settings: Settings) -> dict[str, np.ndarray]:
    """'unit/part' -> float32 array; kernels are (height, width, inputs, outputs)."""
    rng = np.random.default_rng([settings.seed, 2])
    weights = {}
    for unit in units(settings.base_channels):
        shape = (unit.kernel, unit.kernel, unit.inputs, unit.outputs)
        deviation = np.sqrt((2 if unit.norm else 1) / (unit.kernel**2 * unit.inputs))
        weights[f'{unit.name}/kernel'] = rng.normal(0, deviation, shape).astype(np.float32)
        if not unit.norm:
            weights[f'{unit.name}/bias'] = np.zeros(unit.outputs, np.float32)
            continue
        for part, value in (('gamma', 1), ('beta', 0), ('mean', 0), ('variance', 1)):
            weights[f'{unit.name}/{part}'] = np.full(unit.outputs, value, np.float32)
    return weights


def mmseg_state(weights: Mapping[str, np.ndarray], base: int) -> dict[str, np.ndarray]:
    """The weights under MMSegmentation's names and in PyTorch's layout, still NumPy."""
    state = {}
    for unit in units(base):
        prefix = unit.mmseg + ('.conv' if unit.norm else '')
        state[f'{prefix}.weight'] = np.ascontiguousarray(weights[f'{unit.name}/kernel'].transpose(3, 2, 0, 1))
        if not unit.norm:
            state[f'{prefix}.bias'] = weights[f'{unit.name}/bias']
            continue
        names = {'gamma': 'weight', 'beta': 'bias', 'mean': 'running_mean', 'variance': 'running_var'}
        for part, name in names.items():
            state[f'{unit.mmseg}.bn.{name}'] = weights[f'{unit.name}/{part}']
        state[f'{unit.mmseg}.bn.num_batches_tracked'] = np.array(0)
    return state


def one_cycle(
    step: int, total: int, peak: float, rise: float = 0.3, div: float = 25.0, final_div: float = 1e4
) -> float:
    """The learning rate of a step as MMEngine's ``OneCycleLR`` has it: a cosine up, a cosine down."""
    top = rise * total - 1
    if step <= top:
        first, last, share = peak / div, peak, step / top if top else 1.0
    else:
        first, last, share = peak, peak / div / final_div, (step - top) / (total - 1 - top)
    return last + (first - last) / 2 * (np.cos(np.pi * share) + 1)


def learning_rates(settings: Settings) -> np.ndarray:
    """The learning rate of every step."""
    return np.array([one_cycle(i, settings.iterations, settings.peak_lr) for i in range(settings.iterations)])


def batches(settings: Settings) -> np.ndarray:
    """(iterations, batch) indices into the training scenes: shuffled anew in every round, each scene once a round."""
    rng = np.random.default_rng([settings.seed, 3])
    return shuffled_batches(rng, settings.train_scenes, settings.iterations, settings.batch)


def shuffled_batches(rng: np.random.Generator, count: int, iterations: int, batch: int) -> np.ndarray:
    """(iterations, batch) indices below ``count``, each once in every round."""
    needed = iterations * batch
    rounds = -(-needed // count)
    order = np.concatenate([rng.permutation(count) for _ in range(rounds)])
    return order[:needed].reshape(iterations, batch)


def plan_fingerprint(settings: Settings) -> str:
    """A hash of the settings and of this file, which make the plan."""
    return fingerprint(settings.to_dict(), Path(__file__).read_bytes().hex())


def write_plan(out: str | Path, settings: Settings) -> None:
    """Write what both worlds start from: weights, batches, learning rates."""
    arrays: dict[str, Any] = {f'weight:{name}': array for name, array in initial_weights(settings).items()}
    with replacing(Path(out) / PLAN) as part:
        np.savez(part, batches=batches(settings), learning_rates=learning_rates(settings), **arrays)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What both worlds start from: batches (iterations, batch) indices into the training scenes, learning_rates
    (iterations,), weights 'unit/part' -> float32 array.
    """

    batches: np.ndarray
    learning_rates: np.ndarray
    weights: dict[str, np.ndarray]

    @classmethod
    def read(cls, out: str | Path) -> Self:
        """DemoError where the folder has no plan that can be read."""
        path = Path(out) / PLAN
        with one_sentence(f'{path} is no plan of the demo', DemoError), np.load(path) as arrays:
            weights = {k.removeprefix('weight:'): arrays[k] for k in arrays.files if k.startswith('weight:')}
            return cls(arrays['batches'], arrays['learning_rates'], weights)
