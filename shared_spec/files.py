"""Files that are written whole or not at all, and what a damaged one says when it is read."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """A temporary path of the same suffix beside ``path``, whose file takes its place in the end.

    Where the block fails, what was at ``path`` stays as it was. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f'.{path.stem}.', suffix=f'.part{path.suffix}', dir=path.parent)
    os.close(handle)
    part = Path(part)
    try:
        yield part
        part.chmod(0o666 & ~_umask())  # as if opened; temporary files are their owner's alone
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def one_sentence(said, kind=ValueError, passing=()):
    """Whatever a reader raises on a damaged file becomes ``kind``: what is ``said``, and the reason, in one line.

    Nobody lists what zipfile, zlib, struct, json, NumPy and Pillow raise: NotImplementedError for a flipped compression
    method, RuntimeError for a flipped mark of encryption, MemoryError for an absurd size. ``passing`` are let through.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        reason = getattr(error, 'strerror', None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise kind(f'{said}: {reason}') from None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
