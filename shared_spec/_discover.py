"""Imports every module below a package, so that adding a file is all that adding a loss or metric takes."""

import importlib
import pkgutil
from types import ModuleType


def import_all(package: ModuleType) -> None:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        importlib.import_module(found.name)
