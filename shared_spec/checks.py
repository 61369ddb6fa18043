"""What a parameter may be: one class per kind of value.

A check freezes what a caller gave into a hashable canonical value (a list becomes a tuple, a dict a tuple of pairs,
``1`` becomes ``1.0`` where a real number is meant) and thaws it again into plain, JSON-able Python. What it refuses it
refuses with ``ValueError``; the spec that owns the parameter turns that into one sentence.
"""

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shared_spec.typing import Granularity


def nearest(word: object, known: Iterable[object]) -> str | None:
    """The known name closest to ``word``, before others one that begins alike, or None; used in every 'did you mean'."""
    word = str(word)
    found = difflib.get_close_matches(word, [str(name) for name in known], n=3, cutoff=0.5)
    return max(found, key=lambda name: name[:3] == word[:3], default=None)


class Check:
    """A kind of value: ``describe()`` says what is allowed, ``freeze`` canonicalises or raises, ``thaw`` undoes it."""

    def describe(self) -> str:
        """What is allowed, in words that follow 'must be'."""
        raise NotImplementedError(type(self).__name__)

    def freeze(self, value: object) -> Any:
        """The canonical value, which freezes to itself; ValueError, TypeError or OverflowError for others."""
        raise NotImplementedError(type(self).__name__)

    def thaw(self, value: Any) -> Any:
        return value

    def hint(self, value: object) -> object:
        """The allowed value nearest to ``value``, or None."""
        return None

    def schema(self) -> dict[str, Any]:
        """What is allowed as JSON Schema (draft 2020-12), of thawed values."""
        raise NotImplementedError(type(self).__name__)


class Real(Check):
    """A finite real number between ``low`` and ``high``, both included unless ``above`` (low) or ``below`` (high) says so."""

    def __init__(
        self, low: float | None = None, high: float | None = None, above: bool = False, below: bool = False
    ) -> None:
        self.low, self.high, self.above, self.below = low, high, above, below

    def describe(self) -> str:
        parts = []
        if self.low is not None:
            parts.append(f'{">" if self.above else ">="} {self.low:g}')
        if self.high is not None:
            parts.append(f'{"<" if self.below else "<="} {self.high:g}')
        return 'a number' + (' ' + ' and '.join(parts) if parts else '')

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {'type': 'number'}
        if self.low is not None:
            found['exclusiveMinimum' if self.above else 'minimum'] = self.low
        if self.high is not None:
            found['exclusiveMaximum' if self.below else 'maximum'] = self.high
        return found

    def freeze(self, value: object) -> float:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
            raise ValueError
        value = float(value)
        if not math.isfinite(value):
            raise ValueError
        if self.low is not None and (value < self.low or (self.above and value == self.low)):
            raise ValueError
        if self.high is not None and (value > self.high or (self.below and value == self.high)):
            raise ValueError
        return value


class Integer(Check):
    """A whole number between ``low`` and ``high``, both included; ``2.0`` is taken as 2."""

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        self.low, self.high = low, high

    def describe(self) -> str:
        if self.low is not None and self.high is not None:
            return f'an integer from {self.low} to {self.high}'
        return 'an integer' + (f' >= {self.low}' if self.low is not None else '')

    def schema(self) -> dict[str, Any]:
        limits = {'minimum': self.low, 'maximum': self.high}
        return {'type': 'integer', **{word: limit for word, limit in limits.items() if limit is not None}}

    def freeze(self, value: Any) -> int:
        # numbers.Real has no __int__ in the stubs
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real) or value != int(value):  # type: ignore[call-overload]
            raise ValueError
        value = int(value)  # type: ignore[call-overload]
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError
        return value


class OddInteger(Integer):
    """An odd whole number from ``low`` on: the side of a window that has a middle."""

    def describe(self) -> str:
        return super().describe().replace('an integer', 'an odd integer')

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), 'not': {'multipleOf': 2}}

    def freeze(self, value: Any) -> int:
        whole = super().freeze(value)
        if whole % 2 == 0:
            raise ValueError
        return whole


class Boolean(Check):
    """True or False, of Python or NumPy; 1 and 0 are refused."""

    def describe(self) -> str:
        return 'True or False'

    def schema(self) -> dict[str, Any]:
        return {'type': 'boolean'}

    def freeze(self, value: object) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError
        return bool(value)


