"""Losses that a project defines itself: their text, and what they add up where they are sums of losses that are known."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from segparity.migrate.computing.formula import METHODS, Formula
from segparity.migrate.items import Item, Unread
from segparity.migrate.reading.json_text import is_finite
from segparity.migrate.reading.keras_compile import times
from segparity.migrate.reading.libraries import from_star, full_name, named
from segparity.migrate.reading.script_arguments import Arguments
from segparity.migrate.reading.values import Called, Class, Function, Reference

LOSS = re.compile('loss|criterion|dice|tversky|jaccard|focal|entropy', re.IGNORECASE)
MEANS = frozenset('reduce_mean mean reduce_sum sum'.split())
PASSING = frozenset('cast convert_to_tensor identity float long to contiguous astype'.split())  # the values stay
SHAPING = frozenset('flatten reshape squeeze expand_dims view unsqueeze'.split())  # and these, elsewhere
POINTWISE = frozenset(
    'binary_crossentropy BinaryCrossentropy binary_focal_crossentropy BinaryFocalCrossentropy mean_squared_error '
    'MeanSquaredError mean_absolute_error MeanAbsoluteError'.split()
)  # losses of Keras that are the same of reshaped tensors


class OwnLosses(Arguments):
    """Items of functions and classes of the project.

    Beside the arguments of a call an item of library 'own' has 'source', the text of what it is, and, where it adds up
    losses that have names, 'terms', items with weights, and 'constant', which is added to them.
    """

    def own(
        self, function: Function, name: str, arguments: dict[str, Any], metric: bool, outer: Function | None = None
    ) -> Item:
        """A function of the script, with its text, and what it adds up where it is a sum of losses."""
        more: dict[str, Any] = {'source': self.text(outer or function)}
        found = None if metric else self.terms_of(function)
        if found is not None:
            terms, constant = found
            more['terms'] = terms
            if constant:
                more['constant'] = constant
        whole = outer or function
        return Item(
            'own',
            name,
            {**arguments, **more},
            whole.place,
            text=(self.text(whole).strip().splitlines() or [''])[0][:100],
            formula=self.formula(function, name, metric, named_by=function if outer is None else None),
        )

    def formula(
        self,
        function: Function,
        name: str,
        metric: bool,
        named_by: Function | Class | None,
        instance: Called | None = None,
    ) -> Formula | None:
        """What computes a function of labels and prediction; None where it takes something else.

        named_by: the function or class whose name a module has, None where the source makes the function while it runs.
        """
        given = function.node.args
        least = 2 if instance is None else 3
        count = len(given.posonlyargs) + len(given.args)
        if count < least or count - len(given.defaults) > least or given.vararg is not None:
            return None
        target = ''
        if named_by is not None and named_by.scope.parent is None and named_by.place.file.endswith('.py'):
            target = f'{named_by.place.file}:{named_by.name}'
        if isinstance(named_by, Class):
            parent = named_by.scope.parent
            at_top = parent is not None and parent.parent is None and named_by.place.file.endswith('.py')
            target = f'{named_by.place.file}:{named_by.name}' if at_top else ''
        return Formula(self, function, name, metric, '' if '<' in target else target, instance)

    def own_instance(self, value: Called, target: Class, metric: bool) -> Item:
        """An object of a class of the script, with the text of the class, and what its ``call`` adds up."""
        more: dict[str, Any] = {'source': self.text(target)}
        found = None if metric else self.terms_of_instance(value, target)
        if found is not None:
            more['terms'], more['constant'] = found
        method = self.method(target)
        formula = None
        if method is not None:
            named_by = None if value.args or value.kwargs else target
            formula = self.formula(method, target.name, metric, named_by, instance=value)
        return Item(
            'own', target.name, {**self.arguments(value), **more}, value.place, text=value.text, formula=formula
        )

    def method(self, target: Class) -> Function | None:
        """``call`` or ``forward`` of a class of the source."""
        found = next((target.scope[word] for word in METHODS if word in target.scope), None)
        return found if isinstance(found, Function) else None

    def terms_of_instance(self, value: Called, target: Class) -> tuple[list[Item], float] | None:
        """As ``terms_of``, of ``call`` or ``forward`` after ``__init__``."""
        self.make(value, target)
        method = self.method(target)
        return self.terms_of(method, owner=target) if method is not None else None

    def terms_of(
        self, function: Function, deep: int = 3, owner: Class | None = None
    ) -> tuple[list[Item], float] | None:
        """The losses that a function (labels, predictions) adds up, with weights, and a constant; None where it is no sum."""
        given = function.node.args
        names = [part.arg for part in (*given.posonlyargs, *given.args)]
        if len(names) < (2 if owner is None else 3) or given.vararg is not None:
            return None
        true, pred = Reference('labels', function.place), Reference('predictions', function.place)
        result = self.follow(function, (true, pred), {}, owner)
        found = self.terms(result, (true, pred), deep)
        if found is None or not found[0]:
            return None
        return found

    def terms(self, value: Any, pair: tuple[Any, Any], deep: int) -> tuple[list[Item], float] | None:
        if is_number(value):
            return [], float(value)
        if not isinstance(value, Called) or deep < -20:
            return None
        name, args = value.name, value.args
        if name.startswith('operator.'):
            return self.terms_of_operator(name.removeprefix('operator.'), args, pair, deep)
        if full_name(name).rpartition('.')[2] in MEANS and value.target is None and (args or value.on is not None):
            if not name.rpartition('.')[2].endswith('mean'):
                return None
            return self.terms(value.on if name.startswith('.') else args[0], pair, deep - 1)
        item = self.term(value, pair, deep)
        return None if item is None else ([item], 0.0)

    def term(self, value: Called, pair: tuple[Any, Any], deep: int) -> Item | None:
        """A loss that is called on labels and predictions."""
        args = [*value.args, *value.kwargs.values()]
        sides = [side_of(arg, pair) for arg in args]
        if 'true' not in sides or 'pred' not in sides:
            return None
        rest = {str(i): self.argument(v, value.place) for i, (v, s) in enumerate(zip(value.args, sides)) if not s}
        rest |= {k: self.argument(v, value.place) for k, v in value.kwargs.items() if not side_of(v, pair)}
        shaped = any(side_of(arg, pair, shaping=False) != side for arg, side in zip(args, sides))
        item: Any = None
        if value.name == '' and isinstance(value.on, Called):
            item = self.leaf(value.on, value.place)
            if not isinstance(item, Item):
                return None
        else:
            item = self.function_called(value, sides, deep)
        if item is None or (shaped and not (item.library == 'keras' and item.name in POINTWISE)):
            return None
        return dataclasses.replace(item, arguments={**item.arguments, **rest})

    def function_called(self, value: Called, sides: Sequence[str], deep: int) -> Item | None:
        """A function, of the source or of a library, that is called on labels and predictions."""
        name = from_star(value.name, self.stars)
        target = self.target(value) if named(name) is None else None
        if isinstance(target, Function):
            item = self.own_called(value, target, deep)
            return item if list(sides[:2]) == ['true', 'pred'] else dataclasses.replace(item, formula=None)
        whose = named(name) if value.on is None else None
        if whose is None:
            return None
        if whose.library == 'keras' and list(sides[:2]) == ['pred', 'true'] and value.args:
            self.remark(f'{value.place}: {value.text} takes the labels first, here the predictions stand first')
        return Item(whose.library, whose.name, {}, value.place, text=value.text)

    def own_called(self, value: Called, function: Function, deep: int = 3) -> Item:
        """A function of the source that is called on labels and predictions, with the other arguments of the call."""
        more: dict[str, Any] = {'source': self.text(function)}
        found = self.terms_of(function, deep=deep - 1) if deep > 0 else None
        if found is not None:
            more['terms'], more['constant'] = found
        formula = self.formula(function, function.name, False, function)
        given = function.node.args
        names = [part.arg for part in (*given.posonlyargs, *given.args)]
        if formula is not None and (len(value.args) > 2 or value.kwargs or value.starred):
            words = dict(zip(names, value.args)) | dict(value.kwargs)
            rest = {word: part for word, part in words.items() if word not in names[:2]}
            bound = dataclasses.replace(value, args=(), kwargs=rest)
            formula = formula.bound(bound) if len(value.args) <= len(names) else None
        return Item('own', function.name, more, function.place, text=value.text, formula=formula)

    def loss_of_function(self, value: Called) -> Item | None:
        """The item of a function of the source whose name says that it is a loss, called on two values."""
        if value.name.startswith('operator.') or len(value.args) + len(value.kwargs) < 2:
            return None
        if value.name == '' and isinstance(value.on, Called):
            made = self.leaf(value.on, value.place) if isinstance(self.target(value.on), Function) else None
            named_so = isinstance(made, Item) and made.formula is not None and LOSS.search(made.formula.function.name)
            return made if named_so else None
        function = self.target(value) if named(from_star(value.name, self.stars)) is None else None
        if not isinstance(function, Function) or not LOSS.search(function.name) or self.is_method(function):
            return None
        item = self.own_called(value, function)
        return item if item.formula is not None else None

    def is_method(self, function: Function) -> bool:
        return [part.arg for part in function.node.args.args][:1] in (['self'], ['cls'])

    def terms_of_operator(
        self, kind: str, args: Sequence[Any], pair: tuple[Any, Any], deep: int
    ) -> tuple[list[Item], float] | None:
        if kind in {'add', 'sub', 'iadd', 'isub'}:
            left, right = self.terms(args[0], pair, deep - 1), self.terms(args[1], pair, deep - 1)
            if left is None or right is None:
                return None
            sign = 1.0 if kind.endswith('add') else -1.0
            return [*left[0], *_weighted(right[0], sign)], left[1] + sign * right[1]
        if kind == 'neg':
            inner = self.terms(args[0], pair, deep - 1)
            return None if inner is None else (_weighted(inner[0], -1.0), -inner[1])
        factor = factor_of(kind, args)
        if factor is None or isinstance(factor[0], Unread):
            return None
        inner = self.terms(factor[1], pair, deep - 1)
        return None if inner is None else (_weighted(inner[0], factor[0]), factor[0] * inner[1])


def _weighted(items: Sequence[Item], factor: float) -> list[Item]:
    return [dataclasses.replace(item, weight=times(item.weight, factor)) for item in items]


def factor_of(kind: str, args: Sequence[Any]) -> tuple[Any, Any] | None:
    """(number, the other side) of a product or a quotient."""
    if kind in {'mul', 'imul'}:
        for number, other in ((args[0], args[1]), (args[1], args[0])):
            if is_number(number) and not is_number(other):
                return float(number), other
            if isinstance(number, Unread) and isinstance(other, Called):
                return number, other
    if kind in {'truediv', 'itruediv'} and is_number(args[1]) and abs(args[1]) > 1e-300:
        return 1 / float(args[1]), args[0]
    return None


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and is_finite(value)


def side_of(value: Any, pair: tuple[Any, Any], shaping: bool = True) -> str:
    """'true' or 'pred' where a value is the labels or the predictions, cast and, with ``shaping``, reshaped at most; '' otherwise."""
    for _ in range(12):
        if value is pair[0]:
            return 'true'
        if value is pair[1]:
            return 'pred'
        last = full_name(value.name).rpartition('.')[2] if isinstance(value, Called) else ''
        if last not in PASSING and not (shaping and last in SHAPING):
            return ''
        if value.name.startswith('.'):
            value = value.on
        elif value.args:
            value = value.args[0]
        else:
            return ''
    return ''


def expanded(item: Item) -> tuple[list[Item], Any]:
    """What an item adds up, with its weight on each part, and the constant that comes to it.

    An own loss is taken apart where at least one part has a name in a library; a part that has none stays as it is, so that
    ``1 - dice_coef`` is one loss. An item that is no sum is its only part. A weight, or the constant, may be ``Unread``.
    """
    terms = item.arguments.get('terms') if item.library == 'own' else None
    if not terms or not _has_names(item):
        return [item], 0.0
    parts: list[Item] = []
    constant: Any = times(item.arguments.get('constant', 0.0), item.weight)
    for term in terms:
        inner, more = expanded(dataclasses.replace(term, weight=times(term.weight, item.weight)))
        parts.extend(inner)
        constant = plus(constant, more)
    return parts, constant


def plus(a: Any, b: Any) -> Any:
    """The sum of two numbers, either of which may be ``Unread``."""
    return next((part for part in (a, b) if isinstance(part, Unread)), None) or a + b


def _has_names(item: Item) -> bool:
    terms = item.arguments.get('terms') if item.library == 'own' else None
    return item.library != 'own' or any(_has_names(term) for term in terms or ())
