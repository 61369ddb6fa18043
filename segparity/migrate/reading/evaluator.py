"""An evaluator of Python sources over their syntax tree, which executes and imports nothing.

``Evaluator(text, file).run()`` gives the names of a source with their values: plain Python where they can be known, else
the words of ``reading.values``. Every limit ends in a sentence (ValueError) or in ``Unread``.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from segparity.migrate.items import Unread
from segparity.migrate.reading.expressions import Spent
from segparity.migrate.reading.state import State
from segparity.migrate.reading.statements import Frame, Statements
from segparity.migrate.reading.text import Lines, parse, plain_lines
from segparity.migrate.reading.values import LIMITS, Called, Function, Limits, Maybe, Scope, maybe
from segparity.migrate.reading.weight import TooMuch, clone, weigh

Hearer = Callable[[Called, Scope], Any]


class Evaluator(Statements):
    """Follows one source.

    What is said is so in every way in which the source can run, but for these: a handler of ``try`` is taken to be idle; a
    list that an expression under way holds (``b + [f(b)]``) keeps its length while an unknown branch of ``f`` changes it;
    and what a function changes in an unknown branch may keep its old value where a conditional expression gave it the
    collection. Of 1,500 random programs made of such lines three are read wrong (``tests/migrate/test_evaluator_random.py``).

    text, file: the source, and what its places are called. on_call: is told every call that is not evaluated, in the order
    in which the source would make it, with the scope in which it stands; what it returns is ignored. scope: names that are
    known before. inline: whether calls of functions that the source defines are followed, and give what they return.
    run_functions: whether, after the rest, the body of every function and method is followed once for the calls in it,
    with the defaults of its parameters (``scope.defaults`` has their names) and Unread for the others.
    ValueError, one sentence, where the text is no Python or larger than ``limits`` allow.
    """

    def __init__(
        self,
        text: str,
        file: str,
        *,
        on_call: Hearer | None = None,
        scope: Scope | None = None,
        limits: Limits = LIMITS,
        inline: bool = False,
        run_functions: bool = False,
    ) -> None:
        text = plain_lines(text)
        self.file = file
        self.limits = limits
        self.tree = parse(text, file, limits)
        self.lines = Lines(text)
        self.scope = Scope() if scope is None else scope
        self.on_call = on_call
        self.inline = inline
        self.run_functions = run_functions
        self.frame = Frame()
        self.callers: list[Scope] = []
        self.steps = self.depth = self.calls = 0
        self.deadline = limits.steps

    def run(self) -> Scope:
        """Follows the whole source once; its names with their values, none of which is too heavy to be walked through."""
        try:
            self.block(self.tree.body)
            if self.run_functions:
                self.follow_functions()
        except Spent:
            raise ValueError(
                f'{self.file} takes more than {self.limits.steps:,} steps to be read: leave out what does not belong to '
                f'losses and metrics'
            ) from None
        except RecursionError:
            raise ValueError(f'{self.file} is nested too deeply to be read') from None
        self.lighten(self.scope)
        return self.scope

    def lighten(self, scope: Scope) -> None:
        """Makes Unread what is too heavy, alone or with the rest."""
        left = self.limits.weight
        for name, value in scope.items():
            try:
                left -= weigh(value, left) if isinstance(value, (dict, list, tuple, set, frozenset)) else 0
            except TooMuch as error:
                scope[name] = Unread(str(error), scope.places.get(name, self.place(self.tree)))

    def heard(self, called: Called, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if self.on_call is not None:
            self.on_call(called, self.scope)
        if self.inline and isinstance(called.target, Function) and not called.starred:
            return self.call(called.target, args, kwargs)
        return self.answered(called)

    def grant(self, steps: int) -> None:
        """Lets it take so many steps from now on."""
        self.deadline = self.steps + steps

    def call(self, function: Function, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """What a function of the source returns for these arguments, its body followed; Unread where it is not known."""
        node = function.node
        given = [*args, *(kwargs or {}).values()]
        for value in given:
            if isinstance(value, Maybe):
                self.forget([value], value)
        if self.calls >= self.limits.calls:
            return self.not_followed(node, given, 'functions call each other too deeply')
        if isinstance(node, ast.AsyncFunctionDef) or getattr(node, 'decorator_list', None):
            return self.not_followed(node, given, f'what {function.name} returns is changed by a decorator')
        if any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in ast.walk(node)):
            return self.not_followed(node, given, f'{function.name} is a generator')
        with self.inside(function, Scope(function.scope)) as frame:
            fault = self.bind_parameters(function, list(args), dict(kwargs or {}))
            if fault is not None:
                return fault
            try:
                if isinstance(node, ast.Lambda):
                    return self.evaluate(node.body)
                with self.allowance(node):
                    signal = self.block(node.body)
            except TooMuch as error:
                return self.not_followed(node, given, str(error))
            if signal == 'raise' or 'return' in frame.unsure:
                return maybe(self.unread(node, f'what {function.name} returns is not known'), *given, frame.value)
            return frame.value if signal == 'return' else None

    def not_followed(self, node: ast.AST, given: Sequence[Any], reason: str) -> Unread:
        """What a call gives whose body is not followed to its end; it may have changed what it was given."""
        unread = self.unread(node, reason)
        self.forget(given, unread)
        return unread

    @contextmanager
    def inside(self, function: Function, scope: Scope) -> Iterator[Frame]:
        outer, frame, self.scope, self.frame = self.scope, self.frame, scope, Frame()
        self.calls += 1
        self.callers.append(outer)
        try:
            yield self.frame
        finally:
            self.calls -= 1
            self.callers.pop()
            self.scope, self.frame = outer, frame

    def bind_parameters(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Unread | None:
        """Binds the parameters of a function in the scope that is entered; what is wrong with the arguments."""
        given = function.node.args
        names = [part.arg for part in (*given.posonlyargs, *given.args)]
        where = function.place
        if len(args) > len(names) and given.vararg is None:
            return self.unread(function.node, f'{function.name} takes fewer arguments')
        self.bind_defaults(function)
        for name, value in zip(names, args):
            self.scope.bind(name, value, where)
        if given.vararg is not None:
            self.scope.bind(given.vararg.arg, tuple(args[len(names) :]), where)
        more: dict[str, Any] = {}
        for name, value in kwargs.items():
            known = name in names or name in [part.arg for part in given.kwonlyargs]
            if known:
                self.scope.bind(name, value, where)
            else:
                more[name] = value
        if given.kwarg is not None:
            self.scope.bind(given.kwarg.arg, clone(more), where)
        elif more:
            return self.unread(function.node, f'{function.name} has no parameter {next(iter(more))}')
        return None

    def bind_defaults(self, function: Function) -> None:
        """Parameters hold their defaults, the others ``Unread``."""
        given, where = function.node.args, function.place
        names = [part.arg for part in (*given.posonlyargs, *given.args)]
        defaults: dict[str, ast.expr | None] = dict(zip(names[::-1], given.defaults[::-1]))
        defaults |= {part.arg: default for part, default in zip(given.kwonlyargs, given.kw_defaults)}
        inner, values = self.scope, {}
        self.scope = function.scope  # where defaults are evaluated
        try:
            for name, node in defaults.items():
                if node is not None:
                    values[name] = self.evaluate(node)
        finally:
            self.scope = inner
        for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if part is None:
                continue
            unread = Unread(f'it is the parameter {part.arg} of {function.name}', where, part.arg)
            inner.bind(part.arg, values.get(part.arg, unread), where)
        inner.defaults.update(values)

    def follow_functions(self) -> None:
        """The body of every function and method once, in their order, for the calls in it; it changes nothing outside."""
        waiting: list[tuple[ast.AST, Scope]] = [(self.tree, self.scope)]
        while waiting:
            owner, scope = waiting.pop()
            found: list[tuple[ast.AST, Scope]] = []
            for node in definitions(owner):
                if isinstance(node, ast.ClassDef):
                    found.append((node, scope))
                else:
                    found.append((node, self.follow(node, scope)))
            waiting.extend(reversed(found))

    def follow(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Scope:
        """One body; the scope that it leaves, in which the functions in it stand."""
        before = State([*self.chain(), scope], self.charge)
        function = Function(node.name, node, self.place(node), scope)
        inner = Scope(scope)
        with self.inside(function, inner):
            self.bind_defaults(function)
            try:
                with self.allowance(node):
                    self.block(node.body)
            except TooMuch as error:
                inner.unread.append(self.unread(node, str(error)))
                self.scope_of_module(scope).unread.append(inner.unread[-1])
        before.restore()
        return inner

    def scope_of_module(self, scope: Scope) -> Scope:
        while scope.parent is not None:
            scope = scope.parent
        return scope


def definitions(owner: ast.AST) -> Iterator[Any]:
    """The functions and classes that stand in a module, class or function, but not in one another."""
    waiting = list(ast.iter_child_nodes(owner))[::-1]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node
        elif isinstance(node, (ast.stmt, ast.excepthandler)):
            waiting.extend(list(ast.iter_child_nodes(node))[::-1])
