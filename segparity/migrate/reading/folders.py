"""Which files a configuration may name, and where those of MMSegmentation are.

A configuration may name files of its project, of the installed MMSegmentation and of folders that the user names. Its
project is the nearest folder above it that holds .git, setup.py, setup.cfg, pyproject.toml or a folder configs; without
one the nearest that holds a folder _base_; without that its own. Links are followed before a file is judged, except by the name of the configuration itself.
"""

import importlib.util
import os
from collections.abc import Sequence

MARKS = ('.git', 'setup.py', 'setup.cfg', 'pyproject.toml', 'configs')
SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def project_of(path: str) -> str:
    """The folder of the project in which a file stands; the root of the file system is none."""
    own = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    above = list(_upwards(own))
    for marks in (MARKS, ('_base_',)):
        for folder in above:
            if any(os.path.exists(os.path.join(folder, mark)) for mark in marks):
                return folder
    return own


def _upwards(folder: str) -> Sequence[str]:
    found = []
    while os.path.dirname(folder) != folder:
        found.append(folder)
        folder = os.path.dirname(folder)
    return found


def installed_mmseg() -> str | None:
    """The folder of the installed package mmseg, found without importing it; None where there is none."""
    try:
        spec = importlib.util.find_spec('mmseg')
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return os.path.realpath(next(iter(spec.submodule_search_locations)))


def configs_of(package: str) -> str | None:
    """The folder with the configurations of a package mmseg, as installed or in a checkout."""
    for folder in (os.path.join(package, '.mim', 'configs'), os.path.join(os.path.dirname(package), 'configs')):
        if os.path.isdir(os.path.join(folder, '_base_')):
            return os.path.realpath(folder)
    return None


def within(path: str, folders: Sequence[str]) -> bool:
    """Whether a path, links followed, is in one of the folders."""
    real = os.path.realpath(path)
    return any(os.path.commonpath((real, folder)) == folder for folder in folders if _same_drive(real, folder))


def _same_drive(path: str, folder: str) -> bool:
    return os.path.splitdrive(path)[0] == os.path.splitdrive(folder)[0]
