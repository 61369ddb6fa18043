"""A class of MMSegmentation is mended when it is made, so that nothing has to be imported for it."""

import sys
from collections.abc import Callable
from typing import Any


def patch_when_defined(base: Any, module: str, name: str, mend: Callable[[Any], None]) -> None:
    """Hands the class ``name`` of ``module``, a subclass of ``base``, to ``mend``: now if it is there, else once it is."""
    if module in sys.modules:
        mend(getattr(sys.modules[module], name))
        return

    def init_subclass(cls: type, **kwargs: Any) -> None:
        super(base, cls).__init_subclass__(**kwargs)
        if (cls.__module__, cls.__name__) == (module, name):
            mend(cls)

    base.__init_subclass__ = classmethod(init_subclass)
