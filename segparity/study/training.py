"""One training: the same first weights, batches, augmentation and learning rates for every condition of a seed."""

import zlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from segparity.demo.network import one_cycle, shuffled_batches
from segparity.study.conditions import Condition, StudyLoss
from segparity.study.data import StudyData
from segparity.study.network import UNet
from segparity.study.settings import Settings


def first_network(data: StudyData, settings: Settings, seed: int) -> UNet:
    """The network before its first step; the same numbers for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(data.train.images.shape[1], data.num_classes, settings.base_channels)


def batches(data: StudyData, settings: Settings, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and soft labels of every step; each training image comes once a round."""
    rng = np.random.default_rng([seed, zlib.crc32(data.title.encode())])
    for indices in shuffled_batches(rng, len(data.train.images), settings.iterations, settings.batch):
        pairs = [data.augment(rng, data.train.images[i], data.train.soft[i]) for i in indices]
        images, soft = (np.stack(part) for part in zip(*pairs))
        yield torch.from_numpy(images), torch.from_numpy(soft)


def train(
    data: StudyData, condition: Condition, settings: Settings, seed: int, advance: Callable[[], None]
) -> tuple[UNet, list[float]]:
    """The trained network and the loss of every step; ``advance`` is called after each."""
    network, loss = first_network(data, settings, seed), StudyLoss(condition)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.peak_lr, weight_decay=settings.weight_decay)
    curve = []
    network.train()
    for step, (images, soft) in enumerate(batches(data, settings, seed)):
        for group in optimizer.param_groups:
            group['lr'] = one_cycle(step, settings.iterations, settings.peak_lr)
        optimizer.zero_grad()
        value = loss(network(images), soft)
        value.backward()
        optimizer.step()
        curve.append(value.item())
        advance()
    return network, curve