class Choice(Check):
    """One of a few words."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def describe(self) -> str:
        return 'one of ' + ', '.join(repr(v) for v in self.values)

    def schema(self) -> dict[str, Any]:
        return {'enum': list(self.values)}

    def freeze(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.values:
            raise ValueError
        return str(value)

    def hint(self, value: object) -> str | None:
        return nearest(value, self.values) if isinstance(value, str) else None


class Optional(Check):
    """None, or what the inner check allows."""

    def __init__(self, inner: Check) -> None:
        self.inner = inner

    def describe(self) -> str:
        return f'{self.inner.describe()}, or None'

    def schema(self) -> dict[str, Any]:
        return {'anyOf': [self.inner.schema(), {'type': 'null'}]}

    def freeze(self, value: object) -> Any:
        return None if value is None else self.inner.freeze(value)

    def thaw(self, value: Any) -> Any:
        return None if value is None else self.inner.thaw(value)

    def hint(self, value: object) -> object:
        return self.inner.hint(value)


class AnyOf(Check):
    """What any of the inner checks allows; the first that does decides the canonical form."""

    def __init__(self, *inner: Check) -> None:
        self.inner = inner

    def describe(self) -> str:
        return ', or '.join(check.describe() for check in self.inner)

    def schema(self) -> dict[str, Any]:
        return {'anyOf': [check.schema() for check in self.inner]}

    def freeze(self, value: object) -> Any:
        for check in self.inner:
            try:
                return check.freeze(value)
            except (ValueError, TypeError, OverflowError):
                continue
        raise ValueError

    def thaw(self, value: Any) -> Any:
        # freezing is idempotent, so the check that takes the frozen value is the one that made it
        for check in self.inner:
            try:
                check.freeze(value)
            except (ValueError, TypeError, OverflowError):
                continue
            return check.thaw(value)
        return value

    def hint(self, value: object) -> object:
        return next((h for h in (check.hint(value) for check in self.inner) if h), None)


class Each(Check):
    """A list of values of one kind; ``unique`` refuses repeats, ``some_positive`` a list of zeros."""

    def __init__(
        self, inner: Check, words: str = '', at_least: int = 1, unique: bool = False, some_positive: bool = False
    ) -> None:
        self.inner, self.words, self.at_least = inner, words, at_least
        self.unique, self.some_positive = unique, some_positive

    def describe(self) -> str:
        return self.words or f'a list whose entries are {self.inner.describe()}'

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {'type': 'array', 'items': self.inner.schema(), 'minItems': self.at_least}
        if self.unique:
            found['uniqueItems'] = True
        if self.some_positive:
            found['contains'] = {'exclusiveMinimum': 0}
        return found

    def freeze(self, value: object) -> tuple[Any, ...]:
        value = value.tolist() if hasattr(value, 'tolist') else value
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
            raise ValueError
        frozen = tuple(self.inner.freeze(v) for v in value)
        if len(frozen) < self.at_least or (self.unique and len(set(frozen)) != len(frozen)):
            raise ValueError
        if self.some_positive and not any(v > 0 for v in frozen):
            raise ValueError
        return frozen

    def thaw(self, value: Any) -> list[Any]:
        return [self.inner.thaw(v) for v in value]

    def hint(self, value: object) -> object:
        if isinstance(value, (list, tuple)):
            return next((h for v in value if (h := self.inner.hint(v)) and h != v), None)
        return None


class Weights(Check):
    """A word, or a dict from words to weights >= 0 of which one is above 0 (the granularity of a region loss)."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def describe(self) -> str:
        example = dict.fromkeys(self.words[-2:], 0.5)
        return f'one of {", ".join(repr(w) for w in self.words)}, or weights >= 0 such as {example}'

    def schema(self) -> dict[str, Any]:
        weights: dict[str, Any] = {
            'type': 'object',
            'properties': {word: {'type': 'number', 'minimum': 0} for word in self.words},
            'additionalProperties': False,
            'anyOf': [{'properties': {w: {'exclusiveMinimum': 0}}, 'required': [w]} for w in self.words],
        }
        return {'anyOf': [{'enum': list(self.words)}, weights]}

    def freeze(self, value: Any) -> Granularity:
        if isinstance(value, str):
            if value not in self.words:
                raise ValueError
            return str(value)
        pairs = dict(value.items() if isinstance(value, Mapping) else value)
        if not set(pairs) <= set(self.words):
            raise ValueError
        number = Real(low=0)
        frozen = tuple((w, number.freeze(pairs[w])) for w in self.words if w in pairs)
        if not any(weight > 0 for _, weight in frozen):
            raise ValueError
        return frozen

    def thaw(self, value: Any) -> str | dict[str, float]:
        return value if isinstance(value, str) else dict(value)

    def hint(self, value: object) -> str | None:
        keys = [value] if isinstance(value, str) else list(value) if isinstance(value, Mapping) else []
        wrong = [k for k in keys if k not in self.words]
        return nearest(str(wrong[0]).upper(), self.words) if wrong else None


CLASS_WEIGHT = Each(Real(low=0), 'a list of one number >= 0 for each class, one of them above 0', some_positive=True)
CLASSES = AnyOf(Choice('auto', 'present', 'all'), Each(Integer(low=0), 'a list of different class ids', unique=True))
