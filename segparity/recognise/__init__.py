"""Which of our losses a function of others is. The module itself can be called: ``segparity.recognise(function)``."""

import sys
from types import ModuleType
from typing import Any

from segparity.loading import load
from segparity.recognise.recognition import Answer, Recognition, calling_convention, recognise


class _Callable(ModuleType):
    """A module that is the function of its name."""

    def __call__(self, *arguments: Any, **options: Any) -> Recognition:
        return recognise(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
__all__ = ['Answer', 'Recognition', 'calling_convention', 'load', 'recognise']
