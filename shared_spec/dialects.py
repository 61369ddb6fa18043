"""How each world spells a spec: the names, the defaults, and the parameters that a configuration states."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from shared_spec.parameters import REQUIRED, SpecError, unknown_parameter


class Dialects:
    """What a spec is to MMSegmentation and to Keras, read from its fields."""

    if TYPE_CHECKING:  # what ``Spec`` has

        def __init__(self, **parameters: Any) -> None: ...

        @classmethod
        def parameters(cls) -> dict[str, dataclasses.Field[Any]]: ...

        def builtin_value(self, name: str) -> Any: ...

    def _written(self, world: str) -> Iterator[tuple[str, dataclasses.Field[Any]]]:
        """The parameters that a configuration of ``world`` states: those off their default, and the ``always`` ones."""
        for name, field in self.parameters().items():
            default = field.metadata['keras_default'] if world == 'keras' else field.default
            if (
                world in field.metadata['always']
                or default is REQUIRED
                or getattr(self, name) != field.metadata['allowed'].freeze(default)
            ):
                yield name, field

    def to_mmseg(self) -> dict[str, Any]:
        """The MMSegmentation config dict; ``ignore_index`` always written out."""
        return {'type': type(self).__name__, **{name: self.builtin_value(name) for name, _ in self._written('mmseg')}}

    @classmethod
    def keras_names(cls) -> dict[str, str]:
        """Keras argument name -> parameter name."""
        return {f.metadata['keras_name'] or name: name for name, f in cls.parameters().items()}

    @classmethod
    def keras_defaults(cls) -> dict[str, Any]:
        """Parameter name -> default of the Keras constructor, of those that have one."""
        defaults = {name: f.metadata['keras_default'] for name, f in cls.parameters().items()}
        return {name: value for name, value in defaults.items() if value is not REQUIRED}

    @classmethod
    def from_keras(cls, arguments: Mapping[str, Any]) -> Self:
        """The spec of a Keras constructor's arguments (``ignore_class`` for ``ignore_index``); Keras' defaults hold."""
        names = cls.keras_names()
        for name in arguments:
            if name not in names:
                raise unknown_parameter(cls.__name__, name, list(names))
        try:
            return cls(**{**cls.keras_defaults(), **{names[k]: v for k, v in arguments.items()}})
        except SpecError as error:
            words: dict[str | None, str] = {name: word for word, name in names.items()}
            raise error.rename(parameter=words.get(error.parameter, error.parameter)) from None

    def to_keras(self) -> dict[str, Any]:
        """The Keras constructor's keyword arguments; ``from_logits`` and ``ignore_class`` always written out."""
        return {f.metadata['keras_name'] or name: self.builtin_value(name) for name, f in self._written('keras')}

    def keras_arguments(self) -> dict[str, Any]:
        """Every argument of the Keras constructor, for ``get_config``."""
        return {f.metadata['keras_name'] or name: self.builtin_value(name) for name, f in self.parameters().items()}
