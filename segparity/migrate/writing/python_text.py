"""Values and calls as formatted source text: on one line where they fit, else an argument a line."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Call:
    """``name(*given, **arguments)``; a value of it may be plain Python, ``Call`` or ``Raw``."""

    name: str
    given: Sequence[Any] = ()
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Raw:
    """Text that stands as it is, such as the name of a variable."""

    text: str


@dataclasses.dataclass(frozen=True)
class Noted:
    """A value with comments above it, where it is an entry of a list or a statement."""

    value: Any
    comments: Sequence[str]


def config(settings: Mapping[str, Any]) -> Call:
    """A mapping as configurations write it: ``dict(type='X', ...)``, what is in it too."""
    return Call('dict', (), {name: as_config(value) for name, value in settings.items()})


def as_config(value: Any) -> Any:
    """A value whose mappings have become ``dict(...)`` where their keys can be names."""
    if isinstance(value, Mapping) and all(isinstance(k, str) and k.isidentifier() for k in value):
        return config(value)
    if isinstance(value, list):
        return [as_config(v) for v in value]
    return value


def source_text(value: Any, indent: int = 0, before: int = 0, after: int = 0) -> str:
    """Source text of a value that starts ``before`` columns after ``indent`` and has ``after`` behind it."""
    line = one_line(value)
    if line is not None and indent + before + len(line) + after <= WIDTH:
        return line
    inner = ' ' * (indent + 4)
    entries, opening, closing = parts(value)
    if not entries:
        return one_line(value) or repr(value)
    if isinstance(value, (list, tuple)) and all(isinstance(entry, (int, float)) for entry in value):
        return '\n'.join([opening, *filled([f'{one_line(entry)},' for entry in value], inner), ' ' * indent + closing])
    lines = []
    for prefix, entry in entries:
        comments: Sequence[str] = ()
        if isinstance(entry, Noted):
            entry, comments = entry.value, entry.comments
        lines += [f'{inner}# {comment}' for comment in comments]
        lines.append(f'{inner}{prefix}{source_text(entry, indent + 4, len(prefix), 1)},')
    return '\n'.join([opening, *lines, ' ' * indent + closing])


def filled(words: Sequence[str], before: str) -> list[str]:
    """Words side by side in lines that are as full as they may be."""
    lines = [before]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > WIDTH and lines[-1] != before:
            lines.append(before)
        lines[-1] += word if lines[-1] == before else f' {word}'
    return lines


def parts(value: Any) -> tuple[list[tuple[str, Any]], str, str]:
    """(what stands before an entry, the entry) of a call or display, and what opens and closes it."""
    if isinstance(value, Noted):
        return parts(value.value)
    if isinstance(value, Call):
        named = [(f'{name}=', entry) for name, entry in value.arguments.items()]
        return [('', entry) for entry in value.given] + named, f'{value.name}(', ')'
    if isinstance(value, Mapping):
        return [(f'{one_line(k)}: ', v) for k, v in value.items()], '{', '}'
    if isinstance(value, list):
        return [('', v) for v in value], '[', ']'
    if isinstance(value, tuple):
        return [('', v) for v in value], '(', ')'
    return [], '', ''


def one_line(value: Any) -> str | None:
    """Source text without a line break; None where comments need lines of their own."""
    if isinstance(value, Noted):
        return None if value.comments else one_line(value.value)
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    entries, opening, closing = parts(value)
    if not opening:
        return repr(value)
    lines = [one_line(entry) for _, entry in entries]
    if None in lines:
        return None
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    return opening + ', '.join(prefix + str(line) for (prefix, _), line in zip(entries, lines)) + comma + closing


def comment_lines(text: str, width: int = WIDTH - 10) -> list[str]:
    """A text broken into lines for comments; what would end one, or hide text, is shown by its number."""
    from shared_spec.control_characters import escape_controls

    lines: list[str] = []
    for word in escape_controls(text).split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f' {word}'
        else:
            lines.append(word)
    return lines
