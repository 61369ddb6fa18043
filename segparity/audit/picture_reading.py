"""Label maps and photographs from files. Nothing in a file is executed or unpickled, and nothing is decoded whose
declared size is out of all proportion: a few kilobytes may declare gigabytes, and a table may name any file."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segparity.evaluate import nifti
from segparity.evaluate.maps import (
    MapError,
    holds_probabilities,
    most_probable,
    open_image,
    reduce_zero_label,
    sentences,
    shape_in_words,
)
from segparity.evaluate.maps import read_labels as read_ids
from segparity.evaluate.nifti import Geometry, is_nifti
from segparity.evaluate.npy import read_npy, read_npz
from segparity.evaluate.palette import UNKNOWN, Palette

PHOTOS = ('PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP')  # Pillow's names
ALWAYS = 1 << 26  # pixels that are decoded whatever they belong to
SMALL = {1: np.int16, 2: np.int32}  # bytes of an id -> what holds it and -1; aerial images are large


def read_labels(
    path: str | Path,
    palette: Palette | None = None,
    ignore_index: int | None = None,
    reduce_zero: bool = False,
    coded: bool = False,
    shape: tuple[int, ...] | None = None,
    counted: int | None = None,
    beside: Geometry | None = None,
) -> np.ndarray:
    """A map of class ids, signed (H, W) or (D, H, W), as ``segparity evaluate`` reads it: PNG, TIFF, NPY or NIfTI, or an
    NPZ or NIfTI of probabilities. Ignored pixels and colours that the palette lacks are -1.

    ``palette`` reads colour images; indexed and grey ones hold ids unless ``coded`` says that they hold its colours.
    ``shape`` is what the map must have, ``counted`` how many pixels the table counts in it, ``beside`` where the ground
    truth of a NIfTI volume lies.
    """
    if holds_probabilities(path):
        return most_probable_ids(path, shape, beside).astype(np.int32)
    coded = palette is not None and (coded or in_colours(path))
    most = math.inf if counted is None else max(ALWAYS, 64 * counted)  # most pixels may be ignored
    ids = read_ids(
        path, palette if coded else None, -1, shape, lambda found: check_size(path, found, most, 'the table'), beside
    )
    if reduce_zero and not coded:  # a palette names the classes: nothing is to be shifted
        ids = reduce_zero_label(ids, ignore_index, -1)
    labels = ids.astype(SMALL.get(ids.dtype.itemsize, np.int64))
    if ignore_index is not None:
        labels[ids == ignore_index] = -1
    labels[labels == UNKNOWN] = -1
    return labels


def in_colours(path: str | Path) -> bool:
    """Whether the file is a colour image."""
    if Path(path).suffix.lower() == '.npy' or is_nifti(path):
        return False
    with sentences(path), open_image(path) as image:
        return image.mode in ('RGB', 'RGBA')


def check_size(path: str | Path, shape: tuple[int, ...], most: float, what: str) -> None:
    """Refuses a picture by its header."""
    if math.prod(shape) > most:
        raise MapError(f'{path} is {shape_in_words(shape)}, out of all proportion to {what}')


def most_probable_ids(
    path: str | Path, shape: tuple[int, ...] | None = None, beside: Geometry | None = None
) -> np.ndarray:
    def check(found: tuple[int, ...], dtype: np.dtype) -> None:
        _check_probabilities(path, found, dtype, shape)

    with sentences(path):
        prob = nifti.read_probabilities(path, check, beside) if is_nifti(path) else read_npz(path, check)
    return most_probable(path, prob, prob.shape[1:] if prob.ndim > 2 else prob.shape)


def _check_probabilities(
    path: str | Path, found: tuple[int, ...], dtype: np.dtype, shape: tuple[int, ...] | None
) -> None:
    if dtype.kind != 'f' or len(found) not in (2, 3, 4) or 0 in found:
        raise MapError(f'{path} must hold floating-point probabilities (C, H, W) or (C, D, H, W), got {dtype} {found}')
    if shape is not None and shape not in (found, found[1:]):
        raise MapError(f'sizes differ: {path} is {shape_in_words(found)}, the ground truth {shape_in_words(shape)}')


def read_photo(path: str | Path, shape: tuple[int, ...] | None = None, beside: Geometry | None = None) -> np.ndarray:
    """uint8 (H, W, 3) or, of a volume, (D, H, W, 3); other depths are stretched between their 1st and 99th per cent.

    ``shape`` is that of the label map, which the photograph need not have, ``beside`` where it lies.
    """
    most = math.inf if shape is None else max(ALWAYS, 4 * math.prod(shape))

    def check(found: tuple[int, ...], dtype: np.dtype | None = None) -> None:
        channels = found[-1] if len(found) > 2 and found[-1] in (3, 4) else 1
        check_size(path, found, most * channels, 'the label map' + (f' of {shape_in_words(shape)}' if shape else ''))

    with sentences(path):
        if Path(path).suffix.lower() == '.npy':
            array = read_npy(path, check)
            if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3, 4):
                array = np.moveaxis(array, 0, -1)
            coloured = array.ndim > 2 and array.shape[-1] in (1, 3, 4)
        elif is_nifti(path):
            array, coloured = nifti.read_intensities(path, check, beside), False
        else:
            array, coloured = _read_picture(path, check)
    if array.ndim - coloured not in (2, 3) or array.dtype.kind not in 'iufb' or 0 in array.shape:
        raise MapError(f'{path} must be an image (H, W), (H, W, 3) or a volume, got {array.dtype} {array.shape}')
    array = array[..., :3] if coloured else array[..., None]
    if array.dtype != np.uint8:
        array = array.astype(np.float64)
        finite = array[np.isfinite(array)]
        low, high = np.percentile(finite, [1, 99]) if finite.size else (0, 1)
        array = (255 * np.clip(np.nan_to_num((array - low) / max(high - low, 1e-12)), 0, 1)).astype(np.uint8)
    return np.repeat(array, 3, -1) if array.shape[-1] == 1 else array


def _read_picture(path: str | Path, check: Callable[[tuple[int, ...]], None]) -> tuple[np.ndarray, bool]:
    """An array, and whether its last axis is colour; the pages of a TIFF are a volume."""
    from PIL import ImageSequence

    with open_image(path, PHOTOS) as image:
        check(image.size[::-1])
        pages = getattr(image, 'n_frames', 1) if image.format == 'TIFF' else 1
        if pages > 1:
            check((pages, *image.size[::-1]))
            array = np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)])
            return array, array.ndim == 4
        if image.mode not in ('RGB', 'L', 'F', 'I', 'I;16', 'I;16B'):
            image = image.convert('RGB')
        array = np.asarray(image)
        return array, array.ndim == 3
