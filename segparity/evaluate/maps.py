"""Reading what a user's files hold: label maps and probabilities."""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segparity.evaluate.nifti import NiftiError, is_nifti, read_ids
from segparity.evaluate.nifti import has_probabilities as channels_in_nifti
from segparity.evaluate.nifti import read_probabilities as channels_of_nifti
from segparity.evaluate.npy import read_npy, read_npz
from segparity.evaluate.pairs import PROBABILITIES
from segparity.evaluate.palette import UNKNOWN, to_ids
from shared_spec.files import one_sentence
from shared_spec.values import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from PIL import Image

    from segparity.evaluate.nifti import Geometry
    from segparity.evaluate.palette import Palette

IDS = ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B')  # the Pillow modes that hold integers
COLOURS = ('1', 'L', 'P', 'RGB', 'RGBA')  # those that a palette is for
CHUNK = 1 << 15  # pixels compared at a time, so that the temporaries stay in the cache


class MapError(ValueError):
    """One file that cannot be used, in one sentence."""


def read_labels(
    path: str | Path,
    palette: Palette | None = None,
    ignore_index: int | None = None,
    shape: tuple[int, ...] | None = None,
    fits: Callable[[tuple[int, ...]], None] | None = None,
    like: Geometry | None = None,
) -> np.ndarray:
    """The integer map of a PNG, TIFF, NPY or NIfTI file, (H, W) or (D, H, W); with ``palette`` its colours are the ids.

    A colour that is not in the palette has the id ``UNKNOWN``. ``shape`` is what the map must have; ``fits`` is called
    with the shape that the file declares before anything is decoded, and raises MapError for one that will not do.
    ``like``: a NIfTI volume is laid along these axes, and must lie there.
    """

    def check(found: tuple[int, ...], dtype: np.dtype) -> None:
        if dtype.kind not in 'iub':
            advice = '; probabilities are read from .npz files' if dtype.kind == 'f' else ''
            raise MapError(f'{path} must hold integer class ids, got {dtype}{advice}')
        if 0 in found:
            raise MapError(f'{path} has no pixel, its shape is {found}')
        if len(found) not in (2, 3):
            raise MapError(f'{path} must be a map (H, W) or (D, H, W), got {found}')
        if shape is not None and found != shape:
            raise MapError(f'sizes differ: {path} is {shape_in_words(found)}, the ground truth {shape_in_words(shape)}')
        if fits is not None:
            fits(found)

    with sentences(path):
        if Path(path).suffix.lower() == '.npy':
            ids = read_npy(path, check)
        elif is_nifti(path):
            ids = read_ids(path, check, like)
        else:
            ids = read_image(path, palette, ignore_index, check)
    return ids.astype(np.uint8) if ids.dtype == bool else ids  # of 1 bit: class 1 and class 0


def read_probabilities(
    path: str | Path, shape: tuple[int, ...], num_classes: int, like: Geometry | None = None
) -> np.ndarray:
    """The floating-point array of a .npz or NIfTI file: (C, *shape), or one channel (1, *shape) or (*shape) for two classes."""

    def check(found: tuple[int, ...], dtype: np.dtype) -> None:
        if dtype.kind != 'f':
            raise MapError(f'{path} must hold floating-point probabilities, got {dtype}')
        if found != (num_classes, *shape) and not (num_classes == 2 and found in (shape, (1, *shape))):
            raise MapError(
                f'sizes differ: {path} is {shape_in_words(found)}, {num_classes} classes and the ground truth '
                f'{shape_in_words(shape)} need {shape_in_words((num_classes, *shape))}'
            )

    with sentences(path):
        return channels_of_nifti(path, check, like) if is_nifti(path) else read_npz(path, check)


def holds_probabilities(path: str | Path) -> bool:
    """Whether a prediction's file has probabilities: by its type, of NIfTI by its header."""
    if is_nifti(path):
        with sentences(path):
            return channels_in_nifti(path)
    return Path(path).suffix.lower() == PROBABILITIES


def most_probable(
    path: str | Path, prob: np.ndarray, shape: tuple[int, ...], counted: np.ndarray | None = None
) -> np.ndarray:
    """The class of the largest probability, the first of equals; of one channel 1 where it is above 0.5.

    ``counted``: where a probability must be one; what the file holds elsewhere may be anything.
    """
    channels = prob.reshape(-1, math.prod(shape))
    counted = None if counted is None or counted.all() else counted.reshape(-1)
    found = np.zeros(channels.shape[1], np.uint8 if len(channels) <= 256 else np.int32)
    for start in range(0, found.size, CHUNK):
        part, best = channels[:, start : start + CHUNK], found[start : start + CHUNK]
        if counted is not None:
            part = np.where(counted[start : start + CHUNK], part, 0)
        check_probabilities(path, float(part.min()), float(part.max()))
        highest = part[0].astype(np.float32 if prob.dtype.itemsize == 2 else prob.dtype)
        for c in range(1, len(part)):
            np.copyto(best, c, where=part[c] > highest)
            np.maximum(highest, part[c], out=highest)
        if len(part) == 1:
            best[:] = highest > 0.5
    return found.reshape(shape)


