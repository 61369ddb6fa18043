"""Trains the network of ``InverseFormLoss``: ``python -m mmseg_plugin.inverse_transform --out weights.npz``.

It learns from pairs of tiles that are drawn as it goes: the boundaries of random areas, and the same areas moved, turned
and scaled, drawn sharp or soft, strong or faint. No data set is needed. The weights that come with the package are those
of the default arguments, in float16.
"""

import argparse
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shared_spec.files import replacing
from shared_spec.networks import NAMES

WAVES = 6  # whose sum draws an area
TURN, SCALE, SHIFT = 0.6, 0.35, 0.5  # at most: radians, logarithm, half tiles
BLUR = 3  # pixels on each side of one that a soft boundary reaches
GONE = (-1.0, 0.0, 0.0, 0.0)  # the transform of a boundary that is not predicted: c = 0


class Tiles(NamedTuple):
    """Pairs of tiles: truth and pred (N, tile_size, tile_size) in [0, 1], transform (N, 4) as ``InverseFormLoss`` has it."""

    truth: Tensor
    pred: Tensor
    transform: Tensor


def draw_tiles(number: int, size: int, generator: torch.Generator) -> Tiles:
    """Random pairs."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(number, *shape, generator=generator)

    def some(share: float) -> Tensor:
        return uniform(0, 1) < share

    direction = torch.randn(number, WAVES, 2, generator=generator) * uniform(0.8, 3.0, 1, 1)
    phase, height = uniform(0, 2 * math.pi, WAVES), torch.randn(number, WAVES, generator=generator)
    level = 0.7 * torch.randn(number, generator=generator)

    def boundaries(place: Tensor) -> Tensor:
        """(N, size, size) the boundaries of the area above a level of waves, at complex places (N, size^2)."""
        wave = direction[..., :1] * place.real[:, None] + direction[..., 1:] * place.imag[:, None] + phase[..., None]
        return edges(((height[..., None] * wave.cos()).sum(1) > level[:, None]).view(number, size, size))

    strength = torch.where(some(0.05), 0.0, uniform(0, 1))
    turn, scale = uniform(-TURN, TURN) * strength, torch.exp(uniform(-SCALE, SCALE) * strength)
    c = torch.polar(scale, turn)
    t = torch.complex(uniform(-SHIFT, SHIFT), uniform(-SHIFT, SHIFT)) * strength
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    place = torch.complex(axis.repeat(size), axis.repeat_interleave(size)).expand(number, -1)
    truth, drawn = boundaries(place), boundaries((place - t[:, None]) / c[:, None])
    transform = torch.stack([c.real - 1, c.imag, t.real, t.imag], 1)

    soft = some(0.6)[:, None, None]
    pred = torch.where(soft, blurred(drawn, uniform(0.05, 1.5)), drawn)
    contrast = torch.where(some(0.04), 0.0, torch.where(some(0.5), 1.0, uniform(0, 1)))
    floor = torch.where(some(0.5), 0.0, uniform(0, 0.3))[:, None, None]
    pred = floor + (1 - floor) * contrast[:, None, None] * pred
    noise = 0.03 * torch.randn(pred.shape, generator=generator)
    pred = torch.where(soft, pred + noise, pred).clamp(0, 1)

    truth = torch.where(some(0.04)[:, None, None], 0.0, truth)
    seen = (contrast * (drawn.amax((1, 2)) > 0))[:, None]
    gone = torch.tensor(GONE)
    with_boundary = seen * transform + (1 - seen) * gone
    transform = torch.where(truth.amax((1, 2))[:, None] > 0, with_boundary, -seen * gone)
    return Tiles(truth, pred, transform)


def edges(area: Tensor) -> Tensor:
    """(N, H, W) 1 at pixels with a 4-neighbour on the other side."""
    found = torch.zeros_like(area)
    for axis in (1, 2):
        size = area.shape[axis] - 1
        differs = area.narrow(axis, 0, size) != area.narrow(axis, 1, size)
        found.narrow(axis, 0, size).logical_or_(differs)
        found.narrow(axis, 1, size).logical_or_(differs)
    return found.float()


def blurred(x: Tensor, deviation: Tensor) -> Tensor:
    """(N, H, W) x under a Gaussian of a deviation (N,) in pixels, its largest number 1 again."""
    step = torch.arange(-BLUR, BLUR + 1)
    kernel = torch.exp(-(step**2) / (2 * deviation[:, None] ** 2))[:, None]
    x = functional.pad(x[None], (BLUR,) * 4)
    x = functional.conv2d(x, kernel[:, :, None], groups=len(kernel))
    x = functional.conv2d(x, kernel[..., None], groups=len(kernel))[0]
    return x / x.amax((1, 2), keepdim=True).clamp(min=1e-6)


def new_network(size: int, hidden: Sequence[int]) -> nn.Sequential:
    """Of pairs of tiles (N, 2 * size^2), prediction before truth, to transforms (N, 4)."""
    first, second = hidden
    return nn.Sequential(
        nn.Linear(2 * size**2, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, len(GONE))
    )


def train(size: int, hidden: Sequence[int], steps: int, batch: int, seed: int) -> tuple[nn.Sequential, float]:
    """The trained network, and the mean squared error of 4096 pairs that it has not seen over that of no answer."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = new_network(size, hidden)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        loss = error(network, draw_tiles(batch, size, generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            print(f'step {step} of {steps}: {loss.item():.4f}', flush=True)
    with torch.no_grad():
        tiles = draw_tiles(4096, size, torch.Generator().manual_seed(seed + 1))
        return network, float(error(network, tiles) / tiles.transform.square().sum(1).mean())


def error(network: nn.Sequential, tiles: Tiles) -> Tensor:
    """The mean squared error of the transforms."""
    out = network(torch.cat([tiles.pred.flatten(1), tiles.truth.flatten(1)], 1))
    return (out - tiles.transform).square().sum(1).mean()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='python -m mmseg_plugin.inverse_transform', description=__doc__)
    parser.add_argument('--out', required=True, help='the .npz file to write, for InverseFormLoss(weights=...)')
    parser.add_argument(
        '--tile-size', type=int, default=32, help='height and width of a tile, as tile_size of the loss'
    )
    parser.add_argument('--hidden', type=int, nargs=2, default=(384, 32), help='sizes of the two hidden layers')
    parser.add_argument('--steps', type=int, default=3000)
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--seed', type=int, default=0)
    given = parser.parse_args(arguments)
    for name, least in (('tile_size', 2), ('steps', 1), ('batch', 1)):
        if getattr(given, name) < least:
            parser.error(f'--{name.replace("_", "-")} must be at least {least}, got {getattr(given, name)}')
    if min(given.hidden) < 1:
        parser.error(f'--hidden must be at least 1, got {min(given.hidden)}')
    if not given.out.endswith('.npz'):
        parser.error(f'--out must end in .npz, got {given.out!r}')
    network, left = train(given.tile_size, given.hidden, given.steps, given.batch, given.seed)
    state = network.state_dict()
    arrays = {name: state[name[3:].replace('_', '.')].numpy().astype(np.float16) for name in NAMES}
    with replacing(given.out) as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]  # whose stubs know of arrays by position alone
    print(f'{given.out}: {left:.1%} of the variance of new pairs is left')


if __name__ == '__main__':
    main()
