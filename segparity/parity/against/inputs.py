"""The inputs on which a loss and its opponent are compared: built-in facts, or the user's data and each of their images."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from segparity.parity import cases
from segparity.parity.cases import Case
from segparity.parity.configurations import classes_of, shared
from shared_spec import LossSpec

SPACE = (6, 7)
IMAGES = 6  # of the user's data that are compared one by one
Build = Callable[[np.random.Generator, int, int | None], Case]
FACTS: dict[str, tuple[str, Build]] = {}


def fact(words: str) -> Callable[[Build], Build]:
    """A case, and what is so of it, as sentences have it: 'where ...'."""

    def register(function: Build) -> Build:
        FACTS[function.__name__] = words, function
        return function

    return register


def labels(rng: np.random.Generator, c: int, n: int = 3) -> np.ndarray:
    """Class ids in which every class occurs in every image, in sizes that differ from image to image."""
    classes = max(c, 2)
    y = np.stack([rng.choice(classes, SPACE, p=rng.dirichlet(np.ones(classes))) for _ in range(n)]).reshape(n, -1)
    y[:, :classes] = np.arange(classes)
    return y.reshape(n, *SPACE)


@fact('with several images')
def hard_label(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    return Case(cases.logits(rng, 3, c, SPACE), labels(rng, c))


@fact('with one image')
def one_image(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    return Case(cases.logits(rng, 1, c, SPACE), labels(rng, c, 1))


@fact('where a class is missing in one image')
def absent_in_one_image(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    y = labels(rng, c)
    y[1][y[1] == max(c, 2) - 1] = 0
    return Case(cases.logits(rng, 3, c, SPACE), y)


@fact('where a class is missing in all images')
def absent_class(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    y = labels(rng, c)
    y[y == max(c, 2) - 1] = 0
    return Case(cases.logits(rng, 3, c, SPACE), y)


@fact('where an object is one pixel')
def single_pixel(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    y = np.zeros((2, *SPACE), np.int64)
    y[0, 1, 3] = max(c, 2) - 1
    return Case(cases.logits(rng, 2, c, SPACE), y)


@fact('where the prediction is nearly right')
def nearly_perfect(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    y = labels(rng, c)
    z = np.moveaxis(np.eye(c)[y], -1, 1) * 8.0 if c > 1 else 8.0 * (2.0 * y[:, None] - 1)
    return Case(z + cases.logits(rng, 3, c, SPACE) / 4, y)


@fact('where the prediction is wrong everywhere')
def disjoint(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    y = labels(rng, c)
    z = np.moveaxis(np.eye(c)[(y + 1) % c], -1, 1) * 4.0 if c > 1 else 4.0 * (1 - 2.0 * y[:, None])
    return Case(z + cases.logits(rng, 3, c, SPACE) / 4, y)


@fact('where logits are large')
def large_logits(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    z = cases.logits(rng, 2, c, SPACE)
    z[:, :, 0] = rng.choice([-60.0, 60.0], z[:, :, 0].shape)
    return Case(z, labels(rng, c, 2))


@fact('with soft labels')
def soft_label(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    z, y = cases.soft_pair(rng, 2, c, SPACE, apart=1e-4)
    return Case(z, y)


@fact('where pixels are ignored')
def ignored_border(rng: np.random.Generator, c: int, ignored: int | None) -> Case:
    y = labels(rng, c)
    y[:, 0] = y[:, :, -1] = ignored or 0
    return Case(cases.logits(rng, 3, c, SPACE), y)


def built_in(spec: LossSpec, channels: int) -> Iterator[tuple[str, Case]]:
    """(name, case) of each fact that the loss is defined for, with its ignored label."""
    ignored = shared(spec, 'ignore_index')
    for name, (_, build) in FACTS.items():
        case = build(np.random.default_rng(sum(name.encode())), channels, ignored)
        if name == 'ignored_border' and ignored is None:
            continue
        if any(case.labels not in part.labels for part in getattr(spec, 'parts', (spec,))):
            continue
        yield name, dataclasses.replace(case, ignore_index=ignored)


def channels_for(spec: LossSpec, asked: int | None) -> list[int]:
    """How many channels built-in cases have: as many as asked for, else those of the configuration, else four and one."""
    if asked is not None:
        return [asked]
    fixed = classes_of(spec)
    many = [fixed or 4] if 'many' in spec.channels else []
    return many if fixed else [*many, *([1] if 'one' in spec.channels else [])]


def of_data(case: Case) -> Iterator[tuple[str, Case]]:
    """The user's data as a whole, then the first images one by one."""
    yield 'your data', case
    for k in range(min(len(case.pred), IMAGES) if len(case.pred) > 1 else 0):
        weight = None if case.weight is None else np.asarray(case.weight)[k : k + 1]
        yield (
            f'image {k}',
            dataclasses.replace(case, pred=case.pred[k : k + 1], target=case.target[k : k + 1], weight=weight),
        )
