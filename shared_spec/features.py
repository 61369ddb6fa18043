"""What a loss of features has in NumPy float64: labels at the places of an embedding, and the pixels around a place."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.extras import check_embedding, nearest
from shared_spec.inputs import Batch

ACROSS = 6  # pixels along an axis: a map of boundaries looks over so many less one that do not count


class Features(NamedTuple):
    """An embedding (N, D, *size) of numbers, 0 where a pixel does not count, and what belongs to its places.

    label (N, *size) class ids, -1 where a pixel does not count; weight (N, *size), 0 there; sound: whether the embedding
    is numbers where it is read, and predictions where they count.
    """

    embedding: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    sound: bool


def features_of(owner: str, batch: Batch, embedding: ArrayLike, everywhere: bool = False) -> Features:
    """The ``Features`` of a batch; everywhere: the embedding is read where a pixel does not count, too."""
    embedding = np.asarray(embedding)
    is_float, shape = embedding.dtype.kind == 'f', (len(batch.weight), batch.prob.shape[1], *batch.space)
    check_embedding(owner, embedding.shape, is_float, embedding.dtype, shape, 'first')
    size = embedding.shape[2:]
    weight = sampled(batch.weight.reshape(-1, *batch.space), size)
    ids = (batch.target[:, 0] > 0.5).astype(int) if shape[1] == 1 else batch.target.argmax(1)
    label = np.where(weight > 0, sampled(ids.reshape(weight.shape[:1] + batch.space), size), -1)
    read = (weight > 0)[:, None] | everywhere
    finite = np.isfinite(embedding)
    kept = np.where(read & finite, embedding, 0).astype(np.float64)
    return Features(kept, label, weight, bool((finite | ~read).all() and np.all(batch.sound)))


def sampled(x: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """x (N, *space) at the places of a map of that size, as nearest sampling has them."""
    for axis, length in enumerate(size, 1):
        x = np.take(x, nearest(length, x.shape[axis]), axis)
    return x


def offsets(window: int, axes: int) -> list[tuple[int, ...]]:
    """The steps from a pixel to the others of the window around it, in row-major order."""
    reach = range(-(window // 2), window // 2 + 1)
    return [step for step in itertools.product(reach, repeat=axes) if any(step)]


def neighbours(x: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """For each of ``offsets`` what x (N, H, W) or (N, D, H, W) has at the other pixel, 0 beyond the image."""
    reach, (height, width) = window // 2, x.shape[-2:]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(reach, reach)] * 2)
    for down, right in offsets(window, 2):
        yield padded[..., reach + down :, reach + right :][..., :height, :width]


def class_edges(label: np.ndarray, reach: int) -> np.ndarray:
    """(N, *size) bool: the pixels at the edge of their class, of ids that are below 0 where a pixel does not count.

    Along an axis the next pixel that counts, at most ``reach`` pixels away, is of another class: a thin line of ignored
    pixels between classes, as in the labels of Pascal VOC, has an edge on both sides.
    """
    found = np.zeros(label.shape, bool)
    for axis in range(1, label.ndim):
        x, edge = (np.moveaxis(maps, axis, 0) for maps in (label, found))
        alone = np.ones(x.shape, bool)  # whether all pixels between one and that ``step`` further do not count
        for step in range(1, min(reach, len(x) - 1) + 1):
            one, other, alone = x[:-step], x[step:], alone[:-1]
            differs = alone & (one != other) & (one >= 0) & (other >= 0)
            edge[:-step] |= differs
            edge[step:] |= differs
            alone = alone & (other < 0)
    return found


def embedding_of_case(
    rng: np.random.Generator, n: int, size: Sequence[int], ignored: int | None, target: np.ndarray
) -> np.ndarray:
    """(n, 3, *size) an embedding for the checks, of numbers that float32 has, and of none where a label is ignored."""
    x = as_float32(rng.normal(0, 0.6, (n, 3, *size)))
    axes = len(size)
    if ignored is not None and target.ndim == 1 + axes:
        x[np.broadcast_to(sampled(target, size)[:, None] == ignored, x.shape)] = np.nan
    return x


def as_float32(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(np.float64)
