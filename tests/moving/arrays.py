"""Inputs of the tests of moving, and the two layouts."""

import numpy as np
import torch


def normal(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype('float32')


def two_kinds_of_images():
    """(4, 8, 8, 3), of which the last two are brighter."""
    x = normal(4, 8, 8, 3)
    x[2:] += 1
    return x


def nhwc(x):
    return np.ascontiguousarray(np.moveaxis(numbers(x), 1, -1))


def nchw(x):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def numbers(x):
    return x.detach().numpy() if isinstance(x, torch.Tensor) else x


def largest(a, b):
    """The largest absolute difference."""
    return float(np.abs(numbers(a).astype('float64') - numbers(b)).max())


def typical(a, b):
    """The root mean square of the difference, over that of b."""
    a, b = numbers(a).astype('float64'), numbers(b).astype('float64')
    return float(np.sqrt(np.square(a - b).mean() / np.square(b).mean()))
