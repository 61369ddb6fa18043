"""Cases that are large enough for the fused overlap operator and for several of its blocks.

The reference gives their value. Central differences for each of thousands of logits would take minutes, so their gradient
is that of the plain way in float64, which the reference's central differences hold on every small case.
"""

import functools
from collections.abc import Callable
from typing import cast

import numpy as np

from segparity.parity import cases
from segparity.parity.cases import IGNORE, Builder, Case

N, SPACE = 3, (24, 40)
BLOCK = 2**11  # numbers of a block then: less than an image of five classes, as much as two of one channel
LARGE: dict[str, Callable[[], Case]] = {}


def large(function: Builder) -> Builder:
    LARGE[function.__name__] = functools.lru_cache(lambda: function(np.random.default_rng(7)))
    return function


def with_ids(rng: np.random.Generator, c: int, weighted: bool = False) -> Case:
    """Every class in every image, ignored pixels that hold anything, an image that lacks the last class."""
    z, y = cases.logits(rng, N, c, SPACE), cases.ids(rng, N, max(c, 2), SPACE)
    y[1][y[1] == y.max()] = 0
    w = rng.uniform(0.1, 3, y.shape).astype(np.float32) if weighted else None
    return Case(cases.ignore_wild(z, y), y, w, ignore_index=IGNORE)


@large
def large_ids(rng: np.random.Generator) -> Case:
    return with_ids(rng, 5)


@large
def large_weighted(rng: np.random.Generator) -> Case:
    case = with_ids(rng, 5, weighted=True)
    cast(np.ndarray, case.weight)[:, -1] = 0
    case.pred[:, :, -1], case.target[:, -1] = np.nan, 77
    return case


@large
def large_two_classes(rng: np.random.Generator) -> Case:
    return with_ids(rng, 2, weighted=True)


@large
def large_many_classes(rng: np.random.Generator) -> Case:
    return with_ids(rng, 15)


@large
def large_soft(rng: np.random.Generator) -> Case:
    z, y = cases.soft_pair(rng, N, 5, SPACE, apart=1e-5)
    w = rng.uniform(0.1, 3, (N, *SPACE)).astype(np.float32)
    w[0, 5:9] = 0
    z[0, :, 5:9] = y[0, :, 5:9] = np.nan
    return Case(z, y, w)


@large
def large_one_channel(rng: np.random.Generator) -> Case:
    return with_ids(rng, 1)


@large
def large_not_a_number(rng: np.random.Generator) -> Case:
    case = with_ids(rng, 5)
    case.pred[2, 1, 20, 3] = np.nan
    return case
