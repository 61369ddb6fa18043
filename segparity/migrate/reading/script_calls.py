"""Follows a script or the cells of a notebook, and keeps the calls it makes."""

import ast
import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from segparity.migrate.items import Place, Unread
from segparity.migrate.note import SeenCall
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.expressions import Spent
from segparity.migrate.reading.files import content
from segparity.migrate.reading.libraries import full_name, of_library
from segparity.migrate.reading.script_items import Items, foreign
from segparity.migrate.reading.text import decode
from segparity.migrate.reading.values import Called, Class, Function, Limits, Scope

LIMITS = Limits(turns=64)  # a loop of more turns is followed once: it is over images or epochs
FILES, MODULE = 12, 1 << 19  # modules of the project that are read, and their size
HEARD = 20_000  # calls that are kept
MOST = 3_000  # calls that are kept for the notes
KERAS = re.compile(r'^\s*(?:import|from)\s+(?:tensorflow|keras|tf_keras|segmentation_models)\b', re.MULTILINE)
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

    def is_spent(self) -> bool:
        return self.spent > self.most

    def refill(self) -> None:
        self.most = self.spent + LIMITS.steps


class Follower(Evaluator):
    """An evaluator whose steps are those of the whole source."""

    def __init__(self, text: str, file: str, budget: Budget, **words: Any) -> None:
        super().__init__(text, file, **words)
        self.budget = budget
        self.deadline = 4 * LIMITS.steps  # the budget ends before
        self.worked: list[Called] = []  # every operator that was applied to what is not known
        self.returned: list[tuple[Place, Any]] = []
        self.owners: dict[int, str] = {}  # the class of a method, by the identity of its node
        self.following: list[ast.FunctionDef | ast.AsyncFunctionDef] = []

    def symbolic(self, node: ast.AST, name: str, values: tuple[Any, ...]) -> Any:
        made = super().symbolic(node, name, values)
        if self.asked is None and len(self.worked) < HEARD and isinstance(made, Called):
            self.worked.append(made)
        return made

    def do_Return(self, node: ast.Return) -> Any:
        signal = super().do_Return(node)
        if self.asked is None and len(self.returned) < HEARD and isinstance(self.frame.value, (Called, dict, tuple)):
            self.returned.append((self.place(node), self.frame.value))
        return signal

    def follow(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Scope:
        self.following.append(node)
        try:
            return super().follow(node, scope)
        finally:
            self.following.pop()

    def bind_defaults(self, function: Function) -> None:
        super().bind_defaults(function)
        owner = self.owners.get(id(function.node)) if self.following else None
        if owner and self.following[-1] is function.node:
            found = self.scope.holder(owner)
            value = None if found is None else found[owner]
            if isinstance(value, Class):  # its methods see what __init__ has bound, which is followed first
                self.scope.bind(function.node.args.args[0].arg, value, function.place)
                self.know_attributes(value, function)

    def know_attributes(self, owner: Class, method: Function) -> None:
        """Binds in the class what ``__init__`` binds; its calls are heard elsewhere."""
        init = owner.scope.get('__init__')
        if isinstance(init, Function) and init.node is not method.node:
            listener, self.on_call = self.on_call, None
            try:
                self.call(init, [owner])
            finally:
                self.on_call = listener

    def know_objects(self) -> None:
        """Methods that nothing calls are followed with an object, whose attributes are those that ``__init__`` binds."""
        for part in (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)):
            for node in part.body:
                if isinstance(node, ast.FunctionDef) and node.args.args and not is_without_object(node):
                    self.owners[id(node)] = part.name

    def grant(self, steps: int) -> None:
        super().grant(steps)
        self.budget.most = self.budget.spent + steps

    def charge(self, steps: int) -> None:
        self.budget.spent += steps
        if self.budget.spent > self.budget.most:
            raise Spent
        super().charge(steps)


def is_without_object(node: ast.FunctionDef) -> bool:
    """Whether the first argument of a method is no object of its class."""
    return any(isinstance(d, ast.Name) and d.id in {'staticmethod', 'classmethod'} for d in node.decorator_list)


