"""A parameter of a spec: its default, what it allows, what it means; and the sentences that refuse one."""

import dataclasses
import inspect

from shared_spec.checks import nearest
from shared_spec.other_words import translated

REQUIRED = dataclasses.MISSING
_SAME = object()


class SpecError(ValueError):
    """A parameter that a spec refuses: which one, what was given, what is allowed."""


def param(default, allowed, meaning, *, keras_default=_SAME, keras_name=None, always=()):
    """A parameter of a spec.

    ``always`` names the worlds ('mmseg', 'keras') whose configuration writes the parameter even at its default.
    """
    return dataclasses.field(
        default=default,
        metadata=dict(
            allowed=allowed,
            meaning=meaning,
            keras_default=default if keras_default is _SAME else keras_default,
            keras_name=keras_name,
            always=frozenset(always),
        ),
    )


class NamedParameters(type):
    """Metaclass of specs and of the plugins' classes: an unknown parameter name is a SpecError, not a TypeError."""

    def __call__(cls, *args, **kwargs):
        known = [
            p.name
            for p in inspect.signature(cls.__init__).parameters.values()
            if p.name != 'self' and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if args and all(
            p.kind is not p.POSITIONAL_OR_KEYWORD
            for p in inspect.signature(cls.__init__).parameters.values()
            if p.name != 'self'
        ):
            raise SpecError(f'{cls.__name__}: parameters are given by name, got {args[0]!r} without one')
        for name in kwargs:
            if name not in known:
                raise SpecError(unknown_parameter(cls.__name__, name, known))
        return super().__call__(*args, **kwargs)


def unknown_parameter(owner, name, known):
    """The sentence for a parameter that does not exist; another library's word is translated."""
    hint = nearest(name, known)
    meant = translated(name, known) or (f'did you mean {hint!r}?' if hint else f'it takes {", ".join(known) or "none"}')
    return f'{owner}: unknown parameter {name!r}, {meant}'
