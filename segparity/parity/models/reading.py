"""The outputs that two models saved, opened side by side and read image by image."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segparity.parity.layout import LAYOUTS, channels_first, fits
from segparity.saved import Array, SavedError, choose_array, open_arrays, read_integer, read_texts
from shared_spec import shapes

SCORES = ('logits', 'pred', 'probabilities', 'prob', 'ids')
LABELS = ('labels', 'target')
Reading = tuple[str, int, tuple[int, int]]  # layout, channels, height and width
SUM = 1e-3  # how far from 1 the probabilities of a pixel may add up


@dataclasses.dataclass(frozen=True)
class Side:
    """One model's file. kind: 'logits', 'softmax' or 'sigmoid' (probabilities), 'ids'; channels: 0 for ids."""

    path: str
    scores: Array
    layout: str
    labels: Array | None
    names: list[str] | None
    ignore_index: int | None
    loss: float | None
    kind: str
    channels: int
    space: tuple[int, int]

    def images(self, count: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """(scores (C, H, W) in float64, or ids (H, W); labels (H', W') or None) of the first ``count`` images."""
        labels = itertools.repeat(None) if self.labels is None else self.labels.images(count)
        for image, label in zip(self.scores.images(count), labels):
            if self.kind != 'ids':
                image = channels_first(image, self.layout).astype(np.float64)
            yield (
                (image.reshape(self.space) if self.kind == 'ids' else image),
                None if label is None else np.squeeze(label),
            )

    @property
    def words(self) -> str:
        """What its outputs are."""
        size = f'{self.space[0]}x{self.space[1]}'
        if self.kind == 'ids':
            return f'class ids of {size} pixels'
        kind = {'logits': 'logits', 'softmax': 'probabilities that add up to 1', 'sigmoid': 'probabilities in [0, 1]'}
        layout = next(name for name, value in LAYOUTS.items() if value == self.layout)
        return f'{kind[self.kind]} of {self.channels} channel{"s" * (self.channels > 1)}, {size} pixels, {layout}'


def open_pair(
    path_a: str | Path,
    path_b: str | Path,
    layout_a: str | None = None,
    layout_b: str | None = None,
    ignore_index: int | None = None,
) -> tuple[Side, Side, int]:
    """Both files, and how many times as many rows and columns the larger images have; SavedError where they do not fit."""
    paths, arrays = (str(path_a), str(path_b)), (open_arrays(path_a), open_arrays(path_b))
    scores = [choose_array(path, some, SCORES, 'outputs') for path, some in zip(paths, arrays)]
    labels = [_labels(path, some) for path, some in zip(paths, arrays)]
    options = [list(_options(*about)) for about in zip(paths, scores, labels, (layout_a, layout_b))]
    pairs = [(one, two) for one in options[0] for two in options[1] if _may_be(one, two)]
    if not pairs:
        raise SavedError(
            f'{paths[0]} has outputs {shapes.as_text(scores[0].shape)} and {paths[1]} {shapes.as_text(scores[1].shape)}, expected '
            f'as many images and classes, and sizes of which one is a whole multiple of the other'
        )
    read = _likeliest(pairs, paths, scores)
    if scores[0].shape[0] != scores[1].shape[0]:
        raise SavedError(
            f'{paths[0]} has {scores[0].shape[0]} images and {paths[1]} {scores[1].shape[0]}, expected the same'
        )
    sides = []
    for k in (0, 1):
        some = arrays[k]
        ignored = read_integer(some['ignore_index']) if 'ignore_index' in some else ignore_index
        layout, channels, space = read[k]
        sides.append(
            Side(
                paths[k], scores[k], layout, labels[k], _names(some, scores[k].shape[0]), ignored, _loss(some),
                kind_of(scores[k], layout, channels), channels, space,
            )
        )  # fmt: skip
    a, b = sides
    if a.names and b.names and a.names != b.names:
        k = next(k for k, (one, two) in enumerate(zip(a.names, b.names)) if one != two)
        order = 'the same images in another order' if sorted(a.names) == sorted(b.names) else 'other images'
        raise SavedError(f'{b.path} has {order}: image {k} is {b.names[k]!r}, in {a.path} {a.names[k]!r}')
    return a, b, max(a.space[0], b.space[0]) // min(a.space[0], b.space[0])


def kind_of(scores: Array, layout: str, channels: int) -> str:
    """What outputs are, told by the first image."""
    if channels == 0:
        return 'ids'
    first = channels_first(next(scores.images(1)), layout).astype(np.float64)
    seen = first[:, np.isfinite(first).all(0)]
    if not seen.size or seen.min() < -SUM or seen.max() > 1 + SUM:
        return 'logits'
    if channels > 1 and np.abs(seen.sum(0) - 1).max() < SUM:
        return 'softmax'
    return 'sigmoid' if seen.max() > 0 else 'logits'


def _options(path: str, scores: Array, labels: Array | None, said: str | None) -> Iterator[Reading]:
    """(layout, channels, space) of each way to read outputs."""
    shape = scores.shape
    if scores.dtype.kind in 'iub' and len(shape) in (3, 4):
        squeezed = [size for size in shape[1:] if size != 1] if len(shape) == 4 else list(shape[1:])
        if len(squeezed) != 2:
            raise SavedError(f'{scores.words} must be ids (N, H, W), got shape {shapes.as_text(shape)}')
        yield 'first', 0, (squeezed[0], squeezed[1])
        return
    if scores.dtype.kind != 'f' or len(shape) != 4:
        raise SavedError(
            f'{scores.words} must be floating point (N, C, H, W) or (N, H, W, C), or class ids (N, H, W), got '
            f'{scores.dtype} of shape {shapes.as_text(shape)}'
        )
    layouts = [LAYOUTS[said]] if said else list(shapes.LAYOUTS)
    if labels is not None and not said:
        fitting = [layout for layout in layouts if fits(shape, labels.shape, layout)]
        layouts = fitting or layouts  # labels may have another size
    for layout in layouts:
        _, channels, space = shapes.split(shape, layout)
        yield layout, channels, (space[0], space[1])


def _may_be(one: Reading, two: Reading) -> bool:
    """Whether two ways to read outputs are of the same classes and of sizes with a whole factor."""
    (_, c, (h, w)), (_, d, (i, v)) = one, two
    if c and d and c != d:
        return False
    small, large = min((h, w), (i, v)), max((h, w), (i, v))
    return large[0] % small[0] == 0 and large[1] % small[1] == 0 and large[0] // small[0] == large[1] // small[1]


def _likeliest(
    pairs: list[tuple[Reading, Reading]],
    paths: tuple[str, ...],
    scores: list[Array],
) -> tuple[Reading, Reading]:
    """The one pair, or that in which there are fewer classes than rows and columns."""
    if len(pairs) > 1:
        pairs = [pair for pair in pairs if all(c < min(space) for _, c, space in pair)] or pairs
    if len(pairs) > 1:
        raise SavedError(
            f'channels may be first or last in {paths[0]} {shapes.as_text(scores[0].shape)} and {paths[1]} '
            f'{shapes.as_text(scores[1].shape)}, --layout NCHW or NHWC says it (--layout-b for the second)'
        )
    return pairs[0]


def _labels(path: str, arrays: dict[str, Array]) -> Array | None:
    if not set(LABELS) & set(arrays):
        return None
    found = choose_array(path, arrays, LABELS, 'labels')
    plain = len([size for size in found.shape[1:] if size != 1]) <= 2 and len(found.shape) in (3, 4)
    if found.dtype.kind not in 'iub' or not plain:
        raise SavedError(
            f'{found.words} must be class ids (N, H, W), got {found.dtype} of shape {shapes.as_text(found.shape)}'
        )
    return found


def _names(arrays: dict[str, Array], count: int) -> list[str] | None:
    if 'names' not in arrays:
        return None
    found = read_texts(arrays['names'])
    if len(found) != count:
        raise SavedError(f'{arrays["names"].words} has {len(found)} entries for {count} images')
    return found


def _loss(arrays: dict[str, Array]) -> float | None:
    """The value of the loss that the framework itself gave, where it was saved."""
    if 'loss' not in arrays:
        return None
    found = arrays['loss'].read()
    if found.size != 1 or found.dtype.kind not in 'fiu':
        raise SavedError(f'{arrays["loss"].words} must be one number, got {found.dtype} of shape {found.shape}')
    return float(found.reshape(-1)[0])
