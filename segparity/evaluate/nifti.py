"""NIfTI volumes of class ids and probabilities: their voxels, the size of these, and where they lie."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared_spec.values import TOLERANCE

NIFTI = ('.nii', '.nii.gz')
CLOSE = 0.01  # of a voxel: how far apart the same corner may lie in two headers
SIZES = {348: 'Nifti1Image', 540: 'Nifti2Image'}  # of the header, which says the version


class Geometry(NamedTuple):
    """Where voxels lie: (4, 4) from indices (x, y, z, 1) to millimetres, None where the header does not say; the number
    of voxels along x, y, z; the size of a voxel along the axes of the map, z, y, x or y, x; and whether a volume that lies
    elsewhere is taken voxel by voxel, not refused."""

    affine: np.ndarray | None
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    lenient: bool = False


class NiftiError(ValueError):
    """A file that cannot be used, in words that follow its path."""


def is_nifti(path: str | Path) -> bool:
    return str(path).lower().endswith(NIFTI)


def open_nifti(path: str | Path) -> Any:
    """nibabel's image, of which nothing but the header has been read. Only NIfTI is tried, whatever a file holds."""
    if importlib.util.find_spec('nibabel') is None:
        raise NiftiError("needs nibabel: pip install 'segparity[nifti]'")
    import nibabel

    with gzip.open(path) if str(path).lower().endswith('.gz') else open(path, 'rb') as file:
        head = file.read(4)
    sizes = [struct.unpack(order + 'i', head)[0] for order in '<>'] if len(head) == 4 else []
    kind = next((SIZES[size] for size in sizes if size in SIZES), None)
    if kind is None:
        raise NiftiError('cannot be read: it is no NIfTI file')
    log = logging.getLogger('nibabel.global')  # which says on the terminal what it thinks of a header
    before, log.disabled = log.disabled, True
    try:
        return getattr(nibabel, kind).from_filename(path)
    finally:
        log.disabled = before


def geometry_of(path: str | Path) -> Geometry:
    """What the header says of where voxels lie."""
    return geometry(open_nifti(path))


def geometry(image: Any) -> Geometry:
    header = image.header
    dims = volume_axes(image.shape)
    zooms = [float(z) for z in header.get_zooms()[:dims]]
    if not all(np.isfinite(zooms)) or min(zooms) <= 0:
        raise NiftiError(f'has voxels of the size {zooms}, expected numbers above 0')
    told = int(header['sform_code']) > 0 or int(header['qform_code']) > 0
    affine = np.asarray(image.affine, np.float64) if told else None
    if affine is not None and (not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12):
        raise NiftiError('has an affine that is no map of voxels to places')
    return Geometry(affine, tuple(image.shape[:dims]), tuple(zooms[::-1]))


def volume_axes(shape: tuple[int, ...]) -> int:
    """How many of the first axes are those of space: two or three."""
    return min(len(shape), 3)


