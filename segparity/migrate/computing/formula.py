"""A loss of a source as a function of two arrays: its graph is followed once for each pair of shapes, then computed."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from segparity.migrate.computing.limits import INSTRUCTIONS, WORK, NotUnderstood
from segparity.migrate.items import Unread
from segparity.migrate.reading.libraries import full_name, named
from segparity.migrate.reading.values import Called, Class, Function, Reference

if TYPE_CHECKING:
    import numpy as np

    from segparity.migrate.reading.own_losses import OwnLosses

STEPS, ALL_STEPS = 40_000, 400_000  # of the evaluator: for one pair of shapes, for all
KEPT = 200  # programs
FOLLOWED = 500  # calls of functions of the source, in one program
SHAPES = frozenset(
    '.size .dim .ndimension .numel .nelement .get_shape len keras.backend.int_shape keras.backend.ndim tensorflow.rank '
    'tensorflow.size keras.ops.shape keras.ops.ndim keras.ops.size numpy.shape numpy.ndim numpy.size torch.numel '
    'torch.is_tensor'.split()
)
SHAPE_ARRAYS = frozenset('tensorflow.shape keras.backend.shape'.split())
ATTRIBUTES = frozenset('.shape .ndim .is_cuda'.split())
DETACHING = frozenset('stop_gradient detach data'.split())
TO = frozenset({'.to', '.cuda', '.cpu', '.requires_grad_'})
DTYPES = frozenset(
    'float float16 float32 float64 bfloat16 half double int int8 int16 int32 int64 uint8 long short bool bool_'.split()
)
RENAMED = {'dim': 'axis', 'target_shape': 'shape', 'start_dim': 'start', 'end_dim': 'end'}
METHODS = 'call', 'forward', '__call__'
FAULTS = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError, MemoryError, RecursionError)


@dataclasses.dataclass(frozen=True)
class Slot:
    """The result of an instruction."""

    number: int


@dataclasses.dataclass
class Program:
    """Instructions for arrays of these shapes; ``result``: a slot, or a number that no array changes."""

    instructions: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]
    result: Any

    def run(self, first: np.ndarray, second: np.ndarray) -> Any:
        values: list[Any] = [first, second]
        for function, args, kwargs in self.instructions:
            values.append(function(*filled(args, values), **filled(kwargs, values)))
        return filled(self.result, values)


def filled(value: Any, values: list[Any]) -> Any:
    """A template with the values of its slots."""
    if isinstance(value, Slot):
        return values[value.number]
    if isinstance(value, (tuple, list)):
        return type(value)(filled(part, values) for part in value)
    if isinstance(value, dict):
        return {key: filled(part, values) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(*(as_index(filled(part, values)) for part in (value.start, value.stop, value.step)))
    return value


def as_index(value: Any) -> Any:
    return value if value is None else int(value)


class Formula:
    """What a function (labels, prediction) of a source returns, in NumPy float64; the arguments in its own order.

    Called with two arrays, integers or floating point, it gives an array. NotUnderstood, a sentence, where that is not
    known; ``fault`` then holds the last such sentence. metric: whether the source uses it as a metric. target: 'train.py:dice'
    where it is at the level of a module, which ``segparity recognise`` takes, else ''. detached: the numbers of the
    arguments whose gradient is stopped on the way.
    """

    def __init__(
        self,
        functions: OwnLosses,
        function: Function,
        name: str,
        metric: bool,
        target: str = '',
        instance: Called | None = None,
    ) -> None:
        self.functions, self.function, self.instance = functions, function, instance
        self.metric, self.target, self.__name__ = metric, target, name
        owner = instance.target if instance is not None else None
        self.owner = owner if isinstance(owner, Class) else None
        given = function.node.args
        self.names = [part.arg for part in (*given.posonlyargs, *given.args)][bool(self.owner) :][:2]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(word, kind) for word in self.names])
        self.fault = ''
        self.detached: set[int] = set()
        self.programs: dict[Any, Program | str] = {}
        self.answers: dict[Any, Any] = {}  # what whoever calls it remembers
        self.given: dict[str, Any] = {}  # arguments by name that it is always called with
        self.steps = 0

    def bound(self, value: Called) -> Formula | None:
        """The formula with the arguments of ``partial(loss, alpha=0.3)``; None where there are others."""
        given = {
            key: part for key, part in value.kwargs.items() if key not in {'fn', 'func', 'name', 'dtype', 'identifier'}
        }
        if value.starred or len(value.args) > 1 or (given and self.owner is not None):
            return None
        if not given:
            return self
        if 'reduction' in given or set(given) & set(self.names):
            return None
        made = Formula(self.functions, self.function, self.__name__, self.metric, '', self.instance)
        made.given = {**self.given, **given}
        return made

    def applies(self, *names: str) -> bool:
        """Whether what was computed until now has one of these operations, or an argument ``from_logits``."""
        from segparity.migrate.computing.names import ACTIVATING

        wanted = {function for name in names for function in ACTIVATING[name]}
        for program in self.programs.values():
            for function, _, kwargs in program.instructions if isinstance(program, Program) else ():
                if function in wanted or (
                    kwargs.get('from_logits') is True and function in ACTIVATING[f'{names[0]} from_logits']
                ):
                    return True
        return False

    def takes_several(self) -> bool:
        """Whether it was computed for a prediction of several channels."""
        return any(
            isinstance(program, Program) and len(shape) == 4 and 3 in (shape[1], shape[-1])
            for (*shapes, _, _), program in self.programs.items()
            for shape in shapes
        )

    def __call__(self, first: Any, second: Any) -> np.ndarray:
        import numpy as np

        one, two = np.asarray(first), np.asarray(second)
        key = one.shape, two.shape, one.dtype.kind, two.dtype.kind
        program = self.programs.get(key)
        try:
            with np.errstate(all='ignore'):
                return number(program.run(one, two)) if isinstance(program, Program) else self.traced(key, one, two)
        except NotUnderstood as error:
            self.fault = str(error)
            raise
        except FAULTS as error:
            said = ' '.join(str(error).split())[:100]
            self.fault = f'it stops with {type(error).__name__}: {said}'
            raise NotUnderstood(self.fault) from None

    def traced(self, key: Any, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """The value, while the instructions are kept for other arrays of these shapes."""
        known = self.programs.get(key)
        if isinstance(known, str) or self.steps > ALL_STEPS or len(self.programs) > KEPT:
            raise NotUnderstood(known if isinstance(known, str) else 'it takes too long')
        trace = Trace(self, one, two)
        try:
            value = trace.run()
        except NotUnderstood as error:
            self.programs[key] = str(error)
            raise
        finally:
            self.steps += trace.spent
        if not trace.dynamic:
            self.programs[key] = Program(trace.instructions, trace.result)
        return value


def number(value: Any) -> np.ndarray:
    """The result as an array of float64."""
    from segparity.migrate.computing.arrays import real

    if isinstance(value, (list, tuple, dict, str, bool)) or value is None:
        raise NotUnderstood('it returns no number')
    return real(value)


class Trace:
    """Follows a formula for two arrays and computes as it goes, so that shapes are known where the source asks for them."""

    def __init__(self, formula: Formula, first: np.ndarray, second: np.ndarray) -> None:
        self.formula, self.functions = formula, formula.functions
        self.values: list[Any] = [first, second]
        self.instructions: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.memo: dict[int, Any] = {}  # of each node: a slot or a plain value
        self.depends: dict[int, set[int]] = {}
        self.results: dict[int, Any] = {}  # what calls of the source's own functions return
        self.kept: list[Any] = []
        self.dynamic = False
        self.result: Any = None
        self.work = self.count = self.followed_calls = self.spent = 0

    def run(self) -> np.ndarray:
        pair = tuple(Reference(f'.{name}', self.formula.function.place, 'an argument') for name in self.formula.names)
        for k, node in enumerate(pair):
            self.memo[id(node)], self.depends[id(node)] = Slot(k), {k}
            self.kept.append(node)
        functions, before = self.functions, self.functions.asked
        functions.asked = self.asked
        try:
            instance, owner = self.formula.instance, self.formula.owner
            if instance is not None and owner is not None and functions.instances.get(id(owner.scope)) is not instance:
                functions.make(instance, owner)
            graph = self.follow(self.formula.function, pair, self.formula.given, owner)
            self.result = self.template(graph)
        finally:
            functions.asked = before
        return number(filled(self.result, self.values))

    # The source's own functions

    def follow(self, function: Function, args: Any, kwargs: Any, owner: Class | None = None) -> Any:
        self.followed_calls += 1
        if self.followed_calls > FOLLOWED:
            raise NotUnderstood('functions of the source call each other too often')
        evaluator = self.functions.evaluators.get(function.place.file)
        if evaluator is None:
            raise NotUnderstood(f'{function.name} was not read')
        left = STEPS - self.spent
        if left <= 0:
            raise NotUnderstood('it takes too long')
        evaluator.grant(left)
        start = evaluator.steps
        try:
            found = self.functions.follow(function, args, kwargs, owner)
        finally:
            self.spent += evaluator.steps - start
        if isinstance(found, Unread):
            raise NotUnderstood(unread(found))
        self.kept.append(found)
        return found

    def own(self, node: Called) -> tuple[Any] | None:
        """What a call of a function or class of the source gives; None where it is none."""
        if id(node) in self.results:
            return (self.results[id(node)],)
        found: Any
        if node.name == '' and isinstance(node.on, Called):
            made = node.on
            target = self.functions.target(made)
            if isinstance(target, Class):
                found = self.of_instance(made, target, node)
            elif isinstance(target, Function):
                inner = self.follow(target, made.args, made.kwargs, self.owner_of(made))
                if not isinstance(inner, Function):
                    raise NotUnderstood(f'{place(node)}what {target.name} makes is not known')
                found = self.follow(inner, node.args, node.kwargs)
            else:
                return None
        else:
            function = None if known(node) else self.functions.target(node)
            if isinstance(function, Function):
                found = self.follow(function, node.args, node.kwargs, self.owner_of(node))
            else:
                return None
        if node.starred:
            raise NotUnderstood(f'{place(node)}what * or ** brings is not known')
        self.results[id(node)] = found
        self.kept.append(node)
        return (found,)

    def owner_of(self, node: Called) -> Class | None:
        owner = node.on.target if isinstance(node.on, Called) else node.on
        return owner if isinstance(owner, Class) else None

    def of_instance(self, made: Called, target: Class, node: Called) -> Any:
        if self.functions.instances.get(id(target.scope)) is not made:
            self.functions.make(made, target)
        method = next((target.scope[word] for word in METHODS if word in target.scope), None)
        if not isinstance(method, Function):
            raise NotUnderstood(f'{place(node)}{target.name} has no call and no forward that is read')
        return self.follow(method, node.args, node.kwargs, target)

    # What evaluators ask

    def asked(self, value: Any) -> Any:
        """The plain value of a shape; anything else as it is."""
        name = value.name if value.name.startswith('.') else full_name(value.name)
        if isinstance(value, Reference):
            wanted = name in ATTRIBUTES and value.on is not None
        elif name == 'operator.getitem':
            base = value.args[0]
            wanted = (
                isinstance(base, Called) and full_name(base.name) in SHAPE_ARRAYS and isinstance(value.args[1], int)
            )
        else:
            wanted = name in SHAPES and not (name == '.size' and value.on is None)
        if not wanted:
            return value
        self.kept.append(value)
        try:
            found = filled(self.template(value), self.values)
        except (NotUnderstood, *FAULTS):
            return value
        return int(found) if name == 'operator.getitem' else found

    # The graph

    def template(self, value: Any) -> Any:
        """A value of the graph with slots in place of what was computed."""
        for node in list(nodes_in(value)):
            self.compute(node)
        return self.replaced(value)

    def replaced(self, value: Any) -> Any:
        if isinstance(value, (Called, Reference)):
            return self.memo[id(value)]
        if isinstance(value, Unread):
            raise NotUnderstood(unread(value))
        if isinstance(value, (Function, Class)):
            raise NotUnderstood(f'{place(value)}{value.name} is handed on as a function')
        if isinstance(value, (tuple, list)):
            return type(value)(self.replaced(part) for part in value)
        if isinstance(value, dict):
            return {key: self.replaced(part) for key, part in value.items()}
        if isinstance(value, slice):
            return slice(*(self.replaced(part) for part in (value.start, value.stop, value.step)))
        return value

    def compute(self, root: Any) -> None:
        """Computes a node and what it depends on, without recursion."""
        stack = [root]
        while stack:
            node = stack[-1]
            if id(node) in self.memo:
                stack.pop()
                continue
            self.count += 1
            if self.count > 4 * INSTRUCTIONS:
                raise NotUnderstood('it takes too long')
            parts = list(nodes_in(self.parts(node)))
            waiting = [part for part in parts if id(part) not in self.memo]
            if waiting:
                stack.extend(waiting)
                continue
            self.depends[id(node)] = set().union(*(self.depends.get(id(part), set()) for part in parts))
            self.memo[id(node)] = self.finished(node)
            self.kept.append(node)
            stack.pop()

    def parts(self, node: Any) -> Any:
        """What has to be computed before a node."""
        if isinstance(node, Reference):
            return node.on if isinstance(node.on, (Called, Reference)) else None
        own = self.own(node)
        if own is not None:
            return own[0]
        if node.name == '' and isinstance(node.on, Called):
            return node.args, node.kwargs, node.on.args, node.on.kwargs
        on = node.on if isinstance(node.on, (Called, Reference)) else None
        if node.name in TO:
            return on, [arg for arg in (*node.args, *node.kwargs.values()) if is_dtype(arg)]
        return on, node.args, {key: value for key, value in node.kwargs.items() if key not in {'device', 'name'}}

    def finished(self, node: Any) -> Any:
        if isinstance(node, Reference):
            return self.reference(node)
        if id(node) in self.results:
            return self.replaced(self.results[id(node)])
        if node.starred:
            raise NotUnderstood(f'{place(node)}what * or ** brings is not known')
        if node.name == '':
            return self.of_object(node)
        return self.operation(node)

    def reference(self, node: Reference) -> Any:
        from segparity.migrate.computing.names import VALUES

        if node.on is not None:
            return self.attribute(node)
        name = full_name(node.name)
        if name in VALUES:
            return VALUES[name]
        root, _, last = name.rpartition('.')
        if root and last in DTYPES:
            return last
        if not root and name in {'float', 'int', 'bool'}:
            return name
        if name.lower().startswith(('keras.losses.reduction.', 'keras.losses.losses_utils.reduction')):
            return last.lower()
        raise NotUnderstood(f'{place(node)}{node.name} is not known')

    def attribute(self, node: Reference) -> Any:
        from segparity.migrate.computing.arrays import array

        if node.name == '.device':
            return 'cpu'
        if node.name == '.is_cuda':
            return False
        if not isinstance(node.on, (Called, Reference)):
            raise NotUnderstood(f'{place(node)}{node.name[1:]} of this is not known')
        x = filled(self.memo[id(node.on)], self.values)
        if node.name == '.shape':
            return array(x).shape
        if node.name in ('.ndim', '.size'):
            return array(x).ndim if node.name == '.ndim' else int(array(x).size)
        if node.name == '.dtype':
            return {'f': 'float32', 'i': 'int64', 'b': 'bool'}[array(x).dtype.kind]
        if node.name == '.data':
            self.formula.detached |= self.depends[id(node)]
            return self.memo[id(node.on)]
        if node.name == '.T':
            return self.add(lambda x: array(x).T, (self.memo[id(node.on)],), {}, node)
        raise NotUnderstood(f'{place(node)}the attribute {node.name[1:]} of an array is not computed')

    def operation(self, node: Called) -> Any:
        from segparity.migrate.computing import names

        name = node.name if node.name.startswith('.') else full_name(node.name)
        args = self.replaced(node.args)
        kwargs = {key: value for key, value in node.kwargs.items() if key not in {'device', 'name'}}
        if node.name in TO:
            args = tuple(self.replaced(arg) for arg in (*node.args, *node.kwargs.values()) if is_dtype(arg))
            kwargs = {}
        if name.rpartition('.')[2] in DETACHING:
            self.formula.detached |= self.depends[id(node)]
            return self.memo[id(node.on)] if name.startswith('.') else args[0]
        function = self.function(name)
        if function is None:
            raise NotUnderstood(f'{place(node)}{shown(node)} is not computed')
        if name.startswith('.'):
            if not isinstance(node.on, (Called, Reference)):
                raise NotUnderstood(f'{place(node)}{shown(node)} is not computed')
            args = (self.memo[id(node.on)], *args)
        kwargs = names.names(function, self.replaced(kwargs))
        return self.add(function, args, kwargs, node)

    def function(self, name: str) -> Callable[..., Any] | None:
        from segparity.migrate.computing import names

        found = names.operation(name)
        if found is None and '.' not in name:
            stars = (names.operation(full_name(f'{module}.{name}')) for module in self.functions.stars)
            found = next((function for function in stars if function is not None), None)
        whose = named(name) if found is None else None
        if whose is not None and whose.library == 'keras':
            found = names.operation(f'keras.losses.{whose.name}')
        return found

    def of_object(self, node: Called) -> Any:
        """An object of a library that is called: ``nn.BCELoss()(p, y)``, ``keras.losses.BinaryCrossentropy()(y, p)``."""
        from segparity.migrate.computing import names

        made = node.on
        name = full_name(made.name) if isinstance(made, Called) and made.on is None else ''
        name = name.replace('torch.nn.modules.loss.', 'torch.nn.').replace('tensorflow.losses.', 'keras.losses.')
        if name not in names.OBJECTS or made.starred:
            raise NotUnderstood(f'{place(node)}{shown(node)} is not computed')
        function, words = names.OBJECTS[name]
        given = dict(zip(words, self.replaced(made.args))) | self.replaced(dict(made.kwargs))
        given = {RENAMED.get(k, k): v for k, v in given.items() if k not in names.FREE}
        if not set(given) <= set(words):
            raise NotUnderstood(f'{place(made)}an argument of {shown(made)} is not known')
        of_keras = name.startswith('keras.losses.')
        reduction = str(given.pop('reduction', 'mean')).lower() if of_keras else 'none'
        words_of_call = names.names(function, self.replaced(dict(node.kwargs)))
        found = self.add(function, self.replaced(node.args), given | words_of_call, node)
        if reduction in ('none', 'no_reduction'):
            return found
        if reduction not in ('sum', 'mean', 'auto', 'sum_over_batch_size'):
            raise NotUnderstood(f'{place(made)}its reduction is not known')
        return self.add(names.OPS['sum' if reduction == 'sum' else 'mean'], (found,), {}, node)

    def add(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], node: Any) -> Any:
        """One more instruction, computed; its slot."""
        import numpy as np

        from segparity.migrate.computing import names

        if len(self.instructions) >= INSTRUCTIONS:
            raise NotUnderstood('it takes too long')
        given, words = filled(args, self.values), filled(kwargs, self.values)
        try:
            value = function(*given, **words)
        except NotUnderstood as error:
            raise NotUnderstood(f'{place(node)}{shown(node)}: {error}') from None
        except FAULTS as error:
            said = ' '.join(str(error).split())[:100]
            raise NotUnderstood(f'{place(node)}{shown(node)} stops with {type(error).__name__}: {said}') from None
        self.work += sum(
            int(part.size) for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, np.ndarray)
        )
        if self.work > WORK:
            raise NotUnderstood('its arrays are too large')
        if function in names.DYNAMIC or (function is names.OPERATORS['getitem'] and has_mask(given[1])):
            self.dynamic = True
        if function is names.FUNCTIONAL['one_hot'] and len(given) < 2 and 'depth' not in words:
            self.dynamic = True
        self.instructions.append((function, args, kwargs))
        self.values.append(value)
        return Slot(len(self.values) - 1)


def known(node: Called) -> bool:
    """Whether a call is one of a library."""
    return node.target is None and node.on is None and '.' in node.name and named(node.name) is not None


def has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(getattr(part, 'dtype', None), 'kind', '') == 'b' for part in parts)


def is_dtype(value: Any) -> bool:
    """Whether an argument of ``x.to`` is a dtype and no device."""
    if isinstance(value, str):
        return value.rpartition('.')[2] in DTYPES
    return isinstance(value, Reference) and (value.name == '.dtype' or value.name.rpartition('.')[2] in DTYPES)


def nodes_in(value: Any) -> Iterator[Any]:
    """The calls and references in a value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Called, Reference)):
            yield value
        elif isinstance(value, (tuple, list)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, slice):
            waiting.extend((value.start, value.stop, value.step))


def place(node: Any) -> str:
    return f'line {node.place.line}: ' if node.place.line else ''


def shown(node: Any) -> str:
    text = getattr(node, 'text', '') or node.name
    return str(text)[:80]


def unread(found: Unread) -> str:
    line = f'line {found.place.line}: ' if found.place.line else ''
    return f'{line}{found.text[:80]}: {found.reason}' if found.text else f'{line}{found.reason}'
