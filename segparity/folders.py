"""A folder that a command makes and comes back to: marked as its own, and locked while it works there."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from segparity.demo.settings import write_json

LOCK = '.lock'


@contextlib.contextmanager
def marked_folder(
    out: Path, shown: Path | str, marker: str, owner: str, error: Callable[[str], Exception]
) -> Iterator[None]:
    """The folder, new or an earlier one of ``owner`` (the demo, the study), locked against a second while this one runs.

    ``shown``: the folder as the user wrote it; ``marker``: the file that marks it. ``error`` is raised where the folder
    is a file, holds other files, or is in use.
    """
    if out.exists() and not out.is_dir():
        raise error(f'{shown} is a file: name a folder with --out')
    if out.is_dir() and not (out / marker).exists():
        if any(not path.name.startswith((marker, LOCK)) for path in out.iterdir()):
            raise error(f'{shown} holds other files: name an empty or a new folder with --out')
    out.mkdir(parents=True, exist_ok=True)
    with open(out / LOCK, 'w') as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows has no fcntl: there the folder is not locked
            pass
        except OSError:
            raise error(
                f'{shown} is in use by another {owner}: wait for it, or name another folder with --out'
            ) from None
        if not (out / marker).exists():
            write_json(out / marker, {})
        for part in out.rglob('*.part*'):  # what a killed run was about to write
            if part.suffix == '.part' or part.name.startswith('.'):
                clear(out, part.relative_to(out))
        yield


def clear(out: Path, *names: str | Path) -> None:
    """Remove what the owner itself has made."""
    for name in names:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
