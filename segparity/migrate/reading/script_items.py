"""Losses and metrics of a script in items: constructors, strings, functions of its own, sums of these."""

import ast
import builtins
import dataclasses
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Item, Place, Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.expressions import Spent
from segparity.migrate.reading.json_text import is_finite
from segparity.migrate.reading.keras_compile import Sum, times
from segparity.migrate.reading.keras_names import of_string
from segparity.migrate.reading.libraries import from_star, full_name, named
from segparity.migrate.reading.values import Called, Class, Function, Reference

SOURCE = 4000  # characters of an own function's text
DEEP = 8  # functions in functions, sums in sums
ARRAYS = frozenset(
    'numpy.array numpy.asarray np.array np.asarray tensorflow.constant tensorflow.convert_to_tensor '
    'keras.backend.constant keras.backend.variable keras.ops.array keras.ops.convert_to_tensor torch.tensor '
    'torch.as_tensor torch.FloatTensor torch.Tensor torch.from_numpy numpy.float32 numpy.float64 tuple list'.split()
)
SAME = frozenset(
    'to cuda cpu float double numpy tolist half type astype requires_grad_'.split()
)  # methods of an array or loss
WORDS = {
    'Reduction.SUM': 'sum',
    'Reduction.NONE': 'none',
    'Reduction.AUTO': 'auto',
    'Reduction.SUM_OVER_BATCH_SIZE': 'sum_over_batch_size',
    'MULTICLASS_MODE': 'multiclass',
    'BINARY_MODE': 'binary',
    'MULTILABEL_MODE': 'multilabel',
}
WRAPPERS = frozenset(
    'tensorflow.function keras.losses.LossFunctionWrapper keras.metrics.MeanMetricWrapper functools.partial '
    'keras.losses.get keras.losses.deserialize keras.metrics.get keras.metrics.deserialize jax.jit'.split()
)
MEANS = frozenset('reduce_mean mean reduce_sum sum'.split())
PASSING = frozenset(
    'flatten reshape cast squeeze expand_dims convert_to_tensor clip identity float long to contiguous view argmax '
    'astype clip_by_value permute unsqueeze one_hot'.split()
)
HARMLESS = frozenset('function register_keras_serializable jit no_automatic_dependency_tracking staticmethod'.split())


