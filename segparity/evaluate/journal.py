"""What a run has done so far, so that the same command goes on after a kill.

A file of records, each a length, a checksum and that many bytes: first one that says what the run counts, then one for
each image, with the size and time of both files. Nothing in it is a pickle, and what lies behind the first damaged
record (a torn last one, after a kill) is cut off.
"""

import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from segparity.evaluate.pairs import Pair
from shared_spec.files import one_sentence

HEAD = struct.Struct('<4sII')  # mark, length, checksum
MARK = b'SPJ1'
Stamp = list[list[str | int | None]]


class Journal:
    """The journal of a run at ``path``; ``key`` says what is counted. Opening it reads what is done.

    Raises ValueError where the file is no journal, is that of another run, or is in use.
    """

    def __init__(self, path: str | Path, key: str, fresh: bool = False) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, 'a+b')  # noqa: SIM115  until close
        try:
            lock(self._file, self.path)
            if fresh:
                self._file.truncate(0)
            self._rows = self._read({'format': 1, 'key': key})
        except BaseException:
            self._file.close()
            raise

    def _read(self, head: dict[str, Any]) -> dict[str, tuple[Stamp, dict[str, np.ndarray]]]:
        foreign = f'{self.path} is no journal of segparity evaluate, and is not overwritten'
        self._file.seek(0)
        size, end, rows = os.fstat(self._file.fileno()).st_size, 0, {}
        for number, (payload, after) in enumerate(records(self._file, size)):
            with one_sentence(foreign):
                found = unpack(payload) if number else json.loads(payload)
            if number:
                rows[found[0]] = found[1:]
            elif found != head:
                raise ValueError(
                    f'{self.path} holds what an unfinished run with other settings has done: --fresh forgets it, '
                    'another --state keeps it'
                )
            end = after
        if end == 0 and size and not is_torn_head(self._file):
            raise ValueError(foreign)
        self._file.truncate(end)
        if end == 0:
            self._append(json.dumps(head).encode())
        return rows

    def finished_row(self, pair: Pair) -> dict[str, np.ndarray] | None:
        """The row of a pair that an earlier run has done and whose files are as they were, or None."""
        found = self._rows.get(pair.image)
        return found[1] if found and found[0] == stamp_of(pair) else None

    def add(self, pair: Pair, stamp: Stamp, row: dict[str, np.ndarray]) -> None:
        """Keeps the row of a pair; ``stamp`` was taken before its files were read."""
        self._append(pack(pair.image, stamp, row))

    def _append(self, payload: bytes) -> None:
        self._file.write(HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload)
        self._file.flush()

    def close(self) -> None:
        """The file stays, for the next run to go on from."""
        self._file.close()

    def remove(self) -> None:
        """After a complete run."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def records(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """(payload, offset behind it) of every record up to the first that is damaged."""
    while True:
        head = stream.read(HEAD.size)
        if len(head) < HEAD.size:
            return
        mark, length, checksum = HEAD.unpack(head)
        if mark != MARK or length > size - stream.tell():
            return
        payload = stream.read(length)
        if zlib.crc32(payload) != checksum:
            return
        yield payload, stream.tell()


def is_torn_head(stream: BinaryIO) -> bool:
    """Whether a file without one whole record is the beginning of a journal."""
    stream.seek(0)
    return MARK.startswith(stream.read(len(MARK))[: len(MARK)])


def pack(image: str, stamp: Stamp, row: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    stream.write(json.dumps([image, stamp, list(row)]).encode() + b'\n')
    for array in row.values():
        np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
    return zlib.compress(stream.getvalue(), 1)


def unpack(payload: bytes) -> tuple[str, Stamp, dict[str, np.ndarray]]:
    stream = io.BytesIO(zlib.decompress(payload))
    image, stamp, names = json.loads(stream.readline())
    return image, stamp, {name: np.lib.format.read_array(stream, allow_pickle=False) for name in names}


def stamp_of(pair: Pair) -> Stamp:
    """Paths, sizes and times of both files of a pair; None for a file that is not there."""
    return [[path, *size_and_time(path)] for path in (pair.pred, pair.target)]


def size_and_time(path: str) -> tuple[int, int] | tuple[None, None]:
    try:
        found = os.stat(path)
    except OSError:
        return None, None
    return found.st_size, found.st_mtime_ns


def lock(stream: BinaryIO, path: Path) -> None:
    """Refuses a journal that another run is writing. Where the system has no such locks, does nothing."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f'another run is writing {path}') from None
    except OSError:  # a file system without locks
        return


def cache_path(key: str) -> Path:
    """Where the journal of a run without a state file lies."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'segparity' / f'evaluate-{key[:32]}.journal'
