"""Files of a source as bytes: nothing but regular files, and only so much of them."""

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from segparity.migrate.reading.text import shorten
from shared_spec.files import reason
from shared_spec.typing import AnyPath

DIRECTORY = 1 << 20  # of a ZIP: its list of members; Keras writes three to five


class Told(ValueError):
    """A sentence that stands as it is."""


def content(path: AnyPath, most: int) -> bytes:
    """The bytes of a file; ValueError for a folder, a pipe, a device, a missing file and one of more than ``most`` bytes."""
    with regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f'{path} has more than {most >> 20} MiB, which no source of its kind has')
    return data


def regular(path: AnyPath) -> BinaryIO:
    """A regular file, opened for reading; a pipe is not waited for."""
    try:
        file = open(path, 'rb', opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except IsADirectoryError:
        raise Told(f'{path} is a folder, {_instead(Path(path))}') from None
    except OSError as error:
        raise Told(f'{path} cannot be read: {error.strerror}') from None
    except ValueError:
        raise Told(f'{str(path)!r} is no name of a file') from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Told(f'{path} is no regular file, expected a configuration, a script, a notebook or a model')
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))


def _instead(path: Path) -> str:
    if (path / 'saved_model.pb').is_file() or (path / 'keras_metadata.pb').is_file():
        return (
            "a SavedModel, which does not hold the losses in words: load it and save it with model.save('model.keras')"
        )
    return 'expected a configuration (.py, .json, .yaml), a training script (.py, .ipynb) or a .keras file'


class Bounded(io.RawIOBase):
    """A file that refuses to give much at once: what keeps a forged list of members out of memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int | None = -1) -> bytes:
        size = DIRECTORY + 1 if size is None or size < 0 else size
        if size > DIRECTORY + 1:
            raise ValueError('its list of members is too long')
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def members(path: AnyPath, wanted: dict[str, int]) -> dict[str, bytes]:
    """Members of a ZIP by their name, at most so many bytes of each; those it lacks are left out, no other is unpacked.

    Raises ValueError for what is no ZIP or damaged, an encrypted member, one that unpacks to more, one that is there
    twice, and for names that lead out of the archive.
    """
    try:
        with regular(path) as file:
            return _members(path, file, wanted)
    except Told:
        raise
    except Exception as error:  # whatever zipfile and zlib raise on damaged bytes
        raise ValueError(f'{path} is no .keras file or damaged: {shorten(reason(error))}') from None


def _members(path: AnyPath, file: BinaryIO, wanted: dict[str, int]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    archive: Any = zipfile.ZipFile(Bounded(file))  # type: ignore[arg-type]
    names = [member.filename for member in archive.infolist()]
    for name in names:
        if name.startswith(('/', '\\')) or name[1:2] == ':' or '..' in name.replace('\\', '/').split('/'):
            raise Told(f'{path} is not read: the name of its member {shorten(name)!r} leads out of the archive')
    for name, most in wanted.items():
        if names.count(name) > 1:
            raise Told(f'{path} is not read: it has {name} {names.count(name)} times, expected once')
        if name in names:
            found[name] = _unpacked(path, archive, name, most)
    return found


def _unpacked(path: AnyPath, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).flag_bits & 1:
        raise Told(f'{path} is not read: its {name} is encrypted, expected what model.save writes')
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise Told(f'{path} is not read: its {name} unpacks to more than {most >> 20} MiB')
    return data