class Items:
    """Turns values of a script into items.

    evaluators: by the file that a place names, for following a function of the script. stars: modules of which the script
    imports everything. listening: whether what is followed counts as calls of the script. find: the value of a dotted name
    in another file of the project, or None.
    """

    def __init__(self) -> None:
        self.evaluators: dict[str, Evaluator] = {}
        self.stars: Sequence[str] = ()
        self.listening = True
        self.remark: Callable[[str], None] = lambda sentence: None
        self.find: Callable[[str], Any] = lambda name: None
        self.missing: dict[str, Unread] = {}
        self.instances: dict[int, Called] = {}  # the object whose attributes a class has, as ``classes``
        self.classes: dict[int, Class] = {}  # by the identity of their scope, in which their methods stand

    # Functions of the script

    def follow(
        self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any], owner: Class | None = None
    ) -> Any:
        """What a function of the script returns; nothing that is called meanwhile is heard. owner: the class of a method."""
        evaluator = self.evaluators.get(function.place.file)
        if evaluator is None:
            return Unread('the function was not read', function.place, function.name)
        before, self.listening = self.listening, False
        outer = evaluator.scope
        args = self.with_self(function, args, owner)
        try:
            return evaluator.call(_undecorated(function), args, kwargs)
        except (Spent, RecursionError):
            return Unread('it takes too long', function.place, function.name)
        finally:
            self.listening = before
            evaluator.scope = outer

    def target(self, value: Called) -> Function | Class | None:
        """The function or class of the project that a call calls: of the source, a method of an object, of another file."""
        if value.target is not None:
            return value.target
        if value.on is None:
            return (
                self.find(value.name) if value.name and isinstance(self.find(value.name), (Function, Class)) else None
            )
        owner = value.on.target if isinstance(value.on, Called) else value.on
        if not isinstance(owner, Class) or value.name.count('.') != 1:
            return None
        if isinstance(value.on, Called) and self.instances.get(id(owner.scope)) is not value.on:
            self.make(value.on, owner)
        found = owner.scope.get(value.name[1:])
        return found if isinstance(found, Function) else None

    def with_self(self, function: Function, args: Sequence[Any], owner: Class | None = None) -> Sequence[Any]:
        """The arguments of a method with its object first, which is its class: that knows what ``__init__`` has bound."""
        names = [part.arg for part in function.node.args.args]
        if names[:1] not in (['self'], ['cls']):
            return args
        owner = owner or self.classes.get(id(function.scope))
        return (owner or Unread('it is known only when the source runs', function.place, names[0]), *args)

    def text(self, target: Function | Class) -> str:
        """The source text of a function or class, at most 4000 characters."""
        evaluator = self.evaluators.get(target.place.file)
        if evaluator is None:
            return ''
        node = target.node
        lines = evaluator.lines.lines[node.lineno - 1 : node.end_lineno]
        text = '\n'.join(line[:SOURCE] for line in lines[:400])
        if isinstance(node, ast.Lambda):
            text = evaluator.lines.of(node, 400)
        return text if len(text) <= SOURCE else f'{text[: SOURCE - 4]} ...'

    # Losses and metrics

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
        more = {'source': self.text(function)}
        return Item('own', function.name, {**self.arguments(value), **more}, value.place, text=value.text)

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
            return dataclasses.replace(inner, arguments={**inner.arguments, **more}, text=value.text)
        return inner

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
        )

    def own_instance(self, value: Called, target: Class, metric: bool) -> Item:
        """An object of a class of the script, with the text of the class, and what its ``call`` adds up."""
        more: dict[str, Any] = {'source': self.text(target)}
        found = None if metric else self.terms_of_instance(value, target)
        if found is not None:
            more['terms'], more['constant'] = found
        return Item('own', target.name, {**self.arguments(value), **more}, value.place, text=value.text)

    def terms_of_instance(self, value: Called, target: Class) -> tuple[list[Item], float] | None:
        """As ``terms_of``, of ``call`` or ``forward`` after ``__init__``."""
        self.make(value, target)
        method = next((target.scope[word] for word in ('call', 'forward', '__call__') if word in target.scope), None)
        return self.terms_of(method, owner=target) if isinstance(method, Function) else None

    def make(self, value: Called, target: Class) -> None:
        """Follows ``__init__``, so that the class knows the attributes of its object."""
        self.classes[id(target.scope)], self.instances[id(target.scope)] = target, value
        init = target.scope.get('__init__')
        if isinstance(init, Function):
            self.follow(init, value.args, value.kwargs, target)

    # Sums

    def operator(self, value: Called, place: Place, metric: bool, deep: int) -> Any:
        """``a + 2 * b``, ``a - b``, ``a / 2``, ``-a`` and ``losses[key]``."""
        kind, args = value.name.removeprefix('operator.'), value.args
        if kind == 'getitem':
            return self.chosen(value)
        if deep <= 0:
            return Unread('it is nested too deeply', value.place, value.text)
        if kind in {'add', 'iadd'}:
            return self.added(
                self.leaf_or_zero(args[0], place, metric, deep), self.leaf_or_zero(args[1], place, metric, deep), value
            )
        if kind in {'sub', 'isub'}:
            right = _scaled(self.leaf_or_zero(args[1], place, metric, deep), -1.0)
            return self.added(self.leaf_or_zero(args[0], place, metric, deep), right, value)
        if kind == 'neg':
            return _scaled(self.leaf(args[0], place, metric, deep - 1), -1.0)
        factor = _factor(kind, args)
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

    # Arguments

    def arguments(self, value: Called) -> dict[str, Any]:
        """The arguments of a constructor, those of a position under '0', '1', ..."""
        found = {str(i): self.argument(v, value.place) for i, v in enumerate(value.args)}
        places = getattr(value.kwargs, 'places', {})
        found |= {
            word: self.argument(v, places.get(word, value.place))
            for word, v in value.kwargs.items()
            if word not in {'name', 'dtype'} or not isinstance(v, str)
        }
        if value.starred:
            found['*'] = Unread('what * or ** brings is not known', value.place, value.text)
        return found

    def argument(self, value: Any, place: Place, deep: int = DEEP) -> Any:
        """Plain Python, an ``Item`` for a loss in a loss, or ``Unread``."""
        if deep <= 0:
            return Unread('it is nested too deeply', place)
        if isinstance(value, (list, tuple)):
            return [self.argument(inner, place, deep - 1) for inner in value]
        if isinstance(value, dict):
            return {str(key): self.argument(inner, place, deep - 1) for key, inner in value.items()}
        if isinstance(value, Called):
            return self.argument_called(value, place, deep)
        if isinstance(value, Function):
            return self.own(value, value.name, {}, metric=True)
        if isinstance(value, Reference):
            return self.argument_reference(value, place)
        if isinstance(value, Class):
            return Unread('it is a class', place, value.name)
        if isinstance(value, (int, float)) and not is_finite(value):
            return Unread('it is no finite number', place)
        return (
            value
            if isinstance(value, (str, int, float, bool, type(None), Unread))
            else Unread('it is no number, text or list', place, str(value)[:100])
        )

    def argument_called(self, value: Called, place: Place, deep: int) -> Any:
        name = full_name(value.name)
        if value.on is None and name in ARRAYS and value.args:
            return self.argument(value.args[0], place, deep - 1)
        if value.on is None and name.rpartition('.')[2] in {'ones', 'zeros'} and value.args and _count(value.args[0]):
            return [1.0 if name.endswith('ones') else 0.0] * _count(value.args[0])
        if value.name.startswith('.') and value.name[1:] in SAME and value.on is not None:
            return self.argument(value.on, place, deep - 1)
        if value.name.startswith('operator.') or (value.on is not None and value.target is None):
            return Unread('it is calculated when the source runs', value.place, value.text)
        if value.target is None and named(from_star(value.name, self.stars)) is None and name not in WRAPPERS:
            return Unread('it is calculated when the source runs', value.place, value.text)
        inner = self.leaf(value, place, deep=deep - 1)
        return (
            inner
            if isinstance(inner, (Item, Unread))
            else Unread('it is calculated when the source runs', value.place, value.text)
        )

    def argument_reference(self, value: Reference, place: Place) -> Any:
        for ending, word in WORDS.items():
            if value.name == ending or value.name.endswith(f'.{ending}'):
                return word
        found = named(from_star(value.name, self.stars)) if value.on is None else None
        if found is not None:
            return Item(found.library, found.name, {}, place, text=value.name)
        return Unread('it is known only when the source runs', place, value.name)

    # Bodies of own losses

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
        sides = [_side(arg, pair) for arg in args]
        if 'true' not in sides or 'pred' not in sides:
            return None
        rest = {str(i): self.argument(v, value.place) for i, (v, s) in enumerate(zip(value.args, sides)) if not s}
        rest |= {k: self.argument(v, value.place) for k, v in value.kwargs.items() if not _side(v, pair)}
        item: Any = None
        if value.name == '' and isinstance(value.on, Called):
            item = self.leaf(value.on, value.place)
            if not isinstance(item, Item):
                return None
        else:
            item = self.function_called(value, sides, deep)
        return None if item is None else dataclasses.replace(item, arguments={**item.arguments, **rest})

    def function_called(self, value: Called, sides: Sequence[str], deep: int) -> Item | None:
        """A function, of the source or of a library, that is called on labels and predictions."""
        name = from_star(value.name, self.stars)
        target = self.target(value) if named(name) is None else None
        if isinstance(target, Function):
            more: dict[str, Any] = {'source': self.text(target)}
            found = self.terms_of(target, deep=deep - 1) if deep > 0 else None
            if found is not None:
                more['terms'], more['constant'] = found
            return Item('own', target.name, more, target.place, text=value.text)
        whose = named(name) if value.on is None else None
        if whose is None:
            return None
        if whose.library == 'keras' and list(sides[:2]) == ['pred', 'true'] and value.args:
            self.remark(f'{value.place}: {value.text} takes the labels first, here the predictions stand first')
        return Item(whose.library, whose.name, {}, value.place, text=value.text)

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
        factor = _factor(kind, args)
        if factor is None or isinstance(factor[0], Unread):
            return None
        inner = self.terms(factor[1], pair, deep - 1)
        return None if inner is None else (_weighted(inner[0], factor[0]), factor[0] * inner[1])


