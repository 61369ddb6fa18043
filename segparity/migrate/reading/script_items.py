"""Losses and metrics of a script in items: constructors, strings, functions, sums of these."""

import builtins
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from segparity.migrate.items import Item, Place, Unread
from segparity.migrate.reading.keras_compile import Sum, times
from segparity.migrate.reading.keras_names import of_string
from segparity.migrate.reading.libraries import from_star, full_name, named
from segparity.migrate.reading.own_losses import LOSS, OwnLosses, factor_of
from segparity.migrate.reading.script_arguments import DEEP, SAME, WRAPPERS
from segparity.migrate.reading.values import Called, Class, Function, Reference

HOSTS = frozenset('keras tensorflow torch numpy np pandas cv2 skimage scipy matplotlib jax'.split())


class Items(OwnLosses):
    """Turns values of a script into items."""

    def structure(self, value: Any, place: Place, metric: bool = False, deep: int = DEEP) -> Any:
        """Lists and dicts as they are, what stands in them as ``Item``, ``Sum``, ``Unread`` or None."""
        if deep <= 0:
            return Unread('it is nested too deeply', place)
        if isinstance(value, (list, tuple)):
            return [self.structure(inner, place, metric, deep - 1) for inner in value]
        if isinstance(value, dict):
            places = getattr(value, 'places', {})
            return {
                str(key): self.structure(inner, places.get(key, place), metric, deep - 1)
                for key, inner in value.items()
            }
        if value is None:
            return None
        return self.leaf(value, place, metric, deep)

    def leaf(self, value: Any, place: Place, metric: bool = False, deep: int = DEEP) -> Any:
        """The item of one value."""
        if isinstance(value, Unread):
            return value
        if isinstance(value, str):
            item = of_string(value, place, metric)
            return item if item.library == 'keras' else self.by_name(value, item)
        if isinstance(value, Reference):
            return self.reference(value, place, metric, deep)
        if isinstance(value, Function):
            return self.own(value, value.name, {}, metric)
        if isinstance(value, Class):
            return Unread('it is a class that was not called', place, value.name)
        if isinstance(value, Called):
            return self.called(value, place, metric, deep)
        return Unread('it is neither a name nor an object', place, str(value)[:100])

    def by_name(self, word: str, item: Item) -> Item:
        """A string that Keras does not know: a function of the script that is registered under this name, or saved with it."""
        for evaluator in self.evaluators.values():
            found = evaluator.scope.get(word)
            if isinstance(found, Function):
                return self.own(found, word, {}, False)
        return item

    def reference(self, value: Reference, place: Place, metric: bool, deep: int) -> Any:
        """A function of a library, or of another file of the project."""
        if value.on is not None:
            return Unread('it is an attribute that is known only when the source runs', place, value.name)
        name = from_star(value.name, self.stars)
        found = named(name)
        if found is not None:
            return Item(found.library, found.name, {}, place, text=value.name)
        if foreign(name):
            return Unread('it is no loss or metric that is known', place, value.name)
        elsewhere = self.find(name)
        if elsewhere is not None and not isinstance(elsewhere, (Reference, Unread)):
            return self.structure(elsewhere, place, metric, deep - 1)
        return self.elsewhere(name, {}, place, value.name)

    def elsewhere(self, name: str, arguments: dict[str, Any], place: Place, text: str) -> Item:
        """A loss or metric that is defined in no file that is read."""
        module, _, last = full_name(name).rpartition('.')
        where = (
            f'it is defined in {module}, which is not beside the source' if module else 'the source does not define it'
        )
        self.missing.setdefault(name, Unread(where, place, text))
        return Item('own', last, arguments, place, text=text)

    def called(self, value: Called, place: Place, metric: bool, deep: int) -> Any:
        name = from_star(value.name, self.stars)
        if name.startswith('operator.'):
            return self.operator(value, place, metric, deep)
        if full_name(name) in WRAPPERS:
            return self.wrapped(value, place, metric, deep)
        if value.name.startswith('.') and value.name[1:] in SAME and value.on is not None:
            return self.structure(value.on, place, metric, deep - 1)
        found = named(name) if value.on is None else None
        if found is not None:
            return Item(found.library, found.name, self.arguments(value), value.place, text=value.text)
        if isinstance(value.target, Class):
            return self.own_instance(value, value.target, metric)
        function = self.target(value)
        if isinstance(function, Function):
            return self.made(value, function, place, metric, deep)
        if isinstance(function, Class):
            return self.own_instance(value, function, metric)
        if value.on is None and not foreign(name) and name and (not name.startswith('.') or '.' in name[1:]):
            return self.elsewhere(name, self.arguments(value), value.place, value.text)
        return Unread('it is known only when the source runs', value.place, value.text)

    def made(self, value: Called, function: Function, place: Place, metric: bool, deep: int) -> Any:
        """What a function of the script makes: a loss of a library, or a function inside it, which closes over arguments."""
        result = self.follow(function, value.args, value.kwargs)
        if isinstance(result, Function):
            return self.own(result, function.name, self.arguments(value), metric, outer=function)
        if isinstance(result, (str, list, tuple, dict, Reference)) or (
            isinstance(result, Called) and result is not value
        ):
            return self.structure(result, value.place, metric, deep - 1)
        if isinstance(result, Unread):
            reason = f'what {function.name} returns is not known: {result.reason}'
            return Unread(reason, value.place, value.text)
        return Unread(f'{function.name} returns no loss or metric', value.place, value.text)

    def wrapped(self, value: Called, place: Place, metric: bool, deep: int) -> Any:
        """``partial(loss, ...)``, ``tf.function(loss)``, ``keras.losses.get('bce')``."""
        args = (
            value.args or tuple(value.kwargs[word] for word in ('fn', 'identifier', 'func') if word in value.kwargs)[:1]
        )
        if not args:
            return Unread('it has no argument', value.place, value.text)
        if isinstance(args[0], dict) and isinstance(args[0].get('class_name'), str):
            given = args[0].get('config')
            item = of_string(args[0]['class_name'], value.place, metric)
            words = {str(k): self.argument(v, value.place) for k, v in given.items()} if isinstance(given, dict) else {}
            return dataclasses.replace(item, arguments=words, text=value.text)
        inner = self.structure(args[0], value.place, metric, deep - 1)
        if isinstance(inner, Item):
            more = {
                k: self.argument(v, value.place) for k, v in value.kwargs.items() if k not in {'fn', 'name', 'dtype'}
            }
            formula = inner.formula and inner.formula.bound(value)
            return dataclasses.replace(inner, arguments={**inner.arguments, **more}, text=value.text, formula=formula)
        return inner

    # Sums

    def operator(self, value: Called, place: Place, metric: bool, deep: int) -> Any:
        """``a + 2 * b``, ``a - b``, ``a / 2``, ``-a`` and ``losses[key]``."""
        kind, args = value.name.removeprefix('operator.'), value.args
        if kind == 'getitem':
            return self.chosen(value)
        if deep <= 0:
            return Unread('it is nested too deeply', value.place, value.text)
        if kind in {'add', 'iadd'} and any(_of_keras(arg, self.stars) for arg in args):
            self.remark(f'{value.place}: losses of Keras have no +, and {value.text} is read as the sum that is meant')
        if kind in {'add', 'iadd'}:
            return self.added(
                self.leaf_or_zero(args[0], place, metric, deep), self.leaf_or_zero(args[1], place, metric, deep), value
            )
        if kind in {'sub', 'isub'}:
            right = _scaled(self.leaf_or_zero(args[1], place, metric, deep), -1.0)
            return self.added(self.leaf_or_zero(args[0], place, metric, deep), right, value)
        if kind == 'neg':
            return _scaled(self.leaf(args[0], place, metric, deep - 1), -1.0)
        factor = factor_of(kind, args)
        if factor is not None:
            weight, loss = factor
            return _scaled(self.leaf(loss, place, metric, deep - 1), weight)
        return Unread('it is calculated from losses in a way that is not read', value.place, value.text)

    def leaf_or_zero(self, value: Any, place: Place, metric: bool, deep: int) -> Any:
        if value == 0 and isinstance(value, (int, float)):
            return Sum(())  # sum() and loss = 0; loss += ...
        return self.leaf(value, place, metric, deep - 1)

    def added(self, left: Any, right: Any, value: Called) -> Any:
        items: list[Any] = []
        for side in (left, right):
            if isinstance(side, Sum):
                items.extend(side.items)
            elif isinstance(side, (Item, Unread)):
                items.append(side)
            else:
                return Unread('it is calculated from losses in a way that is not read', value.place, value.text)
        return Sum(tuple(items))

    def chosen(self, value: Called) -> Unread:
        table, key = value.args
        if isinstance(table, dict) and isinstance(key, (Called, Reference, Unread)):
            names = ', '.join(str(name)[:60] for name in list(table)[:12])
            return Unread(f'its key is known only when the source runs; it is one of {names}', value.place, value.text)
        return Unread('what is chosen by a key is known only when the source runs', value.place, value.text)


