"""The weights of a small network of linear layers, which a loss takes as a file or as arrays; never unpickled."""

import functools
import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared_spec.checks import Check
from shared_spec.parameters import SpecError

PLACES = 0, 2, 4  # of the linear layers, between which negative numbers become 0
NAMES = tuple(f'fc_{place}_{part}' for place in PLACES for part in ('weight', 'bias'))
FOLDER = Path(__file__).parent / 'weights'


class Network:
    """Three linear layers: (weight (out, in), bias (out,)) of each, float32 or float64, read-only; equal by their numbers."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        found = []
        for given in arrays:
            array = np.array(given, np.float32)
            if not np.array_equal(array, given):  # else the half of the memory holds the same numbers
                array = np.array(given, np.float64)
            array.flags.writeable = False
            found.append(array)
        self.arrays = tuple(found)
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(f'{array.dtype}{array.shape}'.encode())
            digest.update(array.tobytes())
        self.digest = digest.hexdigest()

    @property
    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(zip(self.arrays[::2], self.arrays[1::2]))

    @property
    def inputs(self) -> int:
        return int(self.arrays[0].shape[1])

    def to_dict(self) -> dict[str, Any]:
        return {name: array.tolist() for name, array in zip(NAMES, self.arrays)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        sizes = [self.inputs, *(len(bias) for bias in self.arrays[1::2])]
        return f'<weights of {", ".join(map(str, sizes))} numbers>'


def network_of(given: Mapping[str, Any], outputs: int) -> Network:
    """The network of arrays by name; ValueError in words that follow what they are of."""
    arrays = {str(name).replace('.', '_'): x for name, x in given.items()}
    if missing := [name for name in NAMES if name not in arrays]:
        raise ValueError(f'must have {", ".join(NAMES)}, {missing[0]} is missing')
    if unknown := [name for name in arrays if name not in NAMES]:
        raise ValueError(f'must have {", ".join(NAMES)} alone, got {unknown[0]} as well')
    found = []
    for name in NAMES:
        try:
            array = np.asarray(arrays[name], None if hasattr(arrays[name], 'dtype') else np.float64)
        except (ValueError, TypeError):
            raise ValueError(f'must be arrays of numbers, {name} is none') from None
        if array.dtype.kind not in 'fiu' or array.ndim != (1 if name.endswith('bias') else 2) or not array.size:
            wanted = '(out,)' if name.endswith('bias') else '(out, in)'
            raise ValueError(f'must be numbers {wanted} in {name}, got {array.dtype} of shape {array.shape}')
        if not np.isfinite(array).all():
            raise ValueError(f'must be finite, {name} is not')
        found.append(array)
    network = Network(found)
    width = network.inputs
    for place, (weight, bias) in zip(PLACES, network.layers):
        if weight.shape != (len(bias), width):
            raise ValueError(
                f'must be layers that follow each other, fc_{place}_weight of shape {weight.shape} does not fit '
                f'{width} inputs and a bias of {len(bias)}'
            )
        width = len(bias)
    if width != outputs:
        raise ValueError(f'must end in {outputs} numbers, got {width}')
    return network


class NetworkWeights(Check):
    """The path of an .npz file, or its arrays by name."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def describe(self) -> str:
        return f'the path of an .npz file, or a dict, with the arrays {", ".join(NAMES)}'

    def schema(self) -> dict[str, Any]:
        row = {'type': 'array', 'items': {'type': 'number'}, 'minItems': 1}
        table = {'type': 'array', 'items': row, 'minItems': 1}
        arrays = {name: row if name.endswith('bias') else table for name in NAMES}
        network = {
            'type': 'object',
            'properties': arrays,
            'required': list(NAMES),
            'additionalProperties': False,
        }
        return {'anyOf': [{'type': 'string', 'minLength': 1}, network]}

    def freeze(self, value: object) -> str | Network:
        if isinstance(value, Network):
            return value
        if isinstance(value, (str, os.PathLike)) and str(value):
            return os.fspath(value) if isinstance(value, str) else str(value)
        if not isinstance(value, Mapping):
            raise ValueError
        try:
            return network_of(value, self.outputs)
        except ValueError as error:
            raise SpecError(str(error), parameter='weights') from None

    def thaw(self, value: str | Network) -> Any:
        return value if isinstance(value, str) else value.to_dict()


def read_network(path: str | Path, outputs: int) -> Network:
    """The network of a file; ValueError in one sentence for what is none. Files are kept while they stay as they are."""
    try:
        about = os.stat(path)
    except OSError as error:
        raise ValueError(f'cannot be read from {str(path)!r}: {error.strerror}') from None
    return _read(str(path), about.st_mtime_ns, about.st_size, outputs)


@functools.lru_cache(8)
def _read(path: str, changed: int, size: int, outputs: int) -> Network:
    try:
        with zipfile.ZipFile(path):
            pass  # np.load would read an array without names as well
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile):
        raise ValueError(f'must be an .npz file of arrays, {path!r} is none') from None
    return network_of(arrays, outputs)
