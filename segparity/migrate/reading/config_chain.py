"""A configuration of MMEngine with its bases, read without executing or importing any of it."""

import ast
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from segparity.migrate.items import Place, Unread
from segparity.migrate.reading import data_configs, folders, placeholders
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.expressions import Spent
from segparity.migrate.reading.merging import DELETE, as_read, hooked, merge
from segparity.migrate.reading.text import decode, plain_lines, read_bytes
from segparity.migrate.reading.values import Called, Class, Function, Limits, Reference, Table
from segparity.migrate.reading.weight import TooMuch

LIMITS = Limits(steps=200_000, file_bytes=2_000_000)
FILES, DEPTH, BYTES = 80, 15, 4_000_000
BASE = '_base_'
CHANGE_ANYTHING = ('globals', 'locals', 'vars', 'exec', 'eval', 'setattr')
HARMLESS = ('print', 'repr', 'isinstance', 'type', 'hasattr', 'id', 'pprint.pprint', 'json.dumps', 'warnings.warn')


class ConfigEvaluator(Evaluator):
    """Follows one file. ``chain`` reads the files that it imports in ``with read_base()``."""

    def __init__(
        self, text: str, file: str, reader: 'Chain', path: str, stack: tuple[str, ...], limits: Limits
    ) -> None:
        super().__init__(text, file, limits=limits, inline=True)
        self.reader = reader
        self.path = path
        self.stack = stack
        self.rest: Unread | None = None

    def do_Assign(self, node: ast.Assign) -> str | None:
        if any(isinstance(target, ast.Name) and target.id == BASE for target in node.targets):
            return None  # read before
        return super().do_Assign(node)

    def do_With(self, node: ast.With | ast.AsyncWith) -> str | None:
        call = node.items[0].context_expr
        name = call.func if isinstance(call, ast.Call) else None
        if isinstance(name, (ast.Name, ast.Attribute)) and 'read_base' in (
            getattr(name, 'id', ''),
            getattr(name, 'attr', ''),
        ):
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom):
                    self.import_base(statement)
                else:
                    self.statement(statement)
            return None
        return super().do_With(node)

    def import_base(self, node: ast.ImportFrom) -> None:
        """The names that ``with read_base()`` brings from another configuration."""
        module = '.' * node.level + (node.module or '')
        before = self.reader.steps
        found = self.reader.module(node, self)
        self.charge(1 + before - self.reader.steps)
        if isinstance(found, Unread):
            for alias in node.names:
                if alias.name == '*':
                    self.rest = self.rest or found
                else:
                    self.scope.bind(alias.asname or alias.name, found, self.place(node))
            return
        for alias in node.names:
            if alias.name == '*':
                self.rest = self.rest or found.rest
                for key, value in found.items():
                    self.scope.bind(key, value, found.places.get(key, self.place(node)))
            else:
                unread = found.rest or self.unread(node, f'{module} has no {alias.name}')
                self.scope.bind(alias.asname or alias.name, found.get(alias.name, unread), self.place(node))

    def named_bases(self) -> list[tuple[Any, Place]] | None:
        """What ``_base_ = ...`` names, each with its place; None where the file has no such line."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == BASE:
                named: list[tuple[Any, Place]] = []
                waiting: list[ast.expr] = [node.value]
                while waiting:
                    part = waiting.pop(0)
                    if isinstance(part, (ast.List, ast.Tuple)):
                        waiting[:0] = part.elts
                        continue
                    try:
                        value = self.evaluate(part)
                    except (Spent, RecursionError):
                        value = self.unread(part, 'it takes too long')
                    named += [(name, self.place(part)) for name in flat(value)]
                return named
        return None

    def of_method(self, node: ast.Call, func: ast.Attribute, value: Any) -> Any:
        if func.attr != 'merge' or not (isinstance(value, Table) and value.attributes):
            return super().of_method(node, func, value)
        args, kwargs, starred = self.arguments(node)
        if len(args) != 1 or kwargs or starred or not isinstance(args[0], Table):
            return self.spoilt(node, func, value, 'what it is merged with is not known')
        self.weighed(value, args[0])
        if args[0].get(DELETE) is True:
            value.clear()
        self.take_all(value, as_read(merge(args[0], value, refuses=False)))
        return None

    def take_all(self, table: Table, merged: Table) -> None:
        table.clear()
        table.rest = merged.rest
        Table.take(table, merged, merged.place)

    def attribute(self, node: ast.Attribute, value: Any) -> Any:
        if isinstance(value, Table) and value.attributes:
            return value[node.attr]
        return super().attribute(node, value)

    def put_attribute(self, target: ast.Attribute, value: Any) -> None:
        owner = self.evaluate(target.value)
        if isinstance(owner, Table) and owner.attributes:
            self.put_key(owner, target.attr, value, target)
        elif isinstance(owner, dict):
            raise AttributeError(f'a dict has no attribute {target.attr}')
        else:
            super().put_attribute(target, value)

    def take(self, table: dict[Any, Any], more: dict[Any, Any], node: ast.AST) -> None:
        if not (isinstance(table, Table) and table.attributes):
            super().take(table, more, node)
            return
        known = more.places if isinstance(more, Table) else {}
        for key, value in list(more.items()):
            self.charge(1)
            if isinstance(table.get(key), Table) and isinstance(value, dict):
                if value is not table[key]:
                    self.take(table[key], value, node)
            else:
                table.put(key, hooked(value), known.get(key, self.place(node)))

    def put_key(self, owner: dict[Any, Any], key: Any, value: Any, node: ast.AST) -> None:
        super().put_key(owner, key, hooked(value) if isinstance(owner, Table) and owner.attributes else value, node)

    def delete_attribute(self, target: ast.Attribute) -> None:
        owner = self.evaluate(target.value)
        if isinstance(owner, Table) and owner.attributes:
            del owner[target.attr]
        else:
            super().delete_attribute(target)

    def heard(self, called: Called, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        values = (*args, *(kwargs or {}).values())
        if called.name in CHANGE_ANYTHING:
            self.reader.unread.append(
                Unread('it may change every name of the configuration', called.place, called.text)
            )
        elif called.target is None and called.name not in HARMLESS and self.bound(values):
            self.reader.unread.append(
                Unread('the call may change the dicts that it is given', called.place, called.text)
            )
        return super().heard(called, args, kwargs)

    def bound(self, values: Sequence[Any]) -> bool:
        """Whether one of the values is a dict or list that a name of the file holds, however deep."""
        wanted = {id(value) for value in values if isinstance(value, (dict, list))}
        waiting, met = list(self.scope.values()) if wanted else [], set()
        while waiting:
            value = waiting.pop()
            if id(value) in wanted:
                return True
            if isinstance(value, (dict, list, tuple)) and id(value) not in met:
                met.add(id(value))
                self.charge(1)
                waiting.extend(value.values() if isinstance(value, dict) else value)
        return False

    def of_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str):
            found = placeholders.MARK.search(node.value)
            if found:
                return self.unread(node, f'the environment variable {found[1]} decides')
        return super().of_Constant(node)

    def of_Name(self, node: ast.Name) -> Any:
        found = placeholders.MARK.fullmatch(node.id)
        if found:
            return self.unread(node, f'the environment variable {found[1]} decides')
        return super().of_Name(node)


class Chain:
    """Reads a file and its bases. files: real paths in order. unread: what could not be read. remarks: sentences."""

    def __init__(self, path: str, more: Sequence[str] = ()) -> None:
        self.project = folders.project_of(path)
        self.package = folders.installed_mmseg()
        self.own_package = os.path.join(self.project, 'mmseg')
        configs = [folder for folder in map(folders.configs_of, self.packages[:-1]) if folder]
        own = folders.configs_of(self.own_package)
        if own and folders.within(own, [self.project]):
            configs.append(own)
        imported = [os.path.join(self.package, 'configs')] if self.package else []
        self.configs = configs[0] if configs else None
        self.allowed = [self.project, *configs, *imported, *(os.path.realpath(folder) for folder in more)]
        self.files: list[str] = []
        self.unread: list[Unread] = []
        self.remarks: list[str] = []
        self.steps = LIMITS.steps
        self.bytes = self.tried = 0

    @property
    def packages(self) -> list[str]:
        """The packages mmseg whose configurations may be named: the installed one, and that of the project."""
        return [folder for folder in (self.package, self.own_package) if folder]

    def read(self, path: str) -> Table:
        """The configuration of the file that the user names; ValueError or OSError where it cannot be read at all."""
        if not path.endswith(folders.SUFFIXES):
            raise ValueError(f'{path} is no configuration: expected a name that ends in {", ".join(folders.SUFFIXES)}')
        try:
            return self.load(os.path.abspath(path), path, ())
        except TooMuch as error:
            raise ValueError(f'{path} cannot be read: {error}') from None

    def load(self, path: str, shown: str, stack: tuple[str, ...]) -> Table:
        """One file on its bases."""
        self.tried += 1
        if self.tried > FILES:
            raise ValueError(f'it has more than {FILES} files')
        content = read_bytes(path, LIMITS)
        self.files.append(os.path.normpath(path))
        self.bytes += len(content)
        if self.bytes > BYTES:
            raise ValueError(f'it and its bases have more than {BYTES:,} bytes')
        stack = (*stack, os.path.realpath(path))
        if path.endswith('.py'):
            return self.load_python(decode(content, shown), path, shown, stack)
        text = plain_lines(content.decode('utf-8', 'replace'))
        text = placeholders.marked(placeholders.file_variables(text, path))
        found = data_configs.load(placeholders.json_of_base(text), shown)
        named = [(name, Place(shown)) for name in flat(found.pop(BASE, []))]
        base = self.bases(named, Place(shown), path, shown, stack)
        return merge(data_configs.filled(found, base), base)

    def load_python(self, text: str, path: str, shown: str, stack: tuple[str, ...]) -> Table:
        if '{{' in text:
            text = placeholders.python_of_base(placeholders.marked(placeholders.file_variables(text, path)))
        limits = dataclasses.replace(LIMITS, steps=max(self.steps, 1))
        evaluator = ConfigEvaluator(text, shown, self, path, stack, limits)
        named = evaluator.named_bases()
        base = None if named is None else self.bases(named, Place(shown), path, shown, stack)
        evaluator.scope.bind('__name__', 'config', Place(shown))
        evaluator.scope.bind('__file__', path, Place(shown))
        if base is not None:
            evaluator.scope.bind(BASE, base, Place(shown))
        evaluator.deadline = min(evaluator.deadline, evaluator.steps + max(self.steps, 1))
        before = self.steps
        scope = evaluator.run()
        self.steps = min(before - evaluator.steps, self.steps)
        rest = evaluator.rest
        if scope.stars:
            rest = rest or Unread(f'everything is imported from {scope.stars[0]}, which is not read', Place(shown))
            self.unread.append(rest)
        own = Table(place=Place(shown))
        own.rest = rest
        for name, value in scope.items():
            if not name.startswith('__') and name != BASE and not isinstance(value, (Reference, Function, Class)):
                own.put(name, value, scope.places.get(name, Place(shown)))
        return own if base is None else merge(own, base)

    def bases(
        self, named: Sequence[tuple[Any, Place]], place: Place, path: str, shown: str, stack: tuple[str, ...]
    ) -> Table:
        """The bases of a file, put together as MMEngine does, their dicts with attributes."""
        together = Table(place=place)
        together.attributes = True
        for value, where in named:
            found = self.base(value, where, path, shown, stack)
            if isinstance(found, Unread):
                self.unread.append(found)
                together.rest = together.rest or found
                continue
            together.rest = together.rest or found.rest
            for key in found:
                if key in together:
                    self.remarks.append(
                        f'{where}: two bases have {key}, which MMEngine refuses; the later one is read here'
                    )
            together.take(as_read(found), where)
        return together

    def base(self, value: Any, place: Place, path: str, shown: str, stack: tuple[str, ...]) -> Table | Unread:
        if isinstance(value, Unread):
            return dataclasses.replace(value, reason=f'the name of a base: {value.reason}')
        if not isinstance(value, str) or '\0' in value or len(value) > 4000:
            return Unread('the name of a base is no path', place, str(value)[:100] if isinstance(value, str) else '')
        package, marked, name = value.partition('::')
        if not marked:
            target = os.path.join(os.path.dirname(path), value)
            return self.file(
                target, self.shown(target, os.path.join(os.path.dirname(shown), value)), place, stack, value
            )
        if package not in ('mmseg', 'mmsegmentation', 'onedl-mmsegmentation'):
            return Unread(
                f'it stands on {value}, and of other packages only the configs of mmseg are read', place, value
            )
        if self.configs is None:
            return Unread(f'it stands on {value}, and mmseg is not installed here', place, value)
        return self.file(os.path.join(self.configs, name), f'mmseg::{os.path.normpath(name)}', place, stack, value)

    def shown(self, target: str, otherwise: str) -> str:
        """What a base is called in places: by the user's path, or by its name in mmseg."""
        configs = self.configs
        if configs and folders.within(target, [configs]) and not folders.within(target, [self.project]):
            return f'mmseg::{os.path.relpath(os.path.realpath(target), configs)}'
        return os.path.normpath(otherwise)

    def file(self, target: str, shown: str, place: Place, stack: tuple[str, ...], text: str) -> Table | Unread:
        """A file that another one names, where it may be read."""
        real = os.path.realpath(target)
        if not folders.within(real, self.allowed):
            reason = f'it stands on {text}, which is outside of its project {self.project} and of mmseg'
            return Unread(reason, place, text)
        if real in stack:
            return Unread(f'it stands on {text}, which stands on it', place, text)
        if len(stack) > DEPTH or self.tried >= FILES:
            return Unread(f'it stands on {text}: there are too many bases', place, text)
        if not real.endswith(folders.SUFFIXES):
            return Unread(f'it stands on {text}, which is no configuration by its name', place, text)
        try:
            return self.load(target, shown, stack)
        except OSError as error:
            return Unread(f'it stands on {text}: {error.strerror or "it cannot be read"}', place, text)
        except (ValueError, TooMuch) as error:
            return Unread(f'it stands on {text}: {error}', place, text)

    def module(self, node: ast.ImportFrom, evaluator: ConfigEvaluator) -> Table | Unread:
        """A configuration that is imported in ``with read_base()``."""
        path, shown, place = evaluator.path, evaluator.file, evaluator.place(node)
        parts = (node.module or '').split('.')
        text = '.' * node.level + (node.module or '')
        if node.level:
            up = [os.pardir] * (node.level - 1)
            target = os.path.join(os.path.dirname(path), *up, *parts) + '.py'
            name = self.shown(target, os.path.join(os.path.dirname(shown), *up, *parts) + '.py')
        elif parts[0] == 'mmseg' and len(parts) > 1:
            targets = [os.path.join(package, *parts[1:]) + '.py' for package in self.packages]
            target = next((path for path in targets if os.path.isfile(path)), targets[0])
            name = '/'.join(parts) + '.py'
        else:
            target = os.path.join(self.project, *parts) + '.py'
            name = '/'.join(parts) + '.py'
        found = self.file(target, name, place, evaluator.stack, text)
        if isinstance(found, Unread):
            self.unread.append(found)
            return found
        return as_read(found)


def flat(value: Any) -> list[Any]:
    """The names of bases in a value that may be one, a list, or lists in lists."""
    found: list[Any] = []
    waiting = [value]
    while waiting and len(found) < FILES:
        value = waiting.pop(0)
        if isinstance(value, (list, tuple)):
            waiting[:0] = value[:FILES]
        else:
            found.append(value)
    return found
