"""Damaged files of maps, tables, states and palettes for ``python -m benchmarks.fuzz_readers --target files``.

Bytes of whole files are changed, and the bytes inside of compressed ones, so that what lies behind a checksum is met too.
"""

import contextlib
import gzip
import io
import pathlib
import random
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.fuzz_keras_mutations import mutate_bytes, zipped

SIDES = (6, 7)
LARGEST = 1 << 24  # pixels, above which a reader of labels is told that they do not fit
Read = Callable[[pathlib.Path], object]


def write_seeds(folder: pathlib.Path) -> None:
    """Small files of every kind that ``segparity evaluate``, ``merge`` and ``audit`` read."""
    from PIL import Image

    from segparity.cli import main

    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, (4, *SIDES)).astype(np.uint8)
    prob = rng.dirichlet(np.ones(4), (3, *SIDES)).astype(np.float32)
    pages = [Image.fromarray(page) for page in ids]
    pages[0].save(folder / 'grey.png')
    pages[0].save(folder / 'grey.tif')
    pages[0].save(folder / 'deflated.tif', compression='tiff_deflate')
    pages[0].save(folder / 'volume.tif', save_all=True, append_images=pages[1:])
    Image.fromarray(ids[0].astype(np.uint16) * 300).save(folder / 'wide.png')
    Image.fromarray(ids[0] > 1).save(folder / 'mask.png')
    Image.fromarray(np.stack([ids[0]] * 3, -1) * 60).save(folder / 'colours.png')
    indexed = pages[0].convert('P')
    indexed.putpalette(bytes(range(48)))
    indexed.save(folder / 'palette.png')
    np.save(folder / 'ids.npy', ids)
    np.savez_compressed(folder / 'prob.npz', prob=np.moveaxis(prob[0], -1, 0))
    with contextlib.suppress(ImportError):
        import nibabel

        for name, voxels in (('ids', ids.T), ('float', ids.T.astype('f4')), ('prob', prob)):
            for ending in ('.nii', '.nii.gz'):
                nibabel.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0])).to_filename(folder / f'{name}{ending}')
        nibabel.Nifti2Image(ids.T, np.eye(4)).to_filename(folder / 'second.nii')
    (folder / 'colours.txt').write_text('# a comment\n0 0 0 road\n60,60,60,ignore\n')
    (folder / 'colours.json').write_text('{"road": [0, 0, 0], "car": [60, 60, 60], "ignore": [1, 2, 3]}')
    maps = folder / 'maps'
    for side, array in (('pred', ids), ('gt', np.roll(ids, 1, 1))):
        (maps / side).mkdir(parents=True)
        for k, page in enumerate(array):
            Image.fromarray(page).save(maps / side / f'{k}.png')
    for ending in ('csv', 'parquet'):
        outputs = ['--state', str(folder / f'{ending}.state.npz'), '--per-image', str(folder / f'table.{ending}')]
        options = ['--num-classes', '4', '--boundary', '--workers', '1', '--quiet', *outputs]
        assert main(['evaluate', str(maps / 'pred'), str(maps / 'gt'), *options]) == 0


def reader_of(name: str) -> Read:
    """How a file of a name is read, to the end."""
    from segparity.audit.table_reading import read_table
    from segparity.evaluate import maps
    from segparity.evaluate.palette import read_palette
    from segparity.evaluate.state_file import read_state

    def labels(path: pathlib.Path) -> object:
        return maps.read_labels(path, fits=fits)

    def coloured(path: pathlib.Path) -> object:
        return maps.read_labels(path, PALETTE, 255, fits=fits)

    def probabilities(path: pathlib.Path) -> object:
        shape = SIDES if path.suffix == '.npz' else SIDES[::-1]
        shape = shape if path.suffix == '.npz' else (SIDES[1], SIDES[0], 3)
        if not maps.holds_probabilities(path):
            return labels(path)
        return maps.most_probable(path, maps.read_probabilities(path, shape, 4), shape)

    from segparity.evaluate.palette import Palette

    PALETTE = Palette(((0, 0, 0, 0), (60, 60, 60, 1), (120, 120, 120, None)), ('road', 'car'))
    if name.startswith('table.'):
        return read_table
    if name.endswith('.state.npz'):
        return read_state
    if name in ('colours.txt', 'colours.json'):
        return read_palette
    if name.startswith('prob'):
        return probabilities
    return coloured if name in ('colours.png', 'palette.png') else labels


def fits(shape: tuple[int, ...]) -> None:
    from segparity.evaluate.maps import MapError

    if np.prod(shape, dtype=float) > LARGEST:
        raise MapError(f'{shape} is too large for a test')


def damaged(chance: random.Random, content: bytes) -> bytes:
    """A file with changed bytes: its own, or those that it has compressed."""
    if chance.random() < 0.5:
        return mutate_bytes(chance, content)
    if content[:2] == b'\x1f\x8b':
        return gzip.compress(mutate_bytes(chance, gzip.decompress(content)), 1)
    if content[:4] == b'PK\x03\x04':
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = chance.choice(list(members))
        members[name] = mutate_bytes(chance, members[name])
        return zipped(members, zipfile.ZIP_DEFLATED)
    if content[:4] == b'\x89PNG':
        return b''.join(chunks(chance, content))
    head = bytearray(content[:400])  # where sizes and types stand
    return mutate_bytes(chance, bytes(head)) + content[400:]


def chunks(chance: random.Random, content: bytes) -> Iterator[bytes]:
    """Of a PNG: one chunk changed, its checksum made good."""
    found, at = [], 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], 'big')
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += size + 12
    changed = chance.randrange(len(found))
    yield content[:8]
    for number, (kind, data) in enumerate(found):
        if number == changed:
            data = (
                zlib.compress(mutate_bytes(chance, zlib.decompress(data)))
                if kind == b'IDAT'
                else mutate_bytes(chance, data)
            )
        yield len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')


class Files:
    """Seeds by name, and what is read of a mutant of one."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as made:
            write_seeds(pathlib.Path(made))
            self.seeds = {
                path.name: path.read_bytes() for path in sorted(pathlib.Path(made).iterdir()) if path.is_file()
            }
        self.readers = {name: reader_of(name) for name in self.seeds}

    def mutant(self, chance: random.Random) -> tuple[str, bytes]:
        name = chance.choice(list(self.seeds))
        return name, damaged(chance, self.seeds[name])
