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
WITHOUT_GRADIENT = frozenset('item detach numpy'.split())
CHANGED = 'what is done with this loss beside adding and scaling was not followed'


def losses_of(
    value: Any,
    loss_called: Callable[[Called], Item | None],
    covered: set[Place],
    follow: Callable[[Called], Any] = lambda called: None,
) -> tuple[list[Item], list[Unread]]:
    """The losses, with weights, in a sum; and what stands beside them and is none, where there are any.

    loss_called: the item of a loss that is called on predictions and labels. covered: gets the places of those calls.
    follow: what a function of the source returns for its arguments, None where the call is of another.
    """
    waiting: list[tuple[Any, Any]] = [(value, 1.0)]
    found: list[Item] = []
    unread: list[Unread] = []
    changed: list[Unread] = []
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
        elif kind == 'neg':
            waiting.append((value.args[0], times(weight, -1.0)))
        elif kind == 'pos':
            waiting.append((value.args[0], weight))
        elif kind in {'mul', 'imul', 'truediv', 'itruediv'} and not _divides(value, kind, loss_called):
            waiting.append(_product(value, kind, weight, loss_called))
        elif last_name(value) in MEANS and (value.args or value.on is not None):
            waiting.append((value.on if value.name.startswith('.') and not value.args else value.args[0], weight))
        elif (inner := follow(value)) is not None and holds_loss(inner, loss_called):
            waiting.append((inner, weight))
        elif holds_loss(value, loss_called):
            changed.append(Unread(CHANGED, value.place, value.text))
        else:
            unread.append(_beside(value))
    if waiting:
        changed.append(
            Unread(
                f'it has more than {PARTS} parts',
                waiting[0][0].place if isinstance(waiting[0][0], Called) else Place(''),
            )
        )
    return found, [*(unread if found else []), *changed]


def holds_loss(value: Any, loss_called: Callable[[Called], Item | None]) -> bool:
    """Whether a loss that is known is called in what a value is calculated from; one that ``item()`` or ``detach()`` gives
    has no gradient."""
    waiting: list[Any] = [value]
    seen: set[int] = set()
    while waiting and len(seen) < PARTS:
        part = waiting.pop()
        if isinstance(part, (list, tuple)):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, Called) and id(part) not in seen and last_name(part) not in WITHOUT_GRADIENT:
            seen.add(id(part))
            if not part.name.startswith('operator.') and loss_called(part) is not None:
                return True
            waiting.extend([part.on, *part.args, *part.kwargs.values()])
    return False


def _divides(value: Called, kind: str, loss_called: Callable[[Called], Item | None]) -> bool:
    """Whether a loss is divided by, or two losses are multiplied."""
    a, b = value.args
    return holds_loss(b, loss_called) and ('div' in kind or holds_loss(a, loss_called))


def _product(value: Called, kind: str, weight: Any, loss_called: Callable[[Called], Item | None]) -> tuple[Any, Any]:
    """(the loss, its weight) of a product or quotient; the weight is Unread where the other side is no number."""
    a, b = value.args
    if is_number(b) and abs(b) > 1e-300:
        return a, times(weight, b if 'mul' in kind else 1 / float(b))
    if is_number(a) and 'mul' in kind:
        return b, times(weight, a)
    if 'mul' in kind and holds_loss(b, loss_called):
        a, b = b, a
    hidden = Unread('its factor is known only when the source runs', value.place, value.text)
    return a, hidden


def _beside(value: Any) -> Unread:
    if isinstance(value, Unread):
        return value
    place = getattr(value, 'place', None)
    text = value.text if isinstance(value, Called) else str(value)
    return Unread('a part of this loss is none that is known', place or Place(''), text[:100])
