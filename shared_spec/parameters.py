"""A parameter of a spec: its default, what it allows, what it means; and the sentences that refuse one."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from shared_spec.checks import Check, nearest
from shared_spec.other_words import explain_parameter, explain_value

F = TypeVar('F', bound=Callable[..., Any])
REQUIRED = dataclasses.MISSING
_SAME = object()


class SpecError(ValueError):
    """What a spec refuses: whose parameter (``owner``), which (``parameter``), what was ``given``, what is ``allowed``.

    Each is an attribute, None where there is none. The sentence is ``owner: parameter rule``, made of them last, so that
    who knows owner or parameter under another name asks for ``rename``.
    """

    def __init__(
        self,
        rule: str | None = None,
        *,
        owner: str | None = None,
        parameter: str | None = None,
        given: object = None,
        allowed: str | Sequence[str] | None = None,
        hint: str = '',
    ) -> None:
        self.rule, self.owner, self.parameter = rule, owner, parameter
        self.given, self.allowed, self.hint = given, allowed, hint
        said = f'must be {allowed}, got {given!r}{hint}' if rule is None else rule
        said = said if parameter is None else f'{parameter} {said}'
        super().__init__(said if owner is None else f'{owner}: {said}')

    def rename(self, **names: str | None) -> 'SpecError':
        """The same of another ``owner`` or ``parameter``."""
        kept = {name: getattr(self, name) for name in ('rule', 'owner', 'parameter', 'given', 'allowed', 'hint')}
        return SpecError(**{**kept, **names})


def check_parameter(
    owner: str, name: str, check: Check, value: object, *, allowed: str | None = None, hints: bool = False
) -> Any:
    """The canonical value of a parameter, or the SpecError that says what is allowed, and with ``hints`` what may be meant.

    ``allowed`` says it in other words than the check's. What a part of the value refuses keeps its own sentence.
    """
    try:
        return check.freeze(value)
    except SpecError as error:
        raise error.rename(owner=error.owner or owner) from None
    except (ValueError, TypeError, OverflowError, KeyError):
        hint = suggested(name, check, value) if hints else ''
        allowed = check.describe() if allowed is None else allowed
        raise SpecError(owner=owner, parameter=name, given=value, allowed=allowed, hint=hint) from None


def suggested(name: str, check: Check, value: object) -> str:
    """The end of the sentence that refuses a value: what is meant, where that can be guessed."""
    meant, near = explain_value(name, value), check.hint(value)
    return f'; {meant}' if meant else f', did you mean {near!r}?' if near else ''


def param(
    default: object,
    allowed: Check,
    meaning: str,
    *,
    keras_default: object = _SAME,
    keras_name: str | None = None,
    always: Iterable[str] = (),
) -> Any:
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
    """Metaclass of specs and of the plugins' classes: an unknown or missing parameter is a SpecError, not a TypeError."""

    @property
    def __signature__(cls: type[Any]) -> inspect.Signature:
        """That of the constructor, for ``help`` and editors, which would see the one below."""
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        return inspect.Signature(parameters)

    def __call__(cls: type[Any], *args: Any, **kwargs: Any) -> Any:
        known, by_position, anything = accepted(cls)
        if args and not by_position:
            raise SpecError(f'parameters are given by name, got {args[0]!r} without one', owner=cls.__name__)
        for name in () if anything else kwargs:
            if name not in known:
                raise unknown_parameter(cls.__name__, name, known)
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        check_all_given(cls.__name__, parameters, args, kwargs)
        return super().__call__(*args, **kwargs)


def accepted(cls: type) -> tuple[list[str], bool, bool]:
    """What a constructor takes: names, whether anything without a name, and whether any name at all.

    A subclass that hands on ``*args`` or ``**kwargs`` takes what the constructor that it overrides does.
    """
    known: list[str] = []
    by_position, hands_on = False, True
    for owner in cls.__mro__:
        if hands_on and '__init__' in vars(owner) and owner is not object:
            _, *parameters = inspect.signature(vars(owner)['__init__']).parameters.values()
            known += [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
            by_position |= any(p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
            hands_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return list(dict.fromkeys(known)), by_position, hands_on


def check_all_given(
    owner: str, parameters: Sequence[inspect.Parameter], args: Sequence[object], kwargs: Mapping[str, object]
) -> None:
    """SpecError for the first parameter without a default that has no value."""
    places = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = {*places[: len(args)], *kwargs}
    for p in parameters:
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in given:
            raise SpecError('must be given', owner=owner, parameter=p.name)


def name_parameters(owner: str) -> Callable[[F], F]:
    """For a function that is registered as ``owner``: a name that it does not take, or lacks, is one sentence."""

    def of(function: F) -> F:
        parameters = inspect.signature(function).parameters

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in parameters:
                    raise unknown_parameter(owner, name, list(parameters))
            check_all_given(owner, list(parameters.values()), args, kwargs)
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    return of


def unknown_parameter(owner: str, name: str, known: Sequence[str]) -> SpecError:
    """The SpecError of a parameter that does not exist; another library's word is translated."""
    hint = nearest(name, known)
    meant = explain_parameter(name, known) or (
        f'did you mean {hint!r}?' if hint else f'it takes {", ".join(known) or "none"}'
    )
    return SpecError(f'unknown parameter {name!r}, {meant}', owner=owner, given=name, allowed=known)