LOSS = re.compile('loss|criterion|dice|tversky|jaccard|focal|entropy', re.IGNORECASE)


HOSTS = frozenset('keras tensorflow torch numpy np pandas cv2 skimage scipy matplotlib jax'.split())


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


def _weighted(items: Sequence[Item], factor: float) -> list[Item]:
    return [dataclasses.replace(item, weight=times(item.weight, factor)) for item in items]


def _scaled(value: Any, factor: Any) -> Any:
    """A loss or a sum times a number."""
    if isinstance(value, Item):
        return dataclasses.replace(value, weight=times(value.weight, factor))
    if isinstance(value, Sum):
        return Sum(tuple(_scaled(item, factor) for item in value.items))
    return value


def _factor(kind: str, args: Sequence[Any]) -> tuple[Any, Any] | None:
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


def _side(value: Any, pair: tuple[Any, Any]) -> str:
    """'true' or 'pred' where a value is the labels or the predictions, cast and reshaped at most; '' otherwise."""
    for _ in range(12):
        if value is pair[0]:
            return 'true'
        if value is pair[1]:
            return 'pred'
        if not isinstance(value, Called) or full_name(value.name).rpartition('.')[2] not in PASSING:
            return ''
        if value.name.startswith('.'):
            value = value.on
        elif value.args:
            value = value.args[0]
        else:
            return ''
    return ''


def _count(value: Any) -> int:
    """The length of an array of one dimension whose shape is given; 0 where it is not known or absurd."""
    value = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10_000 else 0


def _undecorated(function: Function) -> Function:
    """The function without decorators that change nothing of what it returns."""
    node = function.node
    decorators = getattr(node, 'decorator_list', [])
    if not decorators or isinstance(node, ast.Lambda):
        return function
    names = [ast.unparse(d.func if isinstance(d, ast.Call) else d).rpartition('.')[2] for d in decorators]
    if not HARMLESS.issuperset(names):
        return function
    fields: dict[str, Any] = {field: getattr(node, field) for field in node._fields if hasattr(node, field)}
    bare = ast.copy_location(type(node)(**{**fields, 'decorator_list': []}), node)
    return dataclasses.replace(function, node=bare)
