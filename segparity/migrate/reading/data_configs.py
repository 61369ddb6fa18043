"""Configurations that are data: JSON, and YAML where PyYAML is installed."""

import json
from typing import Any

from segparity.migrate.items import Place, Unread
from segparity.migrate.reading import placeholders
from segparity.migrate.reading.text import shorten
from segparity.migrate.reading.values import LIMITS, SCALARS, Table
from segparity.migrate.reading.weight import TooMuch, weigh

LARGEST_YAML = 300_000
ALIASES, NESTING = 100, 40


def load(text: str, file: str) -> Table:
    """The mapping that a file holds; ValueError, one sentence, where there is none."""
    try:
        found = _json(text) if file.endswith('.json') else _yaml(text, file)
    except RecursionError:
        raise ValueError(f'{file} is nested too deeply to be read') from None
    except ValueError as error:
        kind = 'JSON' if file.endswith('.json') else 'YAML'
        raise ValueError(f'{file} is no {kind} that can be read: {shorten(str(error))}') from None
    try:
        weigh(found, LIMITS.weight)
    except TooMuch as error:
        raise ValueError(f'{file} cannot be read: {error}') from None
    if not isinstance(found, dict):
        raise ValueError(f'{file} holds no mapping, expected the keys of a configuration')
    return _tabled(found, Place(file))


def _json(text: str) -> Any:
    return json.loads(text)


def _yaml(text: str, file: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ValueError(f'PyYAML is not installed, so {file} is not read; convert it to JSON or Python') from None
    if len(text) > LARGEST_YAML:
        raise ValueError(f'it has more than {LARGEST_YAML:,} characters')
    try:
        aliases = depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
            depth -= isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
            merges = isinstance(event, yaml.ScalarEvent) and event.value == '<<'
            if aliases > ALIASES or depth > NESTING or merges:
                raise ValueError('it has merge keys, too many aliases or too many levels')
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except (TypeError, AttributeError, OverflowError, LookupError) as error:  # of values that its constructors refuse
        raise ValueError(str(error)) from None


def _tabled(value: Any, place: Place) -> Any:
    """Dicts as tables with their file; what is no plain value is Unread, as are environment variables."""
    if isinstance(value, dict):
        return Table(((key, _tabled(part, place)) for key, part in value.items()), place)
    if isinstance(value, (list, tuple)):
        return [_tabled(part, place) for part in value]
    if isinstance(value, str):
        found = placeholders.MARK.search(value)
        return Unread(f'the environment variable {found[1]} decides', place) if found else value
    return value if isinstance(value, SCALARS) else Unread(f'a {type(value).__name__} is no value of a config', place)


def filled(value: Any, base: Table) -> Any:
    """The value with what ``{{_base_.model.type}}`` stands for."""
    if isinstance(value, dict):
        made = value.copy() if isinstance(value, Table) else Table(value.items())
        for key, part in value.items():
            made[key] = filled(part, base)
        return made
    if isinstance(value, list):
        return [filled(part, base) for part in value]
    if isinstance(value, str) and value.startswith(placeholders.OF_BASE):
        found: Any = base
        for part in value.removeprefix(placeholders.OF_BASE).split('.'):
            if not isinstance(found, dict) or part not in found:
                return Unread(f'its base has no {value.removeprefix(placeholders.OF_BASE)}', base.place)
            found = found[part]
        return found
    return value
