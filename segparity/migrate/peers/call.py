"""One call of a peer's loss or metric as a row reads it: its arguments by name, and what could not be taken."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from segparity.migrate.items import Context, Item, Reading, Unread, Verdict
from shared_spec import LOSSES, METRICS
from shared_spec.spec import Spec

REQUIRED: Any = '(required)'


class Call:
    """The arguments of an item against a signature, with defaults filled in.

    ``differences`` collects a sentence for each argument that was not read or that the peer does not have; a reading of
    such a call is 'nearest' at best.
    """

    def __init__(self, item: Item, signature: Mapping[str, Any], context: Context, compat: bool = False) -> None:
        self.item, self.context, self.compat = item, context, compat
        self.differences: list[str] = []
        self.given: dict[str, Any] = {}
        names = list(signature)
        for key, value in item.arguments.items():
            name = names[int(key)] if key.isdecimal() and int(key) < len(names) else key
            if name not in signature:
                what = f'a positional argument {int(key) + 1}' if key.isdecimal() else f'an argument {name}'
                self.differences.append(f'{item.name} has no such thing as {what}: it is left out')
            else:
                self.given[name] = value
        self.values = {**signature, **self.given}
        self._told: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """The value of an argument; its default, with a sentence, where the source does not show it."""
        value = self.values[name]
        hidden = self._unread(value)
        if hidden is None:
            return value
        if name not in self._told:
            self._told.add(name)
            text = f' {hidden.text}' if hidden.text else ''
            self.differences.append(f'{name}{text} was not read: {hidden.reason}')
        return None

    def _unread(self, value: Any) -> Unread | None:
        if isinstance(value, Unread):
            return value
        if isinstance(value, Item):
            value = value.arguments
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
        return next((found for part in parts if (found := self._unread(part))), None)

    def number(self, name: str, default: float) -> float:
        """A finite number; ``default`` with a sentence where it is none."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            if value is not None or name not in self._told:
                self.differences.append(f'{name} must be a number, got {value!r}: {default!r} is taken')
            return default
        return float(value)

    def truth(self, name: str, default: bool = False) -> bool:
        """A value as True or False; ``default`` where it was not read."""
        value = self[name]
        return default if value is None and name in self._told else bool(value)

    def weights(self, name: str, length: int | None = None) -> list[float] | None:
        """A list of weights >= 0, None where there is none; with a sentence where it cannot be taken."""
        value = self[name]
        if value is None:
            return None
        if isinstance(value, str):
            self.differences.append(f'{name} are in the file {value!r}, which was not read: give the numbers')
            return None
        plain = isinstance(value, (list, tuple)) and all(
            isinstance(w, (int, float)) and not isinstance(w, bool) and math.isfinite(w) and w >= 0 for w in value
        )
        if not plain or not any(value):
            self.differences.append(
                f'{name} must be a list of numbers >= 0, not all of them 0, got {value!r}: left out'
            )
            return None
        if length is not None and len(value) != length:
            self.differences.append(f'{name} has {len(value)} numbers for {length} classes: left out')
            return None
        return [float(w) for w in value]

    @property
    def channels(self) -> int | None:
        """Channels of the prediction, as many as classes where only those show."""
        return self.context.channels or self.context.num_classes

    @property
    def one(self) -> bool:
        """Whether the prediction has one channel."""
        return self.channels == 1

    def reading(
        self,
        verdict: Verdict,
        name: str | None = None,
        *differences: str,
        bug: str = '',
        offset: float = 0.0,
        results: Sequence[str] = (),
        **parameters: Any,
    ) -> Reading:
        """A reading with our loss or metric ``name``; what was not read makes it 'nearest' at best.

        Raises SpecError where ours refuses the parameters.
        """
        spec: Spec | None = None
        if name is not None:
            known: dict[str, Any] = {**LOSSES, **METRICS}
            spec = known[name](**parameters)
        if self.differences and verdict in ('exact', 'float32'):
            verdict = 'nearest'
        told = tuple(dict.fromkeys((*differences, *self.differences)))
        return Reading(verdict, spec, offset=offset, differences=told, bug=bug, results=tuple(results))

    def none(self, *differences: str, bug: str = '') -> Reading:
        """A reading without equivalent, whatever the arguments are."""
        return Reading('none', None, differences=differences, bug=bug)
