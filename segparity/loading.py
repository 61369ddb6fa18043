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


def load(target: str) -> Any:
    """The object that ``target`` names: ``package.module:name`` or ``path/file.py:name``; names may have dots.

    Modules of the current folder are found. What the module prints goes to the standard error. ValueError, in one sentence, where
    there is no such module or name, or where running the module fails.
    """
    place, colon, name = target.rpartition(':')
    if not colon or not place or not name:
        raise ValueError(f'expected MODULE:FUNCTION or FILE.py:FUNCTION, got {target!r}')
    with contextlib.redirect_stdout(sys.stderr):
        module = _file(place) if place.endswith('.py') or os.sep in place else _module(place)
    found: Any = module
    for part in name.split('.'):
        if not hasattr(found, part):
            raise ValueError(f'{place} has no {name!r}{_others(found, part)}')
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f'{target} is no function but {type(found).__name__}: it cannot be called')
    return found


def load_function(target: str) -> Callable[..., Any]:
    """What ``target`` names, ready to be called on labels and prediction; ValueError in one sentence where it cannot be."""
    try:
        function, _ = function_of(load(target))
    except TypeError as error:
        raise ValueError(str(error)) from None
    return function


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split('.')):
        raise ValueError(f'{name!r} is no module: expected MODULE:FUNCTION such as losses:dice, or FILE.py:FUNCTION')
    here = os.getcwd()
    if here not in sys.path and '' not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + '.')):
            near = nearest(name, sorted(path[:-3] for path in os.listdir() if path.endswith('.py')))
            hint = f', did you mean {near}?' if near else ''
            raise ValueError(f'there is no module {name!r} in this folder or among what is installed{hint}') from None
        raise ValueError(f'{name} cannot be imported: it needs {error.name!r}, which is not installed') from None
    except (Exception, SystemExit) as error:
        raise ValueError(f'{name} cannot be imported: {short(error)}') from None


def _file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise ValueError(f'there is no file {path!r}')
    folder = os.path.dirname(os.path.abspath(path))
    name = os.path.splitext(os.path.basename(path))[0]
    if folder not in sys.path:
        sys.path.insert(0, folder)  # a script finds its neighbours
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f'{path!r} is no Python file: name it FILE.py:FUNCTION')
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)  # half a module would answer the next import of its name
        if isinstance(error, ModuleNotFoundError):
            raise ValueError(f'{path} cannot be imported: it needs {error.name!r}, which is not installed') from None
        raise ValueError(f'{path} cannot be imported: {short(error)}') from None
    finally:
        if before is not None:
            sys.modules[name] = before  # a file named like a module that is in use, such as random.py
    return module


def _others(owner: Any, name: str) -> str:
    """The nearest names, or those that there are."""
    known = (
        [k for k, v in vars(owner).items() if not k.startswith('_') and callable(v)]
        if hasattr(owner, '__dict__')
        else []
    )
    hint = nearest(name, known)
    own = [k for k in known if getattr(getattr(owner, k), '__module__', None) == getattr(owner, '__name__', '')]
    if hint:
        return f', did you mean {hint!r}?'
    return f'; there are {", ".join(own[:8])}' if own else ''


def short(error: BaseException, limit: int = 160) -> str:
    """An error as one line of its type and the beginning of its message."""
    text = ' '.join(str(error).split())
    text = text if len(text) <= limit else text[: limit - 3] + '...'
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def function_of(found: Any) -> tuple[Any, str]:
    """(what takes two tensors, how it was made): a class is constructed and a maker called, without arguments.

    TypeError, in one sentence, where that needs arguments.
    """
    name = getattr(found, '__name__', type(found).__name__)
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found) or inspect.isgeneratorfunction(found):
        raise TypeError(f'{name} is an async function or a generator: a loss returns a number')
    if inspect.isclass(found):
        try:
            made = found()
        except Exception as error:
            raise TypeError(
                f'the class {name} needs arguments ({short(error)}): name an instance, such as loss = {name}(...)'
            ) from None
        if not callable(made):
            raise TypeError(f'objects of the class {name} cannot be called')
        return made, f'{name}()'
    needed = required(found)
    if needed == 0:
        made = None
        with contextlib.suppress(Exception):
            made = found()
        if callable(made):
            return made, f'{name}()'
    if needed == 1:
        raise TypeError(
            f'{name} takes one argument, a loss takes two; of a function that makes losses name what it made'
        )
    if needed is not None and needed > 2:
        raise TypeError(f'{name} needs {needed} arguments, a loss takes labels and prediction: bind the others first')
    return found, ''


def parameters(function: Any) -> list[inspect.Parameter]:
    """The positional parameters of what a call reaches; [] where Python cannot tell."""
    for inner in (getattr(function, 'forward', None), getattr(function, 'call', None), function):
        if inner is None or (inner is not function and inspect.isfunction(function)):
            continue
        with contextlib.suppress(ValueError, TypeError):
            found = [
                p for p in inspect.signature(inner).parameters.values()
                if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]  # fmt: skip
            if found:
                return found
    return []


def required(function: Any) -> int | None:
    """How many arguments a call needs at least; None where Python cannot tell, or where any number is taken."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    if any(p.kind == p.VAR_POSITIONAL for p in found):
        return None
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in found)