class Script:
    """Follows parts of a source that share their names, and keeps every call that is not evaluated.

    parts: (file as places name it, text). wanted: whether a call is of interest; a function of the script in whose body
    one stands is followed with the arguments of each of its calls, and with its defaults where it is not called.
    folder: where its own modules lie, '' for none. ValueError, one sentence, where a part is no Python.
    """

    def __init__(self, parts: Sequence[tuple[str, str]], wanted: Callable[[ast.Call], bool], folder: str = '') -> None:
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
            if 'torch' in text and not KERAS.search(text):
                evaluator.know_objects()
            if not self.follow(evaluator, lambda evaluator: evaluator.run()):
                break  # what follows is not read, which has been said
        self.items.stars = tuple(self.scope.stars)
        self.modules = Modules(folder, self) if folder else None
        if self.modules is not None:
            self.items.find = self.modules.find
        self.sure = False
        self.budget.refill()
        for evaluator in self.evaluators:
            if not self.follow(evaluator, lambda evaluator: evaluator.follow_functions()):
                break
        self.sure = True
        if len(self.heard) >= HEARD:
            place = self.heard[-1].called.place
            self.unread.append(Unread(f'it makes more than {HEARD:,} calls: those after this one', place))
        self.budget.refill()  # for what items ask afterwards
        self.unread.extend(self.scope.unread)

    def follow(self, evaluator: 'Follower', what: Callable[['Follower'], Any]) -> bool:
        """Follows a part; where that takes too long, what was heard until then counts. Whether there are steps left."""
        ended = True
        try:
            what(evaluator)
        except (Spent, RecursionError, ValueError):
            ended = False
        evaluator.scope = self.scope
        evaluator.depth = evaluator.calls = 0
        left = not self.budget.is_spent()
        if not (ended and left):
            reason = 'it takes too long, or is nested too deeply, to be followed to the end'
            self.unread.append(Unread(reason, Place(evaluator.file)))
        return left

    def hear(self, called: Called, scope: Scope) -> None:
        if not self.items.listening:
            return
        if len(self.heard) < HEARD:
            self.heard.append(Heard(called, self.sure))
        function: Any = self.items.target(called) if called.on is not None else called.target
        if isinstance(function, Class) and self.holds(function.node):
            self.items.classes[id(function.scope)] = function
            function = function.scope.get('__init__')
        elif not isinstance(function, Function) or not self.holds(function.node):
            return
        evaluator = self.items.evaluators.get(function.place.file) if isinstance(function, Function) else None
        if evaluator is not None and not called.starred:
            outer = evaluator.scope
            evaluator.call(function, self.items.with_self(function, called.args), called.kwargs)
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

    def seen_calls(self) -> list[SeenCall]:
        """Every call once, by the last part of its name, with its plain arguments; divisions by a number among them."""
        found: dict[Any, SeenCall] = {}
        key: tuple[Any, ...]
        for heard in self.heard:
            name = last_name(heard.called)
            if name and len(found) < MOST:
                arguments = {str(i): _plain(v) for i, v in enumerate(heard.called.args)}
                arguments |= {word: _plain(v) for word, v in heard.called.kwargs.items()}
                key = (
                    name,
                    *((k, v if isinstance(v, (str, int, float, bool)) else str(v)) for k, v in arguments.items()),
                )
                found.setdefault(key, SeenCall(name, arguments))
        for evaluator in self.evaluators:
            for node in ast.walk(evaluator.tree):
                sign = OPERATORS.get(type(node.op)) if isinstance(node, (ast.BinOp, ast.AugAssign)) else None  # type: ignore[arg-type]
                right = getattr(node, 'right', getattr(node, 'value', None))
                if (
                    sign
                    and isinstance(right, ast.Constant)
                    and isinstance(right.value, (int, float))
                    and len(found) < MOST
                ):
                    key = (sign, right.value)
                    found.setdefault(key, SeenCall(sign, {'1': right.value}))
        return list(found.values())


class Modules:
    """The script's own modules: Python files in its folder and below, read and followed as the script is."""

    def __init__(self, folder: str, script: Script) -> None:
        self.folder = folder
        self.script = script
        self.known: dict[str, Scope | None] = {}
        self.names: dict[str, Any] = {}
        self.files: list[str] = []

    def find(self, name: str) -> Any:
        """The value of 'losses.dice_loss' or '.losses.dice_loss', or of a bare name that ``*`` brings; None if unknown."""
        if name not in self.names:
            self.names[name] = None
            if name.startswith('..') or foreign(name) or of_library(name):
                return None
            module, _, last = name.rpartition('.')
            modules = [module] if module.strip('.') else self.script.items.stars if name and not module else []
            for module in modules:
                scope = self.scope(module.lstrip('.'))
                if scope is not None and last in scope:
                    self.names[name] = scope[last]
                    break
        return self.names[name]

    def scope(self, module: str) -> Scope | None:
        """The names of a module that lies in the folder, under its whole dotted name or the end of it."""
        if module not in self.known:
            self.known[module] = None
            path = self.path(module)
            if path is not None:
                self.known[module] = self.followed(path)
        return self.known[module]

    def path(self, module: str) -> str | None:
        parts = module.split('.')
        if len(self.files) >= FILES or len(parts) > 8 or not all(part.isidentifier() for part in parts):
            return None
        inside = os.path.join(os.path.realpath(self.folder), '')
        above = inside.split(os.sep)[:-1]
        for start in range(len(parts)):
            if start and above[-start:] != parts[:start]:
                continue  # 'model.losses' is losses.py in the folder model
            for ending in ('.py', os.sep + '__init__.py'):
                path = os.path.join(self.folder, *parts[start:]) + ending
                if os.path.isfile(path) and os.path.realpath(path).startswith(inside):
                    return path
        return None

    def followed(self, path: str) -> Scope | None:
        scope, script = Scope(), self.script
        try:
            text = decode(content(path, MODULE), path)
            evaluator = Follower(text, path, script.budget, on_call=script.hear, scope=scope, limits=LIMITS)
        except (ValueError, OSError):
            return None
        before, script.items.listening = script.items.listening, False
        script.items.evaluators[path] = evaluator
        self.files.append(path)
        with contextlib.suppress(Spent, RecursionError, ValueError):
            evaluator.run()
        script.items.listening = before
        evaluator.depth = evaluator.calls = 0
        return scope


def last_name(called: Called) -> str:
    """'Dice' of 'keras.losses.Dice', 'compile' of '.compile', '' where a value is called."""
    return called.name.rpartition('.')[2]


def _plain(value: Any) -> Any:
    """A scalar, a short list of these, or Unread."""
    if isinstance(value, (list, tuple)) and len(value) <= 16 and all(_is_scalar(v) for v in value):
        return tuple(value)
    return value if _is_scalar(value) else Unread('', Place(''))


def _is_scalar(value: Any) -> bool:
    return value is None or (
        isinstance(value, (str, int, float, bool)) and not (isinstance(value, str) and len(value) > 200)
    )


def dotted(called: Called) -> str:
    """Its whole name as the library says it; '' for a method or a value."""
    return full_name(called.name) if called.on is None and not called.name.startswith('.') else ''
