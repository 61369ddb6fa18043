"""Small files that people write: text, JSON and YAML, of a limited size, with nothing said twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared_spec.files import one_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

YAML = ('.yaml', '.yml')
TEXT_LIMIT = 4 << 20  # bytes: 65536 classes with names of 60 letters
YAML_LIMIT = 64 << 10  # letters, which take PyYAML a second or two
DIGITS = 40  # of a number in YAML, whose sexagesimal ones are slow to read


def read_text(path: Path, limit: int = TEXT_LIMIT, kind: str = 'list of classes') -> str:
    """The text of a file in UTF-8. Raises ValueError where it is none or has more than ``limit`` bytes."""
    with open(path, 'rb') as stream:
        found = stream.read(limit + 1)
    if len(found) > limit:
        raise ValueError(f'{path} is no {kind}: it has more than {limit} bytes')
    try:
        return found.decode('utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{path} is no {kind}: not a text in UTF-8') from None


def parse(path: Path, text: str, kind: str) -> Any:
    """What a text holds, YAML where the path says so, else JSON. Raises ValueError, of one line."""
    is_yaml = path.suffix.lower() in YAML
    if is_yaml:
        try:
            import yaml
        except ImportError:
            raise ImportError(f'{path} is YAML, which needs PyYAML: pip install pyyaml, or write it as JSON') from None
        if len(text) > YAML_LIMIT:
            raise ValueError(f'{path} is no {kind}: YAML of more than {YAML_LIMIT} letters; write it as JSON')
    with one_sentence(f'{path} is no {kind}'):
        try:
            return yaml.load(text, yaml_loader()) if is_yaml else json.loads(text, object_pairs_hook=once)  # noqa: S506  a safe one
        except RecursionError:
            raise ValueError('it is nested too deeply') from None


def once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of items, none of which comes twice."""
    found: dict[str, Any] = {}
    for key, value in items:
        if key in found:
            raise ValueError(f'{shown(key)} is in it twice')
        found[key] = value
    return found


def yaml_loader() -> Any:
    """PyYAML's safe loader, without aliases, which let a few lines stand for billions, and without repeated keys."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError(f'it has an alias, *{self.peek_event().anchor}, which is not taken')
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            return once(
                (self.construct_object(key, True), self.construct_object(value, True)) for key, value in node.value
            )

        def construct_number(self, node: Any) -> Any:
            if len(node.value) > DIGITS:
                raise ValueError(f'it has a number of more than {DIGITS} digits')
            return self.construct_yaml_float(node) if node.tag.endswith(':float') else self.construct_yaml_int(node)

    for kind in ('int', 'float'):
        Loader.add_constructor(f'tag:yaml.org,2002:{kind}', Loader.construct_number)
    # the loader of a mapping that is being built fills it later; here it is built at once
    Loader.add_constructor('tag:yaml.org,2002:map', lambda loader, node: loader.construct_mapping(node))
    return Loader


def shown(value: object) -> str:
    """A value as it may stand in a sentence: cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + '...'
