"""What a call may be given by name, besides predictions, labels and weights: how each is laid out in each world."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from shared_spec import shapes
from shared_spec.typing import Shape


class Extra(NamedTuple):
    """What messages say of an extra, and whether Keras has its second axis last."""

    first: str  # in NumPy and PyTorch
    last: str  # in Keras
    of_channels: bool


ANCHORS = '(N, A) integers, flat places in the embedding, -1 for none'
BOUNDARY = '(N, *space), 1 at the pixels of a boundary and 0 elsewhere'
PAIR = 'a pair of integer arrays, images (A,) and pixels (A, V)'
EXTRAS = {
    'anchors': Extra(ANCHORS, ANCHORS, False),
    'boundary': Extra(BOUNDARY, BOUNDARY, False),
    'classifier': Extra('a pair of weight (C, D) and bias (C,)', 'a pair of kernel (D, C) and bias (C,)', False),
    'distance_map': Extra('(N, K, *space) floating point', '(N, *space, K) floating point', True),
    'embedding': Extra('(N, D, *space) floating point', '(N, *space, D) floating point', True),
    'distance_bins': Extra('(N, M, *space) integers, of one class (N, *space)', '(N, *space, M) integers', True),
    'samples': Extra(PAIR, PAIR, False),
}


def needs_in_words(needs: Iterable[str], extras: Iterable[str]) -> list[str]:
    """Sentences on what a call has to be given by name and on what it may be given, in both layouts."""
    needs = list(needs)
    found = [f'Needs at the call: {name}, {in_both(name)}.' for name in needs]
    return found + [f'Takes at the call: {name}, {in_both(name)}.' for name in extras if name not in needs]


def in_both(name: str) -> str:
    first, last, _ = EXTRAS[name]
    return first if first == last else f'{first}; in Keras {last.removesuffix(" floating point")}'


def check_needs(owner: str, needs: Iterable[str], given: Mapping[str, Any], layout: str) -> None:
    """TypeError where a call lacks what a loss cannot do without."""
    for name in needs:
        if given.get(name) is None:
            raise TypeError(f'{owner}: needs {name}, {getattr(EXTRAS[name], layout)}, at the call')


def check_embedding(owner: str, shape: Shape, is_float: bool, dtype: object, pred: Shape, layout: str) -> None:
    """TypeError or ValueError for an embedding that has nothing to do with a prediction of that shape.

    It may be smaller or larger than the prediction: labels are then sampled at its places.
    """
    if not is_float:
        raise TypeError(f'{owner}: embedding must be floating point, got {dtype}')
    n, _, space = shapes.split(tuple(pred), layout)
    form = EXTRAS['embedding']
    wanted = getattr(form, layout).removesuffix(' floating point')
    shape = tuple(shape)
    if len(shape) != len(pred) or not shapes.may_be_equal(shape[:1], (n,)):
        raise ValueError(
            f'{owner}: embedding must be {wanted} with N = {"?" if n is None else n} and {len(space)} spatial axes to match '
            f'pred {shapes.as_text(tuple(pred))}, got {shapes.as_text(shape)}'
        )
    depth = shape[1 if layout == 'first' else -1]
    if depth is None:
        raise ValueError(f'{owner}: embedding must have a known number of channels, got shape {shapes.as_text(shape)}')
    if 0 in (depth, *shapes.split(shape, layout)[2]):
        raise ValueError(f'{owner}: embedding must have channels and pixels, got shape {shapes.as_text(shape)}')


def nearest(size: int, of: int) -> list[int]:
    """For each of ``size`` places along an axis the place of ``of`` that nearest sampling takes: floor(i * of / size)."""
    return [min(i * of // size, of - 1) for i in range(size)]


def check_samples(owner: str, samples: Any, images: int, pixels: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """image (A,) and index (A, V) of a pair of arrays; ValueError or TypeError for what is none."""
    image, index = pair_of_samples(owner, samples)
    image, index = np.asarray(image), np.asarray(index)
    check_sample_shapes(owner, image.shape, index.shape, (image.dtype, index.dtype), most)
    check_sample_values(owner, image, index, images, pixels)
    return image, index


def pair_of_samples(owner: str, samples: Any) -> tuple[Any, Any]:
    """image and index; TypeError for what is no pair."""
    if not isinstance(samples, (tuple, list)) or len(samples) != 2:
        raise TypeError(f'{owner}: samples must be {EXTRAS["samples"].first}, got {type(samples).__name__}')
    return samples[0], samples[1]


def check_sample_shapes(owner: str, image: Shape, index: Shape, dtypes: Iterable[object], most: int) -> None:
    """ValueError for shapes, TypeError for dtypes that no samples have; most: how many pixels there may be."""
    if any('int' not in str(dtype) for dtype in dtypes):
        raise TypeError(f'{owner}: samples must be integers, got {" and ".join(map(str, dtypes))}')
    image, index = tuple(image), tuple(index)
    if len(image) != 1 or len(index) != 2 or not shapes.may_be_equal(image, index[:1]):
        raise ValueError(
            f'{owner}: samples must be images (A,) and pixels (A, V), got {shapes.as_text(image)} and {shapes.as_text(index)}'
        )
    pixels = (index[0] or 0) * (index[1] or 0)
    if pixels > most:
        raise ValueError(f'{owner}: samples must be {most} pixels or fewer (max_samples), got {pixels}')


def check_sample_values(owner: str, image: np.ndarray, index: np.ndarray, images: int, pixels: int) -> None:
    """ValueError for samples that are in no image, or at no pixel of an embedding."""
    for what, x, least, end in (('images', image, 0, images), ('pixels', index, -1, pixels)):
        wrong = x[(x < least) | (x >= end)]
        if wrong.size:
            raise ValueError(f'{owner}: samples must be {what} from {least} to {end - 1}, got {wrong.reshape(-1)[0]}')