def foreign(name: str) -> bool:
    """Whether a dotted name is Python's own, or of a package that has no more losses than are known."""
    root, dot, _ = full_name(name).partition('.')
    return (root in HOSTS or root in sys.stdlib_module_names) if dot else hasattr(builtins, root)


def makes_loss(value: Any, stars: Sequence[str] = ()) -> bool:
    """Whether a call makes a loss: of a library, or of a class of the source whose name says so; ``.cuda()`` after it is passed."""
    for _ in range(8):
        if not (isinstance(value, Called) and value.name.startswith('.') and value.name[1:] in SAME):
            break
        value = value.on
    if not isinstance(value, Called) or value.name.startswith('operator.'):
        return False
    if isinstance(value.target, Class):
        return bool(LOSS.search(value.target.name))
    whose = named(from_star(value.name, stars)) if value.on is None else None
    if whose is not None:
        return whose.kind == 'loss' and whose.name.rpartition('.')[2][:1].isupper()
    return full_name(value.name) in WRAPPERS and any(isinstance(arg, (Called, Reference)) for arg in value.args)


def _scaled(value: Any, factor: Any) -> Any:
    """A loss or a sum times a number."""
    if isinstance(value, Item):
        return dataclasses.replace(value, weight=times(value.weight, factor))
    if isinstance(value, Sum):
        return Sum(tuple(_scaled(item, factor) for item in value.items))
    return value


def _of_keras(value: Any, stars: Sequence[str]) -> bool:
    """Whether a value is a loss of Keras."""
    if not isinstance(value, (Called, Reference)) or value.on is not None:
        return False
    whose = named(from_star(value.name, stars))
    return whose is not None and whose.library == 'keras'
