"""What the tests by hand of the losses share: inputs, their statistics, and a loss of the reference by its name."""

import math

import numpy as np

from shared_spec import LOSSES

# two classes, four pixels, probabilities of class 1; labels 0 0 1 1
P1 = np.array([0.2, 0.4, 0.7, 1.0])
PRED = np.stack([1 - P1, P1])[None]
LABEL = np.array([[0, 0, 1, 1]])
TP, FP, FN = 0.7 + 1.0, 0.2 + 0.4, 0.3 + 0.0  # of class 1
TP0 = 0.8 + 0.6  # of class 0, whose false positives are the false negatives of class 1
DICE, DICE0 = TP / (TP + FP / 2 + FN / 2), TP0 / (TP0 + FP / 2 + FN / 2)
MISSED, FALSE = -math.log(0.7), -math.log(0.8) - math.log(0.6)  # cross-entropies of the foreground and the rest

# probabilities of class 1 off 0 and 1; labels 0 0 1 1
Q1 = np.array([0.2, 0.4, 0.7, 0.9])
Q = np.stack([1 - Q1, Q1])[None]

# three classes; rows are the true class, the largest cost is 2
COSTS = [[0, 2, 2], [2, 0, 1], [2, 0.5, 0]]


def loss(name, pred=PRED, target=LABEL, pixel_weight=None, **params):
    return LOSSES[name](from_logits=False, **params).reference(pred, target, pixel_weight)


def loss_of_logits(name, pred, target, pixel_weight=None, **params):
    return LOSSES[name](**params).reference(pred, target, pixel_weight)


def random_label(rng, n, c, space):
    """Class ids (n, *space), every class in every image."""
    return np.stack([rng.permutation(np.arange(math.prod(space)) % c).reshape(space) for _ in range(n)])


def random_probabilities(seed, n=2, c=3, space=(7,)):
    """(probabilities (n, c, *space), class ids (n, *space)), every class in every image."""
    rng = np.random.default_rng(seed)
    label = random_label(rng, n, c, space)
    return np.moveaxis(rng.dirichlet(np.ones(c), (n, *space)), -1, 1), label


def random_logits(seed, n=2, c=3, space=(7,)):
    """(logits (n, c, *space), class ids (n, *space)), every class in every image."""
    rng = np.random.default_rng(seed)
    label = random_label(rng, n, c, space)
    return rng.normal(0, 2, (n, c, *space)), label


def two_channels(z):
    return np.concatenate([np.zeros_like(z), z], 1)


def logits_and_label(seed=0):
    """((2, 1, 3, 3) logits, the two channels (0, logits), labels with both classes in each image)."""
    z = np.random.default_rng(seed).normal(0, 2, (2, 1, 3, 3))
    return z, two_channels(z), random_probabilities(seed, 2, 2, (3, 3))[1]


def weighted_mean(a, b):
    return (0.5 * a + 2 * b) / 2.5
