"""Arrays of a .npz file that a user saved: what each declares is checked first, then images are read one by one.

Nothing is unpickled, and no more than one image is in memory, however large the file says that it is.
"""

import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from shared_spec.checks import nearest
from shared_spec.files import one_sentence

LARGEST = 2**28  # numbers of one image
READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class SavedError(ValueError):
    """A file of arrays that cannot be used, in one sentence."""


class Array(NamedTuple):
    """One array of a file, not read yet; its first axis is that of images."""

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def words(self) -> str:
        """How messages call it."""
        return f'{self.path}: {self.name}'

    def images(self, count: int | None = None) -> Iterator[np.ndarray]:
        """The first ``count`` images, each an array of its own in the byte order of the machine."""
        if not self.shape:
            raise SavedError(f'{self.words} is one number, expected one entry for each image')
        space = self.shape[1:]
        if math.prod(space) > LARGEST:
            raise SavedError(
                f'{self.words} has {math.prod(space):,} numbers in each image, and at most {LARGEST:,} are read'
            )
        count = self.shape[0] if count is None else min(count, self.shape[0])
        if self.fortran and len(self.shape) > 1:
            if math.prod(self.shape) > LARGEST:
                raise SavedError(
                    f'{self.words} lies in Fortran order, so that no image can be read alone; '
                    f'save np.ascontiguousarray of it'
                )
            yield from self.read()[:count]
            return
        size = math.prod(space) * self.dtype.itemsize
        with _opened(self.path, self.name) as stream:
            _declared(stream)
            for _ in range(count):
                with one_sentence(f'{self.path} cannot be read', SavedError, SavedError):
                    content = stream.read(size)
                if len(content) < size:
                    raise SavedError(f'{self.words} ends before its {self.shape[0]} images do')
                image = np.frombuffer(content, self.dtype).reshape(space)
                yield image.astype(self.dtype.newbyteorder('='))

    def read(self) -> np.ndarray:
        """All of it. SavedError where it is larger than an image may be."""
        if math.prod(self.shape) > LARGEST:
            raise SavedError(f'{self.words} has {math.prod(self.shape):,} numbers, and at most {LARGEST:,} are read')
        with (
            one_sentence(f'{self.path} cannot be read', SavedError, SavedError),
            _opened(self.path, self.name) as stream,
        ):
            found = np.lib.format.read_array(stream, allow_pickle=False)
        return found.astype(self.dtype.newbyteorder('='))


def open_arrays(path: str | Path) -> dict[str, Array]:
    """Name -> ``Array`` of a .npz file; SavedError for a file that is none, and for arrays of Python objects."""
    path = str(path)
    with one_sentence(f'{path} is no .npz file that can be read', SavedError, (SavedError, OSError)):
        if not zipfile.is_zipfile(path):
            with open(path, 'rb') as stream:
                is_npy = stream.read(6) == b'\x93NUMPY'
            advice = (
                ', which np.savez writes; this is a .npy file of one array' if is_npy else ', which np.savez writes'
            )
            raise SavedError(f'{path} is no .npz file{advice}')
        with zipfile.ZipFile(path) as archive:
            names = [name[:-4] for name in archive.namelist() if name.endswith('.npy')]
    found = {}
    for name in names:
        with one_sentence(f'{path} cannot be read', SavedError, SavedError), _opened(path, name) as stream:
            shape, fortran, dtype = _declared(stream)
        _check(f'{path}: {name}', shape, dtype)
        found[name] = Array(path, name, shape, dtype, fortran)
    return found


def choose_array(path: str | Path, arrays: dict[str, Array], names: Sequence[str], what: str) -> Array:
    """The one array that has one of the names; SavedError where there is none, or more than one."""
    there = [name for name in names if name in arrays]
    if len(there) == 1:
        return arrays[there[0]]
    wanted = ' or '.join(names)
    if there:
        raise SavedError(f'{path} has {" and ".join(there)}, expected one of them for the {what}')
    hint = next((h for name in arrays if (h := nearest(name, names))), None)
    held = ', '.join(sorted(arrays)) or 'no array'
    advice = f'; is {next(n for n in arrays if nearest(n, names))!r} what is called {hint!r} here?' if hint else ''
    raise SavedError(f'{path} must have an array {wanted} for the {what}, it holds {held}{advice}')


def read_integer(array: Array) -> int:
    """The one whole number that an array holds."""
    if math.prod(array.shape) != 1 or array.dtype.kind not in 'iu':
        raise SavedError(f'{array.words} must be one whole number, got {array.dtype} of shape {array.shape}')
    return int(array.read().reshape(-1)[0])


def read_texts(array: Array) -> list[str]:
    """The names that an array of strings holds."""
    if array.dtype.kind != 'U' or len(array.shape) != 1:
        raise SavedError(f'{array.words} must be a list of texts, got {array.dtype} of shape {array.shape}')
    return [str(text) for text in array.read()]


@contextlib.contextmanager
def _opened(path: str, name: str) -> Iterator[IO[bytes]]:
    """One array of an archive as a stream."""
    with zipfile.ZipFile(path) as archive, archive.open(f'{name}.npy') as stream:
        yield stream


def _declared(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, Fortran order, dtype) of the array that begins here."""
    version = np.lib.format.read_magic(stream)
    if version not in READ_HEADER:
        raise SavedError(f'it is of the .npy version {version}')
    return READ_HEADER[version](stream)


def _check(words: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.hasobject:
        raise SavedError(
            f'{words} holds Python objects (images of different sizes?), which are not unpickled; save one array of numbers'
        )
    if dtype.kind not in 'fiubU':
        advice = '; bfloat16 is saved as float32' if dtype.kind == 'V' else ''
        raise SavedError(f'{words} must hold numbers, got {dtype}{advice}')
    if any(size < 0 for size in shape) or 0 in shape:
        raise SavedError(f'{words} is empty, its shape is {shape}')