def check_probabilities(path: str | Path, low: float, high: float) -> None:
    if math.isnan(low):
        raise MapError(f'{path} has probabilities that are no numbers (nan)')
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        beyond = low if low < -TOLERANCE else high
        raise MapError(f'{path} must hold probabilities in [0, 1], got {beyond:g} (logits need a softmax or a sigmoid)')


def read_image(
    path: str | Path,
    palette: Palette | None,
    ignore_index: int | None,
    check: Callable[[tuple[int, ...], np.dtype], None],
) -> np.ndarray:
    with open_image(path) as image:
        if image.format == 'PNG':
            image.verify()  # its checksums, which Pillow does not look at when it decodes
    with open_image(path) as image:
        pages = getattr(image, 'n_frames', 1) if image.format == 'TIFF' else 1
        size = image.size[::-1]
        check((pages, *size) if pages > 1 else size, np.dtype(np.uint8))
        found = []
        for page in range(pages):
            if pages > 1:
                image.seek(page)
            if image.size[::-1] != size:
                raise MapError(
                    f'{path} has pages of different sizes: {shape_in_words(size)} and {shape_in_words(image.size[::-1])}'
                )
            found.append(page_ids(path, image, palette, ignore_index))
    return np.stack(found) if pages > 1 else found[0]


def page_ids(path: str | Path, image: Image.Image, palette: Palette | None, ignore_index: int | None) -> np.ndarray:
    if palette is not None and image.mode in COLOURS:
        colours = image if image.mode in ('RGB', 'RGBA') else image.convert('RGB')
        return to_ids(np.asarray(colours), palette.colours, ignore_index)
    if image.mode not in IDS:
        advice = '; colours need a palette (--palette FILE)' if image.mode in ('RGB', 'RGBA') else ''
        raise MapError(f'{path} must hold class ids, it is an image of the mode {image.mode}{advice}')
    return np.asarray(image)


@contextlib.contextmanager
def open_image(path: str | Path, formats: tuple[str, ...] = ('PNG', 'TIFF')) -> Iterator[Image.Image]:
    """Pillow's image of a file of one of these formats, whatever its name says: others may start programs."""
    from PIL import Image, UnidentifiedImageError

    with no_pixel_limit(Image):
        try:
            image = Image.open(path, formats=formats)
        except UnidentifiedImageError:
            raise MapError(f'{path} cannot be read: it is no image of the kind {" or ".join(formats)}') from None
        with image:
            yield image


_limit = threading.Lock()
_users = 0
_kept: int | None = None


@contextlib.contextmanager
def no_pixel_limit(Image: Any) -> Iterator[None]:
    """Pillow refuses images above 179 million pixels as a possible attack. Aerial label maps are larger, and the files
    are those that the user named. The limit is the module's, and a Dask worker has threads: the last one out restores.
    """
    global _users, _kept
    with _limit:
        if _users == 0:
            _kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _users += 1
    try:
        yield
    finally:
        with _limit:
            _users -= 1
            if _users == 0:
                Image.MAX_IMAGE_PIXELS = _kept


@contextlib.contextmanager
def sentences(path: str | Path) -> Iterator[None]:
    """What goes wrong with a file, as one sentence that names it, and nothing of what a library thinks of its bytes."""
    try:
        with (
            warnings.catch_warnings(action='ignore'),
            one_sentence(f'{path} cannot be read', MapError, passing=(MapError, NiftiError, FileNotFoundError)),
        ):
            yield
    except NiftiError as error:
        raise MapError(f'{path} {error}') from None
    except FileNotFoundError:
        raise MapError(f'{path} does not exist') from None


def reduce_zero_label(ids: np.ndarray, ignore_index: int | None, zero: int) -> np.ndarray:
    """MMSegmentation's reduce_zero_label: label 0 becomes ``zero``, every other one less; the ignored stay so."""
    found = ids.astype(np.int16 if ids.dtype.itemsize == 1 else np.int64) - 1
    found[ids == 0] = zero
    if ignore_index is not None:
        found[ids == ignore_index] = ignore_index
    found[ids == UNKNOWN] = UNKNOWN
    return found


def colour_at(path: str | Path, place: tuple[int, ...]) -> list[int]:
    """The colour of a pixel of an RGB-coded map, for a message."""
    with open_image(path) as image:
        if len(place) == 3:
            image.seek(place[0])
        return list(cast(tuple[int, ...], image.convert('RGB').getpixel((place[-1], place[-2]))))


def shape_in_words(shape: Iterable[int]) -> str:
    """(480, 640) -> '480x640'."""
    return 'x'.join(map(str, shape))
