"""What a command writes may be nothing that it reads, and no two of its files the same."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path


def check_writable(outputs: Mapping[str, Path | None]) -> None:
    """Makes the folders of outputs, option -> path or None; OSError where one could not be written."""
    for option, path in files(outputs).items():
        if path.is_dir():
            raise IsADirectoryError(f'{option} {path} is a folder, expected the name of a file')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(f'{option} {path} cannot be written: {error.filename} is a file') from None
        except OSError as error:
            raise OSError(f'{option} {path} cannot be written: {error.strerror}') from None
        is_device = path.exists() and not path.is_file()
        changed = (
            path if is_device else Path(os.path.realpath(path)).parent
        )  # a file is replaced, a device written into
        if not os.access(changed, os.W_OK):
            raise PermissionError(f'{option} {path} cannot be written: no permission in {changed}')


def files(outputs: Mapping[str, Path | None]) -> dict[str, Path]:
    return {option: path for option, path in outputs.items() if path is not None and str(path) != '-'}


def refuse_clashes(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """ValueError where an output would replace an input or another output."""
    outputs = files(outputs)
    taken: dict[str, str] = {}
    for option, path in outputs.items():
        first = taken.setdefault(os.path.realpath(path), option)
        if first != option:
            raise ValueError(f'{first} and {option} must be two files, got {path} for both')
    there = {identity(path): (option, path) for option, path in outputs.items() if os.path.isfile(path)}
    for source in inputs if there else ():
        if source is not None and os.path.exists(source) and identity(source) in there:
            option, output = there[identity(source)]
            raise ValueError(f'{option} must be no file that is read, got {output}')


def identity(path: str | Path) -> tuple[int, int]:
    """The same for every name of a file."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
