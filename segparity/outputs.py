"""What a command writes may be nothing that it reads, and no two of its files the same."""

import os
from pathlib import Path


def check_writable(outputs):
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


def files(outputs):
    return {option: path for option, path in outputs.items() if path is not None and str(path) != '-'}


def refuse_clashes(outputs, inputs):
    """ValueError where an output would replace an input or another output."""
    outputs = files(outputs)
    taken = {}
    for option, path in outputs.items():
        first = taken.setdefault(os.path.realpath(path), option)
        if first != option:
            raise ValueError(f'{first} and {option} must be two files, got {path} for both')
    there = {identity(path): (option, path) for option, path in outputs.items() if os.path.isfile(path)}
    for path in inputs if there else ():
        if path is not None and os.path.exists(path) and identity(path) in there:
            option, output = there[identity(path)]
            raise ValueError(f'{option} must be no file that is read, got {output}')


def identity(path):
    """The same for every name of a file."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
