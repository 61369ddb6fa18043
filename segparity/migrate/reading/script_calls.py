"""Follows a script or the cells of a notebook, and keeps the calls it makes."""

import ast
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from segparity.migrate.items import Item, Place, Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.expressions import Spent
from segparity.migrate.reading.libraries import full_name
from segparity.migrate.reading.script_items import Items
from segparity.migrate.reading.values import Called, Function, Limits, Scope

LIMITS = Limits(turns=64)  # a loop of more turns is followed once: it is over images or epochs
MOST = 3_000  # calls that are kept for the notes
OPERATORS = {ast.Div: '/', ast.Mult: '*', ast.Sub: '-', ast.Mod: '%'}


@dataclasses.dataclass(frozen=True, eq=False)
class Heard:
    """A call of the script. sure: its arguments are those of a call, not the defaults of the function in which it stands."""

    called: Called
    sure: bool
    owner: str = ''


class Budget:
    """The steps that all parts of a source share."""

    def __init__(self) -> None:
        self.spent = 0
        self.most = LIMITS.steps

    def refill(self) -> None:
        self.most = self.spent + LIMITS.steps


class Follower(Evaluator):
    """An evaluator whose steps are those of the whole source."""

    def __init__(self, text: str, file: str, budget: Budget, **words: Any) -> None:
        super().__init__(text, file, **words)
        self.budget = budget
        self.deadline = 4 * LIMITS.steps  # the budget ends before

    def charge(self, steps: int) -> None:
        self.budget.spent += steps
        if self.budget.spent > self.budget.most:
            raise Spent
        super().charge(steps)


class Script:
    """Follows parts of a source that share their names, and keeps every call that is not evaluated.

    parts: (file as places name it, text). wanted: whether a call is of interest; a function of the script in whose body
    one stands is followed with the arguments of each of its calls, and with its defaults where it is not called.
    ValueError, one sentence, where a part is no Python.
    """

    def __init__(self, parts: Sequence[tuple[str, str]], wanted: Callable[[ast.Call], bool]) -> None:
        self.items = Items()
        self.heard: list[Heard] = []
        self.scope = Scope()
        self.unread: list[Unread] = []
        self.wanted = wanted
        self.sure = True
        self.holding: dict[int, bool] = {}
        self.kept: list[ast.AST] = []
        self.evaluators: list[Follower] = []
        self.budget = Budget()
        for file, text in parts:
            evaluator = Follower(text, file, self.budget, on_call=self.hear, scope=self.scope, limits=LIMITS)
            self.items.evaluators[file] = evaluator
            self.evaluators.append(evaluator)
            self.follow(evaluator, lambda evaluator: evaluator.run())
        self.items.stars = tuple(self.scope.stars)
        self.sure = False
        self.budget.refill()
        for evaluator in self.evaluators:
            self.follow(evaluator, lambda evaluator: evaluator.follow_functions())
        self.sure = True
        self.budget.refill()  # for what items ask afterwards
        self.unread.extend(self.scope.unread)

    def follow(self, evaluator: 'Follower', what: Callable[['Follower'], Any]) -> None:
        """Follows a part; where that takes too long, what was heard until then counts."""
        try:
            what(evaluator)
        except (Spent, RecursionError, ValueError):
            self.unread.append(Unread('it takes too long, or is nested too deeply, to be followed to its end', Place(evaluator.file)))
        evaluator.scope = self.scope
        evaluator.depth = evaluator.calls = 0

    def hear(self, called: Called, scope: Scope) -> None:
        if not self.items.listening:
            return
        if len(self.heard) < 20_000:
            self.heard.append(Heard(called, self.sure))
        function = called.target
        if isinstance(function, Function) and self.holds(function.node):
            evaluator = self.items.evaluators.get(function.place.file)
            if evaluator is not None and not called.starred:
                outer = evaluator.scope
                evaluator.call(function, called.args, called.kwargs)
                evaluator.scope = outer

    def holds(self, node: ast.AST) -> bool:
        """Whether a call that is wanted stands in a function."""
        if id(node) not in self.holding:
            self.kept.append(node)
            self.holding[id(node)] = any(isinstance(part, ast.Call) and self.wanted(part) for part in ast.walk(node))
        return self.holding[id(node)]

    def calls(self, name: str) -> Iterator[Called]:
        """Those whose last name is so, in their order."""
        for heard in self.heard:
            if last_name(heard.called) == name:
                yield heard.called

    def seen_calls(self) -> list[Item]:
        """Every call once, by the last part of its name, with its plain arguments; divisions by a number among them."""
        found: dict[Any, Item] = {}
        for heard in self.heard:
            name = last_name(heard.called)
            if name and len(found) < MOST:
                arguments = {str(i): _plain(v) for i, v in enumerate(heard.called.args)}
                arguments |= {word: _plain(v) for word, v in heard.called.kwargs.items()}
                key = (name, *((k, v if isinstance(v, (str, int, float, bool)) else str(v)) for k, v in arguments.items()))
                found.setdefault(key, Item('', name, arguments, heard.called.place, text=heard.called.text))
        for evaluator in self.evaluators:
            for node in ast.walk(evaluator.tree):
                sign = OPERATORS.get(type(node.op)) if isinstance(node, (ast.BinOp, ast.AugAssign)) else None  # type: ignore[arg-type]
                right = getattr(node, 'right', getattr(node, 'value', None))
                if sign and isinstance(right, ast.Constant) and isinstance(right.value, (int, float)) and len(found) < MOST:
                    key = (sign, right.value)
                    place = Place(evaluator.file, getattr(node, 'lineno', 0))
                    found.setdefault(key, Item('', sign, {'1': right.value}, place, text=evaluator.lines.of(node)))
        return list(found.values())


def last_name(called: Called) -> str:
    """'Dice' of 'keras.losses.Dice', 'compile' of '.compile', '' where a value is called."""
    return called.name.rpartition('.')[2]


def _plain(value: Any) -> Any:
    """A scalar, a short list of these, or Unread."""
    if isinstance(value, (list, tuple)) and len(value) <= 16 and all(_is_scalar(v) for v in value):
        return tuple(value)
    return value if _is_scalar(value) else Unread('', Place(''))


def _is_scalar(value: Any) -> bool:
    return value is None or (isinstance(value, (str, int, float, bool)) and not (isinstance(value, str) and len(value) > 200))


def dotted(called: Called) -> str:
    """Its whole name as the library says it; '' for a method or a value."""
    return full_name(called.name) if called.on is None and not called.name.startswith('.') else ''
