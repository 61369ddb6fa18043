"""Files that are written whole or not at all, and what a damaged one says when it is read."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from shared_spec.typing import AnyPath

LONGEST = 300  # characters of what another program says: a damaged file may have its bytes in there


@contextlib.contextmanager
def replacing(path: AnyPath) -> Iterator[Path]:
    """A temporary path of the same suffix beside ``path``, whose file takes its place in the end.

    Where the block fails, what was at ``path`` stays as it was. Missing folders are made. A link stays one: what it
    leads to is replaced. A device or a pipe is no file to be replaced: it is written into.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        with written_into(path) as part:
            yield part
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f'.{path.stem[:40]}.', suffix=f'.part{path.suffix}', dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())  # as if opened; temporary files are their owner's alone
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def written_into(path: Path) -> Iterator[Path]:
    """A temporary path, whose file is copied to ``path`` in the end."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, 'part').with_suffix(path.suffix)
        yield part
        with open(part, 'rb') as source, open(path, 'wb') as sink:
            shutil.copyfileobj(source, sink)


@contextlib.contextmanager
def one_sentence(
    said: str,
    kind: Callable[[str], Exception] = ValueError,
    passing: type[BaseException] | tuple[type[BaseException], ...] = (),
) -> Iterator[None]:
    """Whatever a reader raises on a damaged file becomes ``kind``: what is ``said``, and the reason, in one line.

    Nobody lists what zipfile, zlib, struct, json, NumPy and Pillow raise: NotImplementedError for a flipped compression
    method, RuntimeError for a flipped mark of encryption, MemoryError for an absurd size. ``passing`` are let through.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        raise kind(f'{said}: {reason(error)}') from None


def reason(error: BaseException) -> str:
    """What an error says to somebody who knows neither Python nor our classes, in one line."""
    if isinstance(error, MemoryError):
        return 'there is not enough memory'
    if isinstance(error, (LookupError, TypeError, AttributeError)) or not str(error).strip():
        return 'it is damaged'  # these speak of the code that read it
    said = getattr(error, 'strerror', None) or without_owner(str(error).strip().splitlines()[0])
    return said if len(said) <= LONGEST else f'{said[:LONGEST]} ...'


def without_owner(sentence: str) -> str:
    """'BoundaryState: counts must ...' -> 'counts must ...'; the names of functions alike."""
    return re.sub(r'^([A-Z][a-z]+([A-Z]\w*)*|[a-z]+(_[a-z]+)+): ', '', sentence)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
