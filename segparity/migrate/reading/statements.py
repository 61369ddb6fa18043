"""Statements of a source, followed without running it."""

import ast
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from segparity.migrate.items import Unread
from segparity.migrate.reading import operators
from segparity.migrate.reading.expressions import FAULTS, UNKNOWN, Expressions, Spent
from segparity.migrate.reading.state import State, reachable, spoil
from segparity.migrate.reading.values import Called, Class, Function, Maybe, Reference, Scope, Table, is_plain, maybe
from segparity.migrate.reading.weight import TooMuch

HARMLESS = frozenset('name_scope device autocast variable_scope suppress'.split())  # with: of no effect on a value
ENDS_OF_LOOPS = frozenset({'break', 'continue'})
Signal = str | None  # 'break', 'continue', 'return', 'raise': how a block ended before its last statement


class Frame:
    """A function that is followed, or the module: what it returns, and whether it is known that it comes that far."""

    def __init__(self) -> None:
        self.value: Any = None
        self.unsure: set[str] = set()  # signals that one branch of an unknown condition gave


class Allowance(AbstractContextManager['Allowance']):
    """A loop's share of the steps; TooMuch where it is used up, while the source has some left."""

    def __init__(self, owner: Expressions) -> None:
        self.owner, self.outer = owner, owner.deadline
        owner.deadline = min(self.outer, owner.steps + (self.outer - owner.steps) // 4)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.owner.deadline = self.outer
        if kind is Spent and self.owner.steps <= self.outer:
            raise TooMuch('it takes too long') from None


class Statements(Expressions):
    """Follows statements: what is known is done, what is not known makes the names that it binds ``Unread``."""

    frame: Frame
    callers: list[Scope]

    def allowance(self, node: ast.AST) -> Allowance:
        return Allowance(self)

    def block(self, body: Iterable[ast.stmt]) -> Signal:
        for statement in body:
            signal = self.statement(statement)
            if signal is not None:
                return signal
        return None

    def statement(self, node: ast.stmt) -> Signal:
        self.charge(1)
        follow: Callable[[Any], Signal] | None = getattr(self, f'do_{type(node).__name__}', None)
        if follow is None or self.depth >= self.limits.nesting:
            self.forget_bound([node], self.unread(node, 'this statement is not followed'))
            return None
        self.depth += 1
        try:
            return follow(node)
        except TooMuch as error:
            self.forget_bound([node], self.unread(node, str(error)))
        except FAULTS as error:
            said = ' '.join(str(error).split())[:100]
            reason = f'Python would stop here with {type(error).__name__}: {said}'
            self.forget_bound([node], self.unread(node, reason))
        finally:
            self.depth -= 1
        return None

    # Names

    def do_Assign(self, node: ast.Assign) -> Signal:
        value = self.evaluate(node.value)
        for target in node.targets:
            self.unpack(target, value)
        return None

    def do_AnnAssign(self, node: ast.AnnAssign) -> Signal:
        if node.value is not None:
            self.unpack(node.target, self.evaluate(node.value))
        return None

    def do_AugAssign(self, node: ast.AugAssign) -> Signal:
        target = node.target
        before = self.evaluate(ast.copy_location(_loaded(target), target))
        more = self.evaluate(node.value)
        if isinstance(before, list) and isinstance(node.op, ast.Add) and is_plain(more):
            items = self.opened(more)
            operators.bounded(len(before) + len(items), before, self.limits)
            before.extend(items)  # every name of the list sees it
        elif isinstance(before, dict) and isinstance(node.op, ast.BitOr) and isinstance(more, dict):
            self.take(before, more, node)
        elif self.asked is not None and self.has_other_names(before):
            self.forget_expression(target, self.unread(node, 'it is changed in place under two names'))
        else:
            if isinstance(before, Maybe) or (isinstance(before, (dict, list)) and not is_plain(more)):
                self.forget([before], self.unread(node, 'what is added to it is not known'))
            self.unpack(target, self.combine(node, before, more))
        return None

    def has_other_names(self, value: Any) -> bool:
        """Whether an array has several names in the function."""
        return isinstance(value, (Called, Reference)) and sum(other is value for other in self.scope.values()) > 1

    def unpack(self, target: ast.expr, value: Any) -> None:
        """Binds a value to a name, a subscript, an attribute or several of them."""
        self.charge(1)
        if isinstance(target, ast.Name):
            self.scope.bind(target.id, value, self.place(target))
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack_several(target, value)
        elif isinstance(target, ast.Subscript):
            self.put_item(target, value)
        elif isinstance(target, ast.Attribute):
            self.put_attribute(target, value)
        elif isinstance(target, ast.Starred):
            self.unpack(target.value, value)

    def unpack_several(self, target: ast.Tuple | ast.List, value: Any) -> None:
        targets = target.elts
        if not is_plain(value):
            unread = value if isinstance(value, Unread) else self.unread(target, 'a part of a value that is not known')
            for part in targets:
                self.unpack(part, unread)
            return
        values = self.opened(value)
        stars = [index for index, part in enumerate(targets) if isinstance(part, ast.Starred)]
        if stars and len(values) >= len(targets) - 1:
            first, after = stars[0], len(targets) - stars[0] - 1
            values = [*values[:first], values[first : len(values) - after], *values[len(values) - after :]]
        if len(values) != len(targets):
            raise ValueError(f'{len(values)} values for {len(targets)} names')
        for part, item in zip(targets, values):
            self.unpack(part, item)

    def put_item(self, target: ast.Subscript, value: Any) -> None:
        owner, index = self.evaluate(target.value), self.evaluate(target.slice)
        if isinstance(owner, (dict, list)) and isinstance(index, (*UNKNOWN, slice)):
            reason = index.reason if isinstance(index, Unread) else 'which of its items was changed is not known'
            self.forget([owner], self.unread(target, reason))
        elif isinstance(owner, dict):
            self.weighed(index)
            operators.bounded(len(owner) + 1, owner, self.limits)
            self.put_key(owner, index, value, target)
        elif isinstance(owner, list):
            owner[index] = value
        elif isinstance(owner, Maybe):
            self.forget([owner], owner)
        elif is_plain(owner):
            raise TypeError('this has no items that can be changed')
        elif self.asked is not None:
            self.forget_expression(target.value, self.unread(target, 'items of an array are changed'))

    def put_key(self, owner: dict[Any, Any], key: Any, value: Any, node: ast.AST) -> None:
        if isinstance(owner, Table):
            owner.put(key, value, self.place(node))
        else:
            owner[key] = value

    def put_attribute(self, target: ast.Attribute, value: Any) -> None:
        """``a.b = value``; attributes of a class of the source are kept."""
        owner = self.evaluate(target.value)
        if isinstance(owner, Class):
            owner.scope.bind(target.attr, value, self.place(target))

    def do_Delete(self, node: ast.Delete) -> Signal:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.scope.pop(target.id, None)
            elif isinstance(target, ast.Attribute):
                self.delete_attribute(target)
            elif isinstance(target, ast.Subscript):
                owner, index = self.evaluate(target.value), self.evaluate(target.slice)
                if isinstance(owner, Maybe):
                    self.forget([owner], owner)
                elif isinstance(owner, (dict, list)) and isinstance(index, UNKNOWN):
                    self.forget([owner], self.unread(target, 'which of its items was deleted is not known'))
                elif isinstance(owner, (dict, list)):
                    self.weighed(index)
                    del owner[index]
        return None

    def delete_attribute(self, target: ast.Attribute) -> None:
        owner = self.evaluate(target.value)
        if isinstance(owner, Class):
            owner.scope.pop(target.attr, None)

    def forget(self, values: Iterable[Any], unread: Unread) -> None:
        """Collections, and those in them, are no longer known: whatever holds one of them holds ``unread``."""
        found = reachable(
            (value for value in values if isinstance(value, (dict, list, set, tuple, Maybe))), self.charge
        )
        if found:
            spoil(found, self.chain(), unread, self.charge)

    def forget_expression(self, node: ast.expr, unread: Unread) -> None:
        """The value of an expression is no longer known, under any of its names."""
        value = self.evaluate(node)
        self.forget([value], unread)
        while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
            node = node.func if isinstance(node, ast.Call) else node.value
        names = [name for name, other in self.scope.items() if other is value]
        for name in {*names, *([node.id] if isinstance(node, ast.Name) else [])}:
            self.scope.bind(name, unread, unread.place)

    def forget_bound(self, body: Iterable[ast.stmt], unread: Unread) -> None:
        """What statements bind, or change by a method or an item, is no longer known."""
        body = list(body)
        changed = []
        for name in changed_names(body):
            holder = self.scope.holder(name)
            if holder is not None:
                changed.append(holder[name])
        self.forget(changed, unread)
        for name in stored(body):
            holder = self.scope.holder(name)
            before = None if holder is None else holder[name]
            self.scope.bind(name, maybe(unread, before), unread.place)

    # Conditions and loops

    def do_If(self, node: ast.If) -> Signal:
        while True:
            verdict = self.truth(self.evaluate(node.test))
            if verdict is None:
                break
            if verdict:
                return self.block(node.body)
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                return self.block(node.orelse)
            node = node.orelse[0]
            self.charge(1)
        reason = f'it depends on `{self.lines.of(node.test, 60)}`, which is not known'
        return self.either(node, reason, lambda: self.block(node.body), lambda: self.block(node.orelse))

    def either(self, node: ast.AST, reason: str, one: Callable[[], Signal], other: Callable[[], Signal]) -> Signal:
        """Follows both ways from the same state; afterwards only what both leave in common is known."""
        self.charge(20)
        before = State(self.chain(), self.charge)
        first = one()
        after = before.after()
        before.restore()
        second = other()
        self.frame.unsure.update(signal for signal in (first, second) if signal and signal != 'raise')
        if first is not None and second is None:
            return None  # the way that ended early does not go on: what follows sees the other
        if second is not None and first is None:
            after.restore()
            return None
        before.merge(after, self.unread(node, reason))
        return first if second in (first, 'raise') else second

    def either_value(self, unread: Unread, one: ast.expr, other: ast.expr | None, values: list[Any]) -> None:
        """The values of two expressions of which one is evaluated, or of one that may be evaluated."""
        if not any(
            isinstance(part, (ast.Call, ast.NamedExpr)) for way in (one, other) if way for part in ast.walk(way)
        ):
            values += [self.evaluate(way) for way in (one, other) if way]
            return

        def way(node: ast.expr | None) -> None:
            if node is not None:
                values.append(self.evaluate(node))

        self.either(one, unread.reason, lambda: way(one), lambda: way(other))

    def chain(self) -> list[Scope]:
        """Every scope that what is followed may change."""
        scopes: dict[int, Scope] = {}
        for start in (self.scope, *self.callers):
            scope: Scope | None = start
            while scope is not None and id(scope) not in scopes:
                scopes[id(scope)] = scope
                scope = scope.parent
        return list(scopes.values())

    def do_For(self, node: ast.For) -> Signal:
        value = self.evaluate(node.iter)
        if not is_plain(value):
            reason = value.reason if isinstance(value, Unread) else f'the loop over `{self.lines.of(node.iter, 60)}`'
            return self.unknown_loop(node, f'{reason} is not known' if not isinstance(value, Unread) else reason)
        items = self.opened(value)
        if len(items) > self.limits.turns:
            return self.unknown_loop(node, f'the loop has {len(items):,} turns')
        outer = self.frame.unsure & ENDS_OF_LOOPS
        self.frame.unsure -= ENDS_OF_LOOPS
        left: Signal = None
        with self.allowance(node):
            for item in items:
                self.unpack(node.target, item)
                signal = self.block(node.body)
                if signal == 'break':
                    break
                if signal in ('return', 'raise'):
                    return signal
            else:
                left = self.block(node.orelse)
        if self.frame.unsure & ENDS_OF_LOOPS:
            self.forget_bound([node], self.unread(node, 'where the loop ends is not known'))
        self.frame.unsure = (self.frame.unsure - ENDS_OF_LOOPS) | outer
        return left

    def do_AsyncFor(self, node: ast.AsyncFor) -> Signal:
        return self.unknown_loop(node, 'the loop waits')

    def do_While(self, node: ast.While) -> Signal:
        verdict = self.truth(self.evaluate(node.test))
        if verdict is False:
            return self.block(node.orelse)
        return self.unknown_loop(node, f'it depends on the loop `while {self.lines.of(node.test, 60)}`')

    def unknown_loop(self, node: ast.For | ast.AsyncFor | ast.While, reason: str) -> Signal:
        """The body is followed once, for the calls in it; what it binds or changes is not known afterwards."""
        unread = self.unread(node, reason)

        def body() -> Signal:
            if not isinstance(node, ast.While):
                self.unpack(node.target, unread)
            self.forget_bound(node.body, unread)
            if self.block(node.body) == 'return':
                self.frame.unsure.add('return')
            left = self.block(node.orelse)
            if left is not None and left != 'raise':
                after.add(left)
            return None

        after: set[str] = set()
        outer = self.frame.unsure & ENDS_OF_LOOPS
        self.either(node, reason, body, lambda: None)
        self.forget_bound([node], unread)
        self.frame.unsure = (self.frame.unsure - ENDS_OF_LOOPS) | outer | after
        return None

    # Blocks

    def do_With(self, node: ast.With | ast.AsyncWith) -> Signal:
        for item in node.items:
            value = self.evaluate(item.context_expr)
            name = getattr(value, 'name', '').rpartition('.')[2]
            if self.asked is not None and name not in HARMLESS:
                self.forget_bound([node], self.unread(item.context_expr, f'it stands inside with {name}'))
                return None
            if item.optional_vars is not None:
                unread = self.unread(item.context_expr, 'what a with statement gives is not known')
                self.unpack(item.optional_vars, unread if is_plain(value) else value)
        return self.block(node.body)

    do_AsyncWith = do_With  # noqa: N815 - named by Python

    def do_Try(self, node: ast.Try) -> Signal:
        signal = self.block(node.body)
        if signal is None:
            signal = self.block(node.orelse)
        return self.block(node.finalbody) or (None if signal == 'raise' else signal)

    do_TryStar = do_Try  # noqa: N815 - named by Python

    def do_Match(self, node: ast.Match) -> Signal:
        self.evaluate(node.subject)
        self.forget_bound([node], self.unread(node, 'a match statement is not followed'))
        return None

    # Imports and definitions

    def do_Import(self, node: ast.Import) -> Signal:
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.partition('.')[0]
            self.scope.bind(alias.asname or name, Reference(name, self.place(node)), self.place(node))
        return None

    def do_ImportFrom(self, node: ast.ImportFrom) -> Signal:
        module = '.' * node.level + (node.module or '')
        for alias in node.names:
            if alias.name == '*':
                self.scope.stars.append(module)
                continue
            name = f'{module}{"" if module.endswith(".") else "."}{alias.name}'
            self.scope.bind(alias.asname or alias.name, Reference(name, self.place(node)), self.place(node))
        return None

    def do_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signal:
        self.scope.bind(node.name, Function(node.name, node, self.place(node), self.scope), self.place(node))
        return None

    do_AsyncFunctionDef = do_FunctionDef  # noqa: N815 - named by Python

    def do_ClassDef(self, node: ast.ClassDef) -> Signal:
        bases = tuple(self.evaluate(base) for base in node.bases)
        outer = self.scope
        self.scope = Scope(outer)
        try:
            self.block(node.body)
            made = Class(node.name, node, self.place(node), self.scope, bases)
        finally:
            self.scope = outer
        self.scope.bind(node.name, made, self.place(node))
        return None

    def do_Global(self, node: ast.Global | ast.Nonlocal) -> Signal:
        self.scope.outer.update(node.names)
        return None

    do_Nonlocal = do_Global  # noqa: N815 - named by Python

    # Short ones

    def do_Expr(self, node: ast.Expr) -> Signal:
        value = self.evaluate(node.value)
        if (
            self.asked is not None
            and isinstance(value, Called)
            and value.name.startswith('.')
            and value.name[-1] == '_'
        ):
            if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
                self.forget_expression(node.value.func.value, self.unread(node, 'it is changed in place'))
        return None

    def do_Pass(self, node: ast.Pass) -> Signal:
        return None

    def do_Assert(self, node: ast.Assert) -> Signal:
        return None

    def do_Break(self, node: ast.Break) -> Signal:
        return 'break'

    def do_Continue(self, node: ast.Continue) -> Signal:
        return 'continue'

    def do_Raise(self, node: ast.Raise) -> Signal:
        return 'raise'

    def do_Return(self, node: ast.Return) -> Signal:
        self.frame.value = None if node.value is None else self.evaluate(node.value)
        return 'return'


def _loaded(node: ast.expr) -> ast.expr:
    """The target of ``+=`` as what is read before."""
    if isinstance(node, ast.Name):
        return ast.Name(node.id, ast.Load())
    if isinstance(node, ast.Attribute):
        return ast.Attribute(node.value, node.attr, ast.Load())
    assert isinstance(node, ast.Subscript)  # noqa: S101 - Python has no other
    return ast.Subscript(node.value, node.slice, ast.Load())


def stored(body: Iterable[ast.stmt]) -> set[str]:
    """The names that statements bind."""
    names: set[str] = set()
    for node in _walk(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name.partition('.')[0] for alias in node.names if alias.name != '*')
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
    return names


def changed_names(body: Iterable[ast.stmt]) -> set[str]:
    """The names whose values statements may change by a method or an item."""
    names: set[str] = set()
    for node in _walk(body):
        changed: ast.expr | None = None
        if isinstance(node, (ast.Subscript, ast.Attribute)) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = node.func.value
        elif isinstance(node, ast.AugAssign):
            changed = node.target
        while isinstance(changed, (ast.Subscript, ast.Attribute)):
            changed = changed.value
        if isinstance(changed, ast.Name):
            names.add(changed.id)
    return names


def _walk(body: Iterable[ast.stmt]) -> Iterable[ast.AST]:
    for statement in body:
        yield from ast.walk(statement)
