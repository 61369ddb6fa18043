"""Expressions of a source, evaluated without running it."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Place, Unread
from segparity.migrate.reading import operators
from segparity.migrate.reading.known_calls import COMPARING, DEEP, FUNCTIONS, as_list, method
from segparity.migrate.reading.text import Lines
from segparity.migrate.reading.values import (
    PLAIN,
    SCALARS,
    Called,
    Class,
    Function,
    Limits,
    Maybe,
    Reference,
    Scope,
    Table,
    is_plain,
    maybe,
)
from segparity.migrate.reading.weight import TooMuch, clone, plain_throughout, weigh

FAULTS = (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, UnicodeError)
SYMBOLIC = (Called, Reference, Function, Class)
UNKNOWN = (*SYMBOLIC, Unread)


class Spent(Exception):
    """The steps that a loop or the whole source may take are used up."""


class Expressions:
    """Evaluates expressions in ``scope``; ``heard`` is told every call that is not evaluated."""

    file: str
    limits: Limits
    scope: Scope
    lines: Lines
    steps: int
    deadline: int
    depth: int
    asked: Callable[[Any], Any] | None = None  # computes a loss: gives a plain value for a shape that is known

    def heard(self, called: Called, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Tells who listens; what the call gives. args, kwargs: those of the source itself, which a function may change."""
        raise NotImplementedError

    # What is around each expression

    def place(self, node: ast.AST) -> Place:
        return Place(self.file, getattr(node, 'lineno', 0))

    def unread(self, node: ast.AST, reason: str) -> Unread:
        return Unread(reason, self.place(node), self.lines.of(node))

    def charge(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self.deadline:
            raise Spent

    def weighed(self, *values: Any) -> None:
        """TooMuch where the values are too heavy to be compared, printed or copied; it costs steps."""
        for value in values:
            if isinstance(value, (dict, list, tuple, set, frozenset)):
                self.charge(weigh(value, self.limits.weight) // 4)
            elif isinstance(value, (str, bytes)):
                self.charge(len(value) // 1000)

    def evaluate(self, node: ast.expr) -> Any:
        """The value of an expression: plain Python, or a word of ``reading.values``, or ``Unread``; never an error."""
        self.charge(1)
        if self.depth >= self.limits.nesting:
            return self.unread(node, 'it is nested too deeply')
        self.depth += 1
        try:
            evaluate: Callable[[Any], Any] | None = getattr(self, f'of_{type(node).__name__}', None)
            if evaluate is None:
                return self.unread(node, 'expressions of this kind are not evaluated')
            return evaluate(node)
        except TooMuch as error:
            return self.unread(node, str(error))
        except FAULTS as error:
            said = ' '.join(str(error).split())[:100]
            return self.unread(node, f'Python would stop here with {type(error).__name__}: {said}')
        finally:
            self.depth -= 1

    # Atoms

    def of_Constant(self, node: ast.Constant) -> Any:
        value = node.value
        if isinstance(value, (str, bytes)):
            operators.bounded(len(value), value, self.limits)
        if value is ...:
            return self.unread(node, 'it is left open')
        return operators.small(value, self.limits)

    def of_Name(self, node: ast.Name) -> Any:
        holder = self.scope.holder(node.id)
        return Reference(node.id, self.place(node)) if holder is None else holder[node.id]

    def of_NamedExpr(self, node: ast.NamedExpr) -> Any:
        value = self.evaluate(node.value)
        self.scope.bind(node.target.id, value, self.place(node))
        return value

    def of_Lambda(self, node: ast.Lambda) -> Any:
        return Function('<lambda>', node, self.place(node), self.scope)

    def of_JoinedStr(self, node: ast.JoinedStr) -> Any:
        parts = []
        for part in node.values:
            value = self.evaluate(part)
            if not isinstance(value, str):
                return value if isinstance(value, Unread) else self.unread(node, 'a part of the text is not known')
            parts.append(value)
            operators.bounded(sum(map(len, parts)), '', self.limits)
        return ''.join(parts)

    def of_FormattedValue(self, node: ast.FormattedValue) -> Any:
        value = self.evaluate(node.value)
        spec = '' if node.format_spec is None else self.evaluate(node.format_spec)
        if isinstance(value, UNKNOWN) or isinstance(spec, Unread):
            return value if isinstance(value, Unread) else self.unread(node, 'a part of the text is not known')
        if not isinstance(value, SCALARS):
            self.weighed(value)
            if not plain_throughout(value) or spec:
                return self.unread(node, 'a part of the text is not known')
        convert: dict[int, Callable[[Any], Any]] = {-1: lambda it: it, 115: str, 114: repr, 97: ascii}
        return operators.formatted(convert[node.conversion](value), spec, self.limits)

    # Collections

    def items(self, nodes: list[ast.expr]) -> list[Any]:
        """The values of a display or of arguments, with ``*`` opened; TooMuch where one cannot be."""
        values: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                values.extend(self.opened(self.evaluate(node.value)))
            else:
                values.append(self.evaluate(node))
            operators.bounded(len(values), [], self.limits)
        return values

    def opened(self, value: Any) -> list[Any]:
        if not is_plain(value):
            raise TooMuch(value.reason if isinstance(value, Unread) else 'what is in it is not known')
        items = as_list(value, self.limits)
        self.charge(len(items))
        return items

    def of_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.items(node.elts))

    def of_List(self, node: ast.List) -> Any:
        return self.items(node.elts)

    def of_Set(self, node: ast.Set) -> Any:
        return {self.key(item) for item in self.items(node.elts)}

    def key(self, value: Any) -> Any:
        """The value as a key of a dict or member of a set; TooMuch where it is not known."""
        if isinstance(value, Unread):
            raise TooMuch(f'a key is not known: {value.reason}')
        self.weighed(value)
        return value

    def of_Dict(self, node: ast.Dict) -> Any:
        table = Table(place=self.place(node))
        for key, value in zip(node.keys, node.values):
            read = self.evaluate(value)
            if key is None:
                if not isinstance(read, dict):
                    raise TooMuch(read.reason if isinstance(read, Unread) else 'what ** brings is not known')
                self.charge(len(read))
                table.take(read, self.place(value))
            else:
                table.put(self.key(self.evaluate(key)), read, self.place(key))
            operators.bounded(len(table), table, self.limits)
        return table

    # Comprehensions

    def of_ListComp(self, node: ast.ListComp) -> Any:
        return self.comprehension(node, lambda: self.evaluate(node.elt))

    def of_GeneratorExp(self, node: ast.GeneratorExp) -> Any:
        return self.comprehension(node, lambda: self.evaluate(node.elt))

    def of_SetComp(self, node: ast.SetComp) -> Any:
        return set(self.comprehension(node, lambda: self.key(self.evaluate(node.elt))))

    def of_DictComp(self, node: ast.DictComp) -> Any:
        pairs = self.comprehension(node, lambda: (self.key(self.evaluate(node.key)), self.evaluate(node.value)))
        where = self.place(node.key)
        return Table(pairs, self.place(node), {key: where for key, _ in pairs})

    def comprehension(self, node: Any, element: Callable[[], Any]) -> list[Any]:
        made: list[Any] = []
        outer = self.scope
        self.scope = Scope(outer)
        try:
            with self.allowance(node):
                self.generate(node.generators, made, element)
        finally:
            self.scope = outer
        return made

    def generate(self, generators: list[ast.comprehension], made: list[Any], element: Callable[[], Any]) -> None:
        if not generators:
            operators.bounded(len(made) + 1, made, self.limits)
            made.append(element())
            return
        first, *others = generators
        items = self.opened(self.evaluate(first.iter))
        if len(items) > self.limits.turns or first.is_async:
            raise TooMuch(f'it has {len(items):,} turns')
        for item in items:
            self.unpack(first.target, item)
            verdicts = [self.truth(self.evaluate(test)) for test in first.ifs]
            if None in verdicts:
                raise TooMuch('its condition is not known')
            if all(verdicts):
                self.generate(others, made, element)

    def allowance(self, node: ast.AST) -> Any:
        raise NotImplementedError

    def unpack(self, target: ast.expr, value: Any) -> None:
        raise NotImplementedError

    # Operators

    def of_BinOp(self, node: ast.BinOp) -> Any:
        chain: list[ast.BinOp] = [node]  # a long sum leans to the left
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
            self.charge(1)
        value = self.evaluate(chain[-1].left)
        for part in reversed(chain):
            value = self.combine(part, value, self.evaluate(part.right))
        return value

    def combine(self, node: ast.BinOp | ast.AugAssign, a: Any, b: Any) -> Any:
        kind = type(node.op)
        if isinstance(a, SYMBOLIC) or isinstance(b, SYMBOLIC):
            return self.symbolic(node, operators.BINARY[kind].__name__, (a, b))
        for value in (a, b):
            if isinstance(value, Unread):
                return value
        try:
            self.weighed(a, b)
            if kind in (ast.Mod, ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub) and not isinstance(a, dict):
                if not plain_throughout(a) or not plain_throughout(b):
                    return self.unread(node, 'a part of it is not known')
            made = operators.binary(kind, a, b, self.limits)
        except TooMuch as error:
            return self.unread(node, str(error))
        except FAULTS as error:
            said = ' '.join(str(error).split())[:100]
            return self.unread(node, f'Python would stop here with {type(error).__name__}: {said}')
        if not isinstance(made, dict):
            return made
        table = Table(place=self.place(node))
        for side in (a, b):
            table.take(side, self.place(node))
        return table

    def symbolic(self, node: ast.AST, name: str, values: tuple[Any, ...]) -> Any:
        """An operator of which a side is a call or a reference, kept as the call of that operator."""
        name = f'operator.{name.strip("_")}'
        return self.answered(Called(name, tuple(map(self.snapshot, values)), {}, self.place(node), self.lines.of(node)))

    def answered(self, value: Any) -> Any:
        """A call or attribute, or the plain value that whoever computes a loss has for it."""
        return value if self.asked is None else self.asked(value)

    def of_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.evaluate(node.operand)
        if isinstance(value, Unread):
            return value
        if isinstance(value, SYMBOLIC):
            return self.symbolic(node, operators.UNARY[type(node.op)].__name__, (value,))
        if isinstance(node.op, ast.Not):
            verdict = self.truth(value)
            return self.unread(node, 'which keys it has is not known') if verdict is None else not verdict
        return operators.UNARY[type(node.op)](value)

    def truth(self, value: Any) -> bool | None:
        """Whether a value is true; None where it is not known."""
        if isinstance(value, Table) and not value.whole:
            return True if any(not isinstance(part, Unread) for part in value.values()) else None
        return bool(value) if is_plain(value) else True if isinstance(value, (Function, Class)) else None

    def of_BoolOp(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for part in node.values:
            value = self.evaluate(part)
            verdict = self.truth(value)
            if verdict is None:
                unread = value if isinstance(value, Unread) else self.unread(node, 'a part of it is not known')
                values: list[Any] = [value]
                for later in node.values[node.values.index(part) + 1 :]:  # which may be evaluated, or not
                    self.either_value(unread, later, None, values)
                return maybe(unread, *values)
            if verdict is isinstance(node.op, ast.Or):
                break
        return value

    def of_IfExp(self, node: ast.IfExp) -> Any:
        verdict = self.truth(self.evaluate(node.test))
        if verdict is None:
            unread = self.unread(node, f'its condition `{self.lines.of(node.test, 60)}` is not known')
            values: list[Any] = []
            self.either_value(unread, node.body, node.orelse, values)
            first, second = values
            if first is second or (isinstance(first, SCALARS) and type(first) is type(second) and first == second):
                return first
            return maybe(unread, first, second)
        return self.evaluate(node.body if verdict else node.orelse)

    def either_value(self, unread: Unread, one: ast.expr, other: ast.expr | None, values: list[Any]) -> None:
        raise NotImplementedError

    def of_Compare(self, node: ast.Compare) -> Any:
        left = self.evaluate(node.left)
        answer: Any = True
        for kind, right_node in zip(node.ops, node.comparators):
            right = self.evaluate(right_node)
            answer = self.compared(node, type(kind), left, right, alone=len(node.ops) == 1)
            if isinstance(answer, UNKNOWN) or not answer:
                return answer
            left = right
        return answer

    def compared(self, node: ast.AST, kind: type[ast.cmpop], a: Any, b: Any, *, alone: bool) -> Any:
        for value in (a, b):
            if isinstance(value, Unread):
                return value
        if kind in (ast.Is, ast.IsNot):
            if a is None or b is None:
                known = all(is_plain(value) or isinstance(value, (Function, Class)) for value in (a, b))
                return (a is b) == (kind is ast.Is) if known else self.unread(node, 'a side of it is not known')
            if not (isinstance(a, bool) and isinstance(b, bool)):
                return self.unread(node, 'whether two values are one is not known')
        if isinstance(a, SYMBOLIC) or isinstance(b, SYMBOLIC):
            if alone:
                return self.symbolic(node, operators.COMPARISONS[kind].__name__, (a, b))
            return self.unread(node, 'a side of it is not known')
        self.weighed(a, b)
        if not plain_throughout(a) or not plain_throughout(b):
            return self.unread(node, 'a part of it is not known')
        return operators.COMPARISONS[kind](a, b)

    # Attributes and subscripts

    def of_Attribute(self, node: ast.Attribute) -> Any:
        value = self.evaluate(node.value)
        if isinstance(value, Unread):
            return value
        if isinstance(value, Reference) and value.on is None:
            return Reference(f'{value.name}.{node.attr}', self.place(node))
        owner = value.target if isinstance(value, Called) else value
        if isinstance(owner, Class):
            found = self.of_class(owner, node.attr)
            if found is not None:
                return found[0]
        if isinstance(value, SYMBOLIC):
            return self.answered(Reference(f'.{node.attr}', self.place(node), value))
        return self.attribute(node, value)

    def attribute(self, node: ast.Attribute, value: Any) -> Any:
        """An attribute of a plain value; readers for which some have one override it."""
        return self.unread(node, 'attributes of values are not evaluated')

    def of_class(self, owner: Class, name: str) -> tuple[Any] | None:
        """What a class of the source, or one that it is made from, has under a name."""
        waiting: list[Any] = [owner]
        for _ in range(self.limits.nesting):
            if not waiting:
                return None
            candidate = waiting.pop(0)
            if isinstance(candidate, Class):
                if name in candidate.scope:
                    return (candidate.scope[name],)
                waiting.extend(candidate.bases)
        return None

    def of_Subscript(self, node: ast.Subscript) -> Any:
        value = self.evaluate(node.value)
        index = self.index_of_array(node.slice) if isinstance(value, (Called, Reference)) else self.evaluate(node.slice)
        for part in (value, index):
            if isinstance(part, Unread):
                return part
        if isinstance(value, SYMBOLIC) or isinstance(index, SYMBOLIC):
            return self.symbolic(node, 'getitem', (value, index))
        self.weighed(index)
        if isinstance(index, slice) and isinstance(value, (list, tuple, str, bytes)):
            self.charge(len(value) // 8)
        return value[index]

    def index_of_array(self, node: ast.expr) -> Any:
        """As ``evaluate``, with ``...`` as it is."""
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        if any(isinstance(part, ast.Starred) for part in parts):
            return self.evaluate(node)
        found = [... if isinstance(part, ast.Constant) and part.value is ... else self.evaluate(part) for part in parts]
        unread = next((part for part in found if isinstance(part, Unread)), None)
        return unread or (tuple(found) if isinstance(node, ast.Tuple) else found[0])

    def of_Slice(self, node: ast.Slice) -> Any:
        parts = [None if part is None else self.evaluate(part) for part in (node.lower, node.upper, node.step)]
        for part in parts:
            if isinstance(part, UNKNOWN):
                return part if isinstance(part, Unread) else self.unread(node, 'a border of the slice is not known')
        return slice(*parts)

    # Calls

    def of_Call(self, node: ast.Call) -> Any:
        receiver: Any = None
        if isinstance(node.func, ast.Attribute):
            receiver = self.evaluate(node.func.value)
            if isinstance(receiver, Maybe):
                self.forget([receiver], receiver)
            if is_plain(receiver):
                return self.of_method(node, node.func, receiver)
        function = self.function_called(node.func, receiver)
        args, kwargs, starred = self.arguments(node)
        name = function.name if isinstance(function, Reference) else ''
        if name in FUNCTIONS and not starred and not (isinstance(function, Reference) and function.on is not None):
            return self.known(node, name, args, kwargs)
        return self.heard(self.called(node, function, args, kwargs, starred), args, kwargs)

    def function_called(self, node: ast.expr, receiver: Any) -> Any:
        """What is called: as ``evaluate``, but the method of an unknown value keeps its name."""
        if isinstance(node, ast.Attribute) and isinstance(receiver, Unread):
            return Reference(f'.{node.attr}', self.place(node), receiver)
        if isinstance(node, ast.Attribute) and isinstance(receiver, SYMBOLIC):
            if isinstance(receiver, Reference) and receiver.on is None:
                return Reference(f'{receiver.name}.{node.attr}', self.place(node))
            owner = receiver.target if isinstance(receiver, Called) else receiver
            found = self.of_class(owner, node.attr) if isinstance(owner, Class) else None
            if found is None or isinstance(found[0], Function):  # which would take the instance first
                return Reference(f'.{node.attr}', self.place(node), receiver)
            return found[0]
        return self.evaluate(node)

    def arguments(self, node: ast.Call) -> tuple[list[Any], Table, bool]:
        args: list[Any] = []
        kwargs, starred = Table(place=self.place(node)), False
        for part in node.args:
            value = self.evaluate(part.value if isinstance(part, ast.Starred) else part)
            if not isinstance(part, ast.Starred):
                args.append(value)
            elif is_plain(value):
                args.extend(self.opened(value))
            else:
                starred = True
        for word in node.keywords:
            value = self.evaluate(word.value)
            if word.arg is not None:
                kwargs.put(word.arg, value, self.place(word))
            elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
                kwargs.take(value, self.place(word))
            else:
                starred = True
        operators.bounded(len(args) + len(kwargs), [], self.limits)
        return args, kwargs, starred

    def called(self, node: ast.Call, function: Any, args: list[Any], kwargs: Table, starred: bool) -> Called:
        name, on, target = '', function, None
        if isinstance(function, Reference):
            name, on = function.name, function.on
        elif isinstance(function, (Function, Class)):
            name, on, target = function.name, None, function
        elif is_plain(function):
            on = self.unread(node.func, 'a plain value is called')
        copied = Table(((key, self.snapshot(value)) for key, value in kwargs.items()), kwargs.place, kwargs.places)
        return Called(
            name,
            tuple(map(self.snapshot, args)),
            copied,
            self.place(node),
            self.lines.of(node),
            on,
            target,
            starred,
        )

    def snapshot(self, value: Any) -> Any:
        """The value as it is now: what the source changes afterwards does not reach it."""
        if not isinstance(value, (dict, list, tuple, set)):
            return value
        try:
            self.weighed(value)
        except TooMuch as error:
            return Unread(str(error), Place(self.file))
        return clone(value)

    def known(self, node: ast.Call, name: str, args: list[Any], kwargs: Table) -> Any:
        """A builtin of plain values."""
        for value in (*args, *kwargs.values()) if name != 'dict' else args:
            if isinstance(value, Unread):
                return value
            if not isinstance(value, PLAIN):
                return self.heard(self.called(node, Reference(name, self.place(node)), args, kwargs, starred=False))
        if name in DEEP or name == 'copy.deepcopy':
            self.weighed(*args, *kwargs.values())
        if name in DEEP and not all(map(plain_throughout, (*args, *kwargs.values()))):
            if self.asked is not None:  # a sum of a list of arrays
                return self.heard(self.called(node, Reference(name, self.place(node)), args, kwargs, starred=False))
            return self.unread(node, 'a part of it is not known')
        self.charge(sum(len(value) // 8 for value in args if isinstance(value, (list, tuple, dict, set, str))))
        made = FUNCTIONS[name](self.limits, self.place(node), *args, **kwargs)
        if isinstance(made, Table) and name.endswith('ict'):
            made.places.update(kwargs.places)
        return made

    def of_method(self, node: ast.Call, func: ast.Attribute, value: Any) -> Any:
        """A method of a plain value."""
        args, kwargs, starred = self.arguments(node)
        name = func.attr
        if starred:
            return self.spoilt(node, func, value, 'what * or ** brings is not known')
        if isinstance(value, dict) and name == 'update':
            return self.of_update(node, func, value, args, kwargs)
        function = method(value, name)
        if function is None:
            return self.spoilt(node, func, value, f'the method {name} is not evaluated')
        if name in COMPARING:
            self.weighed(value, *args, *kwargs.values())
            if not all(map(plain_throughout, (value, *args))):
                return self.spoilt(node, func, value, 'a part of it is not known')
        if isinstance(value, (dict, str)) or name in ('extend', 'pop', 'insert', 'remove'):
            spoils = args if isinstance(value, str) or name == 'extend' else args[:1]
            if any(isinstance(part, UNKNOWN) for part in spoils):
                return self.spoilt(node, func, value, 'an argument is not known')
        self.charge(len(value) // 8 if not isinstance(value, (int, float, complex, type(None))) else 0)
        if args and isinstance(value, dict):
            self.weighed(args[0])
        made = function(self.limits, value, *args, **kwargs)
        if isinstance(made, (str, bytes, list, tuple, dict)):
            operators.bounded(len(made), made, self.limits)
        return made

    def of_update(
        self, node: ast.Call, func: ast.Attribute, table: dict[Any, Any], args: list[Any], kwargs: Table
    ) -> Any:
        for value in args:
            pairs = value if isinstance(value, dict) else None
            if isinstance(value, (list, tuple)):
                pairs = FUNCTIONS['dict'](self.limits, self.place(node), value)
            if pairs is None:
                return self.spoilt(node, func, table, 'what it is updated with is not known')
            self.take(table, pairs, node)
        self.take(table, kwargs, node)
        return None

    def take(self, table: dict[Any, Any], more: dict[Any, Any], node: ast.AST) -> None:
        self.charge(len(more))
        operators.bounded(len(table) + len(more), table, self.limits)
        if isinstance(table, Table):
            table.take(more, self.place(node))
        else:
            table.update(more)

    def spoilt(self, node: ast.Call, func: ast.Attribute, value: Any, reason: str) -> Unread:
        """A method that may change its value was not evaluated: the value is no longer known, wherever it is held."""
        unread = self.unread(node, reason)
        if isinstance(value, (dict, list, set)):
            self.forget([value], unread)
        return unread

    def forget(self, values: Iterable[Any], unread: Unread) -> None:
        raise NotImplementedError
