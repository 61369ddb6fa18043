"""Metric losses for a classifier, and feature distances as hints: scikit-learn's digits, a student and its teacher.

``python examples/beyond_pixels.py`` trains small networks on 600 of the 1797 scans, five seeds each, and prints accuracy
and calibration on the scans that no choice has seen. The weight of a hint is chosen, for every seed by itself, on 300
other scans. Needs ``segparity[torch]`` and scikit-learn; ``--seeds 1`` is quick.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from mmseg_plugin import losses, soft_labels
from shared_spec import METRICS

CLASSES, TRAINING, CHOICE, BATCH, EPOCHS, EPSILON = 10, 600, 300, 60, 25, 0.1
HINTS, WEIGHTS = ('l2', 'cosine', 'jaccard'), (0.1, 1.0, 10.0)
ECE = METRICS['Calibration'](num_classes=CLASSES, levels=['D'], metrics=['ECE'])
cross_entropy = losses.WeightedCrossEntropyLoss()
jaccard = losses.JaccardMetricLoss(smooth=1.0)
soft_jaccard = losses.SoftJaccardLoss(smooth=1.0)

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, class ids, the teacher's logits
Step = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # logits, features, class ids, places in the data
smoothed = functools.partial(soft_labels.label_smoothing, epsilon=EPSILON, num_classes=CLASSES)


def mixed(logits: Tensor, labels: Tensor, region: nn.Module = jaccard) -> Tensor:
    """The recipe's sum: a quarter of cross-entropy, three of a region loss, for which the batch is one data set."""
    return 0.25 * cross_entropy(logits, labels) + 0.75 * region(logits, labels)


LOSSES: dict[str, Loss] = {
    'cross-entropy': lambda z, y, t: cross_entropy(z, y),
    'cross-entropy, smoothed labels': lambda z, y, t: cross_entropy(z, smoothed(y)),
    'cross-entropy, half of it distilled': lambda z, y, t: (cross_entropy(z, y) + cross_entropy(z, t.softmax(1))) / 2,
    'with JaccardMetricLoss': lambda z, y, t: mixed(z, y),
    'with JaccardMetricLoss, smoothed labels': lambda z, y, t: mixed(z, smoothed(y)),
    'with JaccardMetricLoss, half of it distilled': lambda z, y, t: (mixed(z, y) + mixed(z, t.softmax(1))) / 2,
    'with SoftJaccardLoss, smoothed labels': lambda z, y, t: mixed(z, smoothed(y), soft_jaccard),
}


class Network(nn.Module):
    """Logits and, before the classifier, 64 features behind a ReLU."""

    def __init__(self, *hidden: int) -> None:
        super().__init__()
        sizes = 64, *hidden, 64
        self.features = nn.Sequential(
            *(layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU()))
        )
        self.classify = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self.features(x)
        return self.classify(found), found


def split(seed: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Scans (n, 64) in [0, 1] and their digits: to train on, to choose by, to test on."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    parts = np.split(order, [TRAINING, TRAINING + CHOICE])
    scans, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    return tuple((scans[part], labels[part]) for part in parts)


def train(seed: int, network: Network, data: tuple[Tensor, Tensor], loss: Step) -> Network:
    """Adam, the same batches for every loss."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(TRAINING, generator=generator).split(BATCH):
            optimizer.zero_grad()
            loss(*network(data[0][chosen]), data[1][chosen], chosen).backward()
            optimizer.step()
    return network.eval().requires_grad_(False)


def of_logits(loss: Loss, told: Tensor) -> Step:
    return lambda z, f, y, at: loss(z, y, told[at])


def with_hint(hint: nn.Module, felt: Tensor) -> Step:
    return lambda z, f, y, at: cross_entropy(z, y) + hint(f, felt[at])


def scores(network: Network, data: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Accuracy and expected calibration error in per cent."""
    prob = network(data[0])[0].softmax(1)
    right = (prob.argmax(1) == data[1]).double().mean().item()
    ece = ECE.reference(prob.double().T[None].numpy(), data[1][None].numpy())['ECED']
    return 100 * right, 100 * ece


def student(seed: int) -> Network:
    torch.manual_seed(seed)
    return Network()


def run(seed: int) -> dict[str, tuple[float, float]]:
    """Row -> accuracy and ECE on the test scans."""
    training, choice, test = split(seed)
    torch.manual_seed(1000 + seed)
    teacher = train(seed, Network(256, 256), training, lambda z, f, y, at: cross_entropy(z, smoothed(y)))
    told, felt = teacher(training[0])
    found = {'the teacher': scores(teacher, test)}
    for name, loss in LOSSES.items():
        found[name] = scores(train(seed, student(seed), training, of_logits(loss, told)), test)
    for distance in HINTS:
        steps = (with_hint(losses.FeatureDistanceLoss(distance=distance, loss_weight=w), felt) for w in WEIGHTS)
        tried = [train(seed, student(seed), training, step) for step in steps]
        best = max(tried, key=lambda network: scores(network, choice)[0])
        found[f'cross-entropy and a hint by {distance}'] = scores(best, test)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seeds', type=int, default=5, help='how many seeds (5)')
    seeds, start = parser.parse_args().seeds, time.perf_counter()
    torch.set_num_threads(1)
    found = [run(seed) for seed in range(seeds)]
    plain = np.array([one['cross-entropy'] for one in found])
    print(f'mean over {seeds} seeds ± standard deviation; in brackets the paired difference from cross-entropy\n')
    print('| trained with | accuracy, % | ECE, % |\n|---|---|---|')
    for name in found[0]:
        values = np.array([one[name] for one in found])
        cells = [
            f'{x.mean():.2f} ± {x.std(ddof=min(1, seeds - 1)):.2f} ({(x - p).mean():+.2f})'
            for x, p in zip(values.T, plain.T)
        ]
        print(f'| {name} | {cells[0]} | {cells[1]} |')
    print(f'\n{time.perf_counter() - start:.0f} s')


if __name__ == '__main__':
    main()
