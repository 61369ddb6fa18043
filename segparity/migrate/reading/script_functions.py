"""Functions and classes of a project, followed where a reader asks what they return."""

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.expressions import Spent
from segparity.migrate.reading.values import Called, Class, Function

SOURCE = 4000  # characters of an own function's text
HARMLESS = frozenset('function register_keras_serializable jit no_automatic_dependency_tracking staticmethod'.split())


class Functions:
    """What a script's own functions return.

    evaluators: by the file that a place names, for following a function of the script. stars: modules of which the script
    imports everything. listening: whether what is followed counts as calls of the script. find: the value of a dotted name
    in another file of the project, or None. missing: what is defined in no file that is read, by its name. asked: what
    evaluators ask for shapes while a loss is computed, which then also heed what changes a value in place.
    """

    def __init__(self) -> None:
        self.evaluators: dict[str, Evaluator] = {}
        self.stars: Sequence[str] = ()
        self.listening = True
        self.asked: Callable[[Any], Any] | None = None
        self.remark: Callable[[str], None] = lambda sentence: None
        self.find: Callable[[str], Any] = lambda name: None
        self.missing: dict[str, Unread] = {}
        self.instances: dict[int, Called] = {}  # the object whose attributes a class has, as ``classes``
        self.classes: dict[int, Class] = {}  # by the identity of their scope, in which their methods stand

    def follow(
        self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any], owner: Class | None = None
    ) -> Any:
        """What a function of the script returns; nothing that is called meanwhile is heard. owner: the class of a method."""
        evaluator = self.evaluators.get(function.place.file)
        if evaluator is None:
            return Unread('the function was not read', function.place, function.name)
        before, self.listening = self.listening, False
        outer, asked = evaluator.scope, evaluator.asked
        evaluator.asked = self.asked
        args = self.with_self(function, args, owner)
        try:
            return evaluator.call(_undecorated(function), args, kwargs)
        except (Spent, RecursionError):
            return Unread('it takes too long', function.place, function.name)
        finally:
            self.listening = before
            evaluator.scope, evaluator.asked = outer, asked

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

    def make(self, value: Called, target: Class) -> None:
        """Follows ``__init__``, so that the class knows the attributes of its object."""
        self.classes[id(target.scope)], self.instances[id(target.scope)] = target, value
        init = target.scope.get('__init__')
        if isinstance(init, Function):
            self.follow(init, value.args, value.kwargs, target)


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
