"""NumPy's files, with what they declare checked before anything is read; never a pickle."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

KEYS = ('prob', 'probs', 'arr_0')  # where probabilities are looked for in a file with several arrays
READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) of the array that begins here."""
    version = np.lib.format.read_magic(stream)
    if version not in READ_HEADER:
        raise ValueError(f'it is of the .npy version {version}')
    shape, _, dtype = READ_HEADER[version](stream)
    return shape, dtype


def read_npy(path: str | Path, check: Callable[[tuple[int, ...], np.dtype], None]) -> np.ndarray:
    """The array of a .npy file, once ``check(shape, dtype)`` has let it pass."""
    with open(path, 'rb') as stream:
        check(*read_header(stream))
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)


def read_npz(path: str | Path, check: Callable[[tuple[int, ...], np.dtype], None]) -> np.ndarray:
    """The array of a .npz file: its only one, or that under one of ``KEYS``."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith('.npy')]
        chosen = names if len(names) == 1 else [k + '.npy' for k in KEYS if k + '.npy' in names]
        if not chosen:
            held = ', '.join(name[:-4] for name in names) or 'no array'
            raise ValueError(f'one array, or one of the name {", ".join(KEYS)}, is expected, it holds {held}')
        with archive.open(chosen[0]) as stream:
            check(*read_header(stream))
        with archive.open(chosen[0]) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
