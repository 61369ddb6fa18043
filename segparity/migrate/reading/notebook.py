"""A Jupyter notebook as cells of Python: magics are taken out, lines keep their numbers."""

import ast
import dataclasses
import re
from typing import Any

from segparity.migrate.items import Place, Unread
from segparity.migrate.reading.json_text import parse_json
from segparity.migrate.reading.text import parse, plain_lines
from shared_spec.typing import AnyPath

INSTALL = re.compile(r'\bpip3?\s+install\b(.*)')
TENSORFLOW = re.compile(r'%tensorflow_version\s+(\S+)')
MAGIC = re.compile(r'\s*(?:[%!?]|[\w.]+\?{1,2}\s*$|\w[\w, ]*=\s*[%!])')
FOREIGN = re.compile(r'%%(?!time|capture|prun|memit|python|writefile|wandb|skip)(\w+)')
PYTHON_2 = re.compile(
    r'^[ \t]*(?:print[ \t]+[\w\'"]|exec[ \t]+[\w\'"]|except[ \t]+\w[\w.]*[ \t]*,[ \t]*\w+[ \t]*:|raise[ \t]+\w+[ \t]*,).*',
    re.MULTILINE,
)
MARKS = re.compile(r'\'\'\'|"""|[\'"#()\[\]{}]|\\.')


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of code that was parsed. file: 'notebook.ipynb[3]'."""

    file: str
    text: str
    tree: ast.Module


@dataclasses.dataclass(frozen=True)
class Notebook:
    """The cells, those that were left out with the reason, and the packages that ``!pip install`` names."""

    cells: tuple[Cell, ...]
    unread: tuple[Unread, ...]
    installs: tuple[str, ...]


def read_notebook(data: bytes, path: AnyPath) -> Notebook:
    """The code of a notebook's JSON; ValueError, one sentence, where it is none or is not one of Python."""
    value = parse_json(data, str(path))
    cells: list[Cell] = []
    unread: list[Unread] = []
    installs: list[str] = []
    for number, text in _code(value, path):
        file = f'{path}[{number}]'
        foreign = FOREIGN.match(text.lstrip())
        if foreign:
            unread.append(Unread(f'the cell is for %%{foreign[1][:40]}', Place(file, 1)))
            continue
        try:
            plain, tree = parse_with_magics(text, file, installs)
            cells.append(Cell(file, plain, tree))
        except ValueError as error:
            unread.append(Unread(f'the cell is {str(error).removeprefix(f"{file} is ")}', Place(file, 1)))
    return Notebook(tuple(cells), tuple(unread), tuple(installs))


def _code(value: Any, path: AnyPath) -> list[tuple[int, str]]:
    """(number of the cell from 1 over all cells, its text); of format 3 the cells of all worksheets."""
    if not isinstance(value, dict):
        raise ValueError(f'{path} is no notebook: expected an object with cells, as Jupyter writes it')
    metadata = value.get('metadata')
    kernel = metadata.get('kernelspec') if isinstance(metadata, dict) else None
    language = kernel.get('language') if isinstance(kernel, dict) else None
    if isinstance(language, str) and language.lower() not in {'python', ''}:
        raise ValueError(f'{path} is a notebook in {language[:40]!r}, expected one in Python')
    cells = value.get('cells')
    if cells is None and isinstance(value.get('worksheets'), list):
        sheets = [sheet.get('cells') for sheet in value['worksheets'] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
    if not isinstance(cells, list):
        raise ValueError(f'{path} is no notebook: it has no cells')
    found: list[tuple[int, str]] = []
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict) and cell.get('cell_type') == 'code':
            source = cell.get('source', cell.get('input', ''))
            if isinstance(source, list):
                source = ''.join(part for part in source if isinstance(part, str))
            if isinstance(source, str) and source.strip():
                found.append((number, plain_lines(source)))
    return found


def parse_with_magics(text: str, file: str, installs: list[str]) -> tuple[str, ast.Module]:
    """The text and its tree, magics taken out where it does not parse with them; ValueError, one sentence, where it is none.

    ``installs`` gets what ``!pip install`` and ``%tensorflow_version`` name.
    """
    try:
        return text, parse(text, file)
    except ValueError as error:
        plain, said = without_magics(text, installs), error
    try:
        return plain, parse(plain, file)
    except ValueError as error:
        said = error if plain != text else said
        found = PYTHON_2.search(plain)
        if found and 'nested' not in str(said):
            line = 1 + plain.count('\n', 0, found.start())
            raise ValueError(
                f'{file} is Python 2, which is not read: line {line}: {found.group().strip()[:80]}'
            ) from None
        raise said from None


def without_magics(text: str, installs: list[str]) -> str:
    """The text with ``pass`` in place of ``%matplotlib``, ``!pip``, ``?name`` and ``name?`` where a statement begins."""
    kept: list[str] = []
    inside, going_on, magic = (
        '',
        False,
        False,
    )  # inside: open brackets and quotes; going_on: the line before ended in \\
    for line in text.split('\n'):
        magic = going_on if magic and going_on else not inside and not going_on and bool(MAGIC.match(line))
        if magic:
            install, version = INSTALL.search(line), TENSORFLOW.search(line)
            installs.extend(install[1].split() if install else ())
            installs.extend([f'tensorflow=={version[1]}'] if version else ())
            kept.append('' if going_on else line[: len(line) - len(line.lstrip())] + 'pass')
        else:
            kept.append(line)
            inside = _open_after(line, inside)
        going_on = line.endswith('\\')
    return '\n'.join(kept)


def _open_after(line: str, inside: str) -> str:
    """Brackets and quotes that are open after a line, from those before it; '' where the next begins a statement."""
    quote = inside if inside[:1] in {'"', "'"} else ''
    count = 0 if quote else len(inside)
    for found in MARKS.finditer(line):
        mark = found.group()
        if quote:
            quote = '' if mark == quote else quote
        elif mark == '#':
            break
        elif mark[0] in '"\'':
            quote = mark
        elif mark in '([{':
            count += 1
        elif mark in ')]}':
            count = max(0, count - 1)
    if len(quote) == 3 or (quote and line.endswith('\\')):
        return quote  # a string across lines
    return '(' * count