def read_ids(
    path: str | Path,
    check: Callable[[tuple[int, ...], np.dtype], None],
    like: Geometry | None = None,
) -> np.ndarray:
    """Class ids (D, H, W) or (H, W), uint8 where they fit, else int32, in the order of axes of ``like``.

    NIfTI has x first, the map has it last. Floating-point voxels pass where each is an integer, for many programs write
    labels so. ``check`` is called with the shape before any voxel is read.
    """
    image = open_nifti(path)
    shape = tuple(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    found = geometry(image)
    turn = turning(found, like)
    check(turned_shape(shape, turn)[::-1], np.dtype(np.uint8))
    voxels = np.asanyarray(image.dataobj).reshape(shape)
    return in_map_order(whole_numbers(voxels), turn)


def read_probabilities(
    path: str | Path,
    check: Callable[[tuple[int, ...], np.dtype], None],
    like: Geometry | None = None,
) -> np.ndarray:
    """Probabilities (C, D, H, W) of a file (x, y, z, C), in the order of axes of ``like``."""
    image = open_nifti(path)
    shape = tuple(image.shape)
    turn = turning(geometry(image), like)
    check((shape[3], *turned_shape(shape[:3], turn)[::-1]), np.dtype(np.float32))
    voxels = np.asanyarray(image.dataobj)
    if voxels.dtype.kind != 'f':
        voxels = voxels.astype(np.float32)
    return np.stack([in_map_order(voxels[..., c], turn) for c in range(shape[3])])


def read_intensities(
    path: str | Path, check: Callable[[tuple[int, ...], np.dtype], None], like: Geometry | None = None
) -> np.ndarray:
    """The numbers of a picture (D, H, W) or (H, W), of several channels the first, in the order of axes of ``like``."""
    image = open_nifti(path)
    own = geometry(image)
    turn = turning(own, like)
    check(turned_shape(own.shape, turn)[::-1], np.dtype(np.float32))
    voxels = np.asanyarray(image.dataobj)
    return in_map_order(voxels.reshape(*own.shape, -1)[..., 0], turn)


def has_probabilities(path: str | Path) -> bool:
    """Whether the header is that of a volume with several channels."""
    shape = open_nifti(path).shape
    return len(shape) == 4 and shape[3] > 1


def whole_numbers(voxels: np.ndarray) -> np.ndarray:
    """Integers of voxels that are integers; NiftiError where one is not."""
    if voxels.dtype.kind not in 'iufb':
        raise NiftiError(f'must hold class ids, got {voxels.dtype}')
    low, high = (voxels.min(), voxels.max()) if voxels.size else (0, 0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise NiftiError('must hold class ids, it has voxels that are no numbers')
    if low < -(2**31) or high >= 2**31:
        raise NiftiError(f'must hold class ids, got {high if high >= 2**31 else low:g}')
    ids = voxels.astype(np.uint8 if low >= 0 and high < 256 else np.int32)
    if voxels.dtype.kind == 'f' and not np.array_equal(ids, voxels):
        wrong = voxels[ids != voxels].flat[0]
        more = '; probabilities have a fourth axis, of the classes' if 0 <= wrong <= 1 + TOLERANCE else ''
        raise NiftiError(f'must hold integer class ids, got {wrong:g}{more}')
    return ids


def turning(own: Geometry, like: Geometry | None) -> np.ndarray | None:
    """nibabel's transform of orientations, (3, 2), that lays a volume along the axes of another; None where nothing turns.

    NiftiError where both headers say where voxels lie, and these are other places.
    """
    if like is None or own.affine is None or like.affine is None or len(own.shape) != len(like.shape):
        return None
    if len(own.shape) < 3:  # a slice is compared, and not turned
        check_place(own.affine, like.affine, like, own.shape)
        return None
    from nibabel import orientations

    axes = [orientations.io_orientation(one.affine) for one in (own, like)]
    if np.isnan(axes).any():
        raise NiftiError('has an affine that is no map of voxels to places')
    turn = orientations.ornt_transform(*axes)
    affine = own.affine @ orientations.inv_ornt_aff(turn, own.shape)
    shape = turned_shape(own.shape, turn)
    if shape != like.shape:
        return turn  # what reads it says that the sizes differ
    return turn if check_place(affine, like.affine, like, shape) else None


def check_place(affine: np.ndarray, wanted: np.ndarray, like: Geometry, shape: tuple[int, ...]) -> bool:
    """Whether a volume with this affine lies where another does; NiftiError where not, unless that is lenient."""
    ends = [(0, size - 1) for size in (*shape, 1, 1)[:3]]
    corners = np.array([[*corner, 1] for corner in itertools.product(*ends)])
    apart = np.linalg.norm((corners @ affine.T - corners @ wanted.T)[:, :3], axis=1).max()
    if apart <= CLOSE * min(like.spacing):
        return True
    if not like.lenient:
        raise NiftiError(
            f'lies elsewhere than the ground truth: by their affines a corner of the volumes is {apart:.3g} apart '
            '(--affine ignore compares voxel by voxel)'
        )
    return False


def turned_shape(shape: tuple[int, ...], turn: np.ndarray | None) -> tuple[int, ...]:
    """The shape (x, y, z) after a transform of orientations."""
    if turn is None:
        return shape
    found = list(shape)
    for axis, (goal, _) in enumerate(turn):
        found[int(goal)] = shape[axis]
    return tuple(found)


def in_map_order(voxels: np.ndarray, turn: np.ndarray | None) -> np.ndarray:
    """(x, y, z) -> (z, y, x), after a transform of orientations."""
    if turn is not None:
        from nibabel import orientations

        voxels = orientations.apply_orientation(voxels, turn)
    return np.ascontiguousarray(voxels.T)
