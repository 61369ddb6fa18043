"""``MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` becomes the function. Its module is run, for the user named it."""

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from shared_spec.checks import nearest

WANTED = 'MODULE:FUNCTION or FILE.py:FUNCTION'


def load_function(target: str) -> Callable[..., Any]:
    """What ``target`` names; a class that needs no argument is an object of it. Modules of the current folder are found.

    What the module prints goes to the standard error. ValueError in one sentence where it is not found or fails.
    """
    place, _, name = target.rpartition(':')
    if not place or not name:
        raise ValueError(f'expected {WANTED}, got {target!r}')
    with contextlib.redirect_stdout(sys.stderr):
        module = _of_file(place) if place.endswith('.py') else _of_name(place)
    found: Any = module
    for part in name.split('.'):
        if not hasattr(found, part):
            raise ValueError(f'{place} has no {part!r}{_others(found, part)}')
        found = getattr(found, part)
    if inspect.isclass(found):
        try:
            found = found()
        except TypeError as error:
            raise ValueError(f'{target} is a class that needs arguments ({error}): name an object of it') from None
    if not callable(found):
        raise ValueError(f'{target} is {type(found).__name__}, expected a function of labels and predictions')
    return found


def _of_name(name: str) -> ModuleType:
    if not {'', os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f'{name}.'.startswith(f'{error.name}.'):
            here = sorted(path[:-3] for path in os.listdir() if path.endswith('.py'))
            hint = nearest(name, here)
            advice = f', did you mean {hint}?' if hint else ''
            raise ValueError(f'no module {name!r} in this folder or among what is installed{advice}') from None
        raise ValueError(f'{name} needs {error.name}, which is not installed') from None
    except (Exception, SystemExit) as error:
        raise ValueError(f'{name} could not be imported: {_said(error)}') from None


def _of_file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise ValueError(f'{path} is no file')
    folder, name = os.path.dirname(os.path.abspath(path)), os.path.basename(path)[:-3]
    if folder not in sys.path:
        sys.path.insert(0, folder)  # where its neighbours are
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f'{path} is no file of Python')
    module = importlib.util.module_from_spec(spec)
    earlier = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, ModuleNotFoundError):
            raise ValueError(f'{path} needs {error.name}, which is not installed') from None
        raise ValueError(f'{path} could not be run: {_said(error)}') from None
    finally:
        if earlier is not None:
            sys.modules[name] = earlier  # a file may have the name of a module that is in use
    return module


def _others(owner: Any, name: str) -> str:
    known = [key for key, value in vars(owner).items() if callable(value) and not key.startswith('_')]
    hint = nearest(name, known)
    return f', did you mean {hint!r}?' if hint else ''


def _said(error: BaseException) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
