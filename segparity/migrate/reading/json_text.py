"""JSON that a stranger wrote: bounded in size, in the number of its values and in depth; one sentence where it is none."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from segparity.migrate.items import Place, Unread

VALUES = 500_000  # about 100 MB of Python at the most
DEPTH = 200
LONG = 1 << 20
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]', re.DOTALL)


def parse_json(data: bytes, name: str) -> Any:
    """The value of a JSON document in UTF-8 (or UTF-16, UTF-32); ``name`` says in the sentence what it is.

    Raises ValueError where it is no JSON, nested deeper than 200, or of more than half a million values.
    """
    if sum(map(data.count, (b',', b'[', b'{'))) > VALUES:
        raise ValueError(f'{name} has more than {VALUES:,} values, expected what Keras or Jupyter writes')
    try:
        value = json.loads(data.removeprefix(b'\xef\xbb\xbf'))
    except RecursionError:
        raise ValueError(f'{name} is nested too deeply, expected at most {DEPTH} levels') from None
    except UnicodeDecodeError:
        raise ValueError(f'{name} is no text, expected JSON in UTF-8') from None
    except ValueError as error:
        raise ValueError(f'{name} is no JSON: {str(error).splitlines()[0]}') from None
    if depth(value) > DEPTH:
        raise ValueError(f'{name} is nested too deeply, expected at most {DEPTH} levels')
    return value


def depth(value: Any) -> int:
    """How many lists and dicts lie in one another."""
    level, count = [value], 0
    while level := [v for v in level if isinstance(v, (dict, list))]:
        count += 1
        level = [v for outer in level for v in (outer.values() if isinstance(outer, dict) else outer)]
    return count


def lines_of(data: bytes, deepest: int = 4) -> dict[tuple[str | int, ...], int]:
    """Where each value stands in JSON that was parsed: its path, such as ('loss', 'mask') or ('loss', 0) -> line from 1.

    Paths longer than ``deepest`` are left out; empty for another encoding than UTF-8, and for very long documents.
    """
    lines: dict[tuple[str | int, ...], int] = {}
    if len(data) <= LONG and json.detect_encoding(data) in {'utf-8', 'utf-8-sig'}:
        for path, line in _starts(data.decode('utf-8', 'replace')):
            if len(path) <= deepest:
                lines.setdefault(tuple(path), line)
    return lines


def _starts(text: str) -> Iterator[tuple[list[str | int], int]]:
    """The path of each member of a dict or list, as one list that changes, and the line on which its key or value begins."""
    path: list[str | int] = []
    kinds: list[str] = []
    line, seen, waiting = 1, 0, False  # waiting: a key of a dict, or the next value of a list, is expected
    for token in TOKEN.finditer(text):
        line, seen = line + text.count('\n', seen, token.start()), token.start()
        mark = token.group()
        if mark in '}]' and kinds:
            kinds.pop()
            path.pop()
            waiting = False
            continue
        if kinds and kinds[-1] == '{' and waiting and mark.startswith('"'):
            path[-1] = json.loads(mark, strict=False)
            waiting = False
            yield path, line
        elif mark == ',' and kinds:
            waiting = kinds[-1] == '{'
            if not waiting:
                path[-1] = int(path[-1]) + 1
                yield path, line
        elif mark in '{[':
            kinds.append(mark)
            path.append('' if mark == '{' else 0)
            waiting = mark == '{'
            if not waiting:
                yield path, line


def plain(value: Any, place: Place) -> Any:
    """A JSON value as an argument: numbers that are not finite become ``Unread``."""
    if isinstance(value, list):
        return [plain(v, place) for v in value]
    if isinstance(value, dict):
        return {key: plain(v, place) for key, v in value.items()}
    return value if not isinstance(value, (int, float)) or is_finite(value) else Unread('it is no finite number', place)


def is_finite(value: float) -> bool:
    """Whether a number, which may be an integer of any size, is one as a float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
