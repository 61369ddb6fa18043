"""segparity: the same segmentation losses and metrics in MMSegmentation and Keras, checked against one spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from segparity.parity import Row

__version__ = '0.1.0'


def check_parity(
    names: Iterable[str] | None = None, data: Mapping[str, Any] | None = None, **options: Any
) -> list[Row]:
    """Values and gradients of every installed implementation beside the reference; see ``segparity.parity.check``."""
    from segparity.parity import check_parity

    return check_parity(names, data, **options)


def __getattr__(name: str) -> Any:
    """``segparity.recognise(function)``: a module that can be called, loaded at its first use."""
    if name == 'recognise':
        import importlib

        return importlib.import_module('segparity.recognise')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


__all__ = ['__version__', 'check_parity']
