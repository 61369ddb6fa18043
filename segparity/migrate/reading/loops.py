"""The losses that a loop of a script's own adds up, from the value of which it takes a gradient."""

import dataclasses
from collections.abc import Callable
from typing import Any

from segparity.migrate.items import Item, Place, Unread
from segparity.migrate.reading.keras_compile import times
from segparity.migrate.reading.own_losses import is_number
from segparity.migrate.reading.script_calls import last_name
from segparity.migrate.reading.values import Called

MEANS = frozenset('reduce_mean mean compute_average_loss scale_loss scale get_scaled_loss to float cast'.split())
PARTS = 200


def losses_of(
    value: Any, loss_called: Callable[[Called], Item | None], covered: set[Place]
) -> tuple[list[Item], list[Unread]]:
    """The losses, with weights, in a sum; and what stands beside them and is none, where there are any.

    loss_called: the item of a loss that is called on predictions and labels. covered: gets the places of those calls.
    """
    waiting: list[tuple[Any, Any]] = [(value, 1.0)]
    found: list[Item] = []
    unread: list[Unread] = []
    for _ in range(PARTS):
        if not waiting:
            break
        value, weight = waiting.pop()
        if not isinstance(value, Called):
            if not is_number(value):
                unread.append(_beside(value))
            continue
        kind = value.name.removeprefix('operator.') if value.name.startswith('operator.') else ''
        item = loss_called(value) if not kind else None
        if item is not None:
            covered.add(value.place)
            found.append(dataclasses.replace(item, weight=times(item.weight, weight)))
        elif kind in {'add', 'iadd'}:
            waiting.extend((part, weight) for part in reversed(value.args))
        elif kind in {'sub', 'isub'}:
            waiting.extend([(value.args[1], times(weight, -1.0)), (value.args[0], weight)])
        elif kind in {'mul', 'imul', 'truediv', 'itruediv'}:
            waiting.append(_product(value, kind, weight, loss_called))
        elif last_name(value) in MEANS and (value.args or value.on is not None):
            waiting.append((value.on if value.name.startswith('.') and not value.args else value.args[0], weight))
        else:
            unread.append(_beside(value))
    return found, unread if found else []


def _product(value: Called, kind: str, weight: Any, loss_called: Callable[[Called], Item | None]) -> tuple[Any, Any]:
    """(the loss, its weight) of a product or quotient; the weight is Unread where the other side is no number."""
    a, b = value.args
    if is_number(b) and abs(b) > 1e-300:
        return a, times(weight, b if 'mul' in kind else 1 / float(b))
    if is_number(a) and 'mul' in kind:
        return b, times(weight, a)
    hidden = Unread('its factor is known only when the source runs', value.place, value.text)
    if 'mul' in kind and isinstance(b, Called) and loss_called(b) is not None:
        return b, hidden
    return a, hidden


def _beside(value: Any) -> Unread:
    if isinstance(value, Unread):
        return value
    place = getattr(value, 'place', None)
    text = value.text if isinstance(value, Called) else str(value)
    return Unread('a part of this loss is none that is known', place or Place(''), text[:100])
