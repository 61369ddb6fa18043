"""Label maps and photographs from files. Nothing in a file is executed or unpickled."""

import contextlib
from pathlib import Path

import numpy as np

SMALL = {1: np.int16, 2: np.int32}  # bytes of an id -> what holds it and -1; aerial images are large


class Unreadable(ValueError):
    """A picture that cannot be used, told in one sentence that names it."""


def read_labels(path, palette=None, ignore_index=None, reduce_zero=False):
    """A map of class ids, signed (H, W) or (D, H, W); ignored pixels are -1.

    Indexed PNGs are read as indices; colours need a ``palette`` and are -1 where it lacks them. An .npz or a .npy of
    floats (C, *space) is taken for probabilities: its highest class counts.
    """
    array, coloured = _read(path)
    if array.dtype.kind == 'f':
        if array.ndim not in (3, 4):
            raise Unreadable(f'{path}: floats must be probabilities (C, H, W), got {array.shape}')
        array = array.argmax(0) if len(array) > 1 else array[0] > 0.5
    elif coloured:
        if palette is None:
            raise Unreadable(f'{path}: a label map in colours needs --palette')
        return _decode(array[..., :3], palette)  # classes already: nothing is shifted
    if array.dtype.kind not in 'iub' or array.ndim not in (2, 3):
        raise Unreadable(f'{path}: a label map has class ids (H, W) or (D, H, W), got {array.dtype} {array.shape}')
    labels = array.astype(SMALL.get(array.dtype.itemsize, np.int64))
    if ignore_index is not None:
        labels[array == ignore_index] = -1
    if reduce_zero:
        labels = np.maximum(labels - 1, -1)
    return labels


def read_photo(path):
    """uint8 (H, W, 3) or, of a volume, (D, H, W, 3); other depths are stretched between their 1st and 99th per cent."""
    array, coloured = _read(path, photo=True)
    if coloured is None and array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in 'iufb':
        raise Unreadable(f'{path}: an image is (H, W), (H, W, 3) or a volume, got {array.dtype} {array.shape}')
    if coloured is None:
        coloured = array.ndim > 2 and array.shape[-1] in (1, 3, 4)
    array = array[..., :3] if coloured else array[..., None]
    if array.dtype != np.uint8:
        array = array.astype(np.float64)
        low, high = np.nanpercentile(array, [1, 99]) if array.size else (0, 1)
        array = (255 * np.clip(np.nan_to_num((array - low) / max(high - low, 1e-12)), 0, 1)).astype(np.uint8)
    return np.repeat(array, 3, -1) if array.shape[-1] == 1 else array


def _read(path, photo=False):
    """An array, and whether its last axis is colour: None where the file does not say."""
    path = Path(path)
    try:
        if path.suffix.lower() == '.npy':
            return np.load(path, allow_pickle=False), None
        if path.suffix.lower() == '.npz':
            with np.load(path, allow_pickle=False) as arrays:
                name = next((n for n in ('prob', 'probs', 'arr_0') if n in arrays), arrays.files[0])
                return arrays[name], None
        return _read_picture(path, photo)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f'{path}: not a readable picture ({error})') from error


def _read_picture(path, photo):
    from PIL import Image, ImageSequence

    with _any_size(Image), Image.open(path) as image:
        pages = getattr(image, 'n_frames', 1)
        if pages > 1:
            stack = np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)])
            return stack, stack.ndim == 4
        if photo and image.mode not in ('RGB', 'L', 'F', 'I', 'I;16', 'I;16B'):
            image = image.convert('RGB')
        elif image.mode == '1':
            image = image.convert('L').point(lambda value: value > 0)
        elif image.mode in ('LA', 'PA'):
            image = image.getchannel(0)
        array = np.asarray(image)
        return array, array.ndim == 3


@contextlib.contextmanager
def _any_size(image_module):
    """Lift Pillow's limit, which guards servers against strangers' files: these are the user's own aerial images."""
    limit, image_module.MAX_IMAGE_PIXELS = image_module.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        image_module.MAX_IMAGE_PIXELS = limit


def _decode(colours, palette):
    """Class ids of colours (..., 3); -1 where the palette lacks the colour."""
    keys = colours.astype(np.int64) @ [65536, 256, 1]
    known = palette.astype(np.int64) @ [65536, 256, 1]
    order = np.argsort(known, kind='stable')
    place = np.minimum(np.searchsorted(known[order], keys), len(known) - 1)
    found = order[place]
    return np.where(known[found] == keys, found, -1).astype(np.int32)
