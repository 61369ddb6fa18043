"""The text of a source and its syntax tree, from bytes that may hold anything."""

import ast
import os
import re
import stat
import warnings

from segparity.migrate.reading.values import LIMITS, Limits

COOKIE = re.compile(rb'^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)')
BLANK = re.compile(rb'^[ \t\f]*(?:#.*)?$')
ENCODINGS = frozenset(
    'utf-8 utf8 utf-8-sig ascii us-ascii latin-1 latin1 iso-8859-1 iso-8859-15 cp1252 windows-1252 cp1251 '
    'windows-1251 koi8-r gbk gb2312 gb18030 cp936 big5 euc-kr cp949 shift-jis shift_jis euc-jp cp932'.split()
)
WORD = re.compile(r'\w+|[^\w\s]')


def read_bytes(path: str, limits: Limits = LIMITS) -> bytes:
    """The bytes of an ordinary file; ValueError for another kind and for one that is too large, OSError as always."""
    with open(path, 'rb', opener=_without_waiting) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f'{path} is no ordinary file, expected a file with a source')
        content = file.read(limits.file_bytes + 1)
    if len(content) > limits.file_bytes:
        raise ValueError(
            f'{path} has more than {limits.file_bytes:,} bytes, which no source has that is written by hand: it is not read'
        )
    return content


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))  # a named pipe without a writer


def decode(content: bytes, file: str) -> str:
    """The text of a Python source: its byte order mark or encoding comment, else UTF-8; line ends are ``\\n``."""
    encoding = 'utf-8'
    marked = content.startswith(b'\xef\xbb\xbf')
    if marked:
        content = content[3:]
    for line in content.split(b'\n', 2)[:2]:
        found = COOKIE.match(line)
        if found:
            encoding = found[1].decode('ascii', 'replace').lower().replace('_', '-')
            break
        if not BLANK.match(line.rstrip(b'\r')):
            break
    if encoding not in ENCODINGS and not encoding.startswith(('utf-8-', 'latin-1-', 'iso-latin-1')):
        raise ValueError(f'{file} is written in the encoding {encoding[:40]!r}, which is not read: save it as UTF-8')
    if encoding.startswith('utf-8-') or marked:
        encoding = 'utf-8'
    elif encoding.startswith(('latin-1-', 'iso-latin-1')):
        encoding = 'latin-1'
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is no text in {encoding}: byte {error.start} is wrong; save it as UTF-8') from None
    return plain_lines(text)


def plain_lines(text: str) -> str:
    """The text with ``\\n`` at the ends of its lines and without a byte order mark."""
    return text.removeprefix('\ufeff').replace('\r\n', '\n').replace('\r', '\n')


def parse(text: str, file: str, limits: Limits = LIMITS) -> ast.Module:
    """The syntax tree; ValueError, one sentence, where there is none."""
    if len(text) > limits.file_bytes or (
        len(text) > limits.words and sum(1 for _ in WORD.finditer(text)) > limits.words
    ):
        raise ValueError(f'{file} is larger than a source that is written by hand: it is not read')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of escapes and comparisons in the source
            return ast.parse(text, filename='')  # Python opens the file that it names to show a line of it
    except SyntaxError as error:
        line = f'line {error.lineno}: ' if error.lineno else ''
        said = str(error.msg).replace('\n', ' ')[:200]
        raise ValueError(f'{file} is no Python 3 that can be read: {line}{said}') from None
    except (RecursionError, MemoryError):
        raise ValueError(f'{file} is nested too deeply to be read') from None
    except ValueError as error:  # null bytes, lone surrogates
        said = str(error).replace('\n', ' ')[:200]
        raise ValueError(f'{file} is no Python 3 that can be read: {said}') from None


def shorten(text: str, width: int = 100) -> str:
    """The text on one line of at most ``width`` characters."""
    line = ' '.join(text[: 4 * width].split())
    return line if len(line) <= width and len(text) <= 4 * width else f'{line[: width - 4]} ...'


class Lines:
    """The lines of a source, of which a node's text is cut."""

    def __init__(self, text: str) -> None:
        self.lines = text.split('\n')

    def of(self, node: ast.AST, width: int = 100) -> str:
        """The text of a node, shortened to a line."""
        first, last = getattr(node, 'lineno', 0), getattr(node, 'end_lineno', 0) or 0
        if not first or first > len(self.lines):
            return ''
        start, end = getattr(node, 'col_offset', 0), getattr(node, 'end_col_offset', 0) or 0
        if first == last:
            return shorten(_cut(self.lines[first - 1], start, end, width), width)
        parts = [_cut(self.lines[first - 1], start, None, width)]
        for number in range(first, min(last - 1, first + 8)):
            parts.append(self.lines[number][: 4 * width])
        if last <= min(first + 8, len(self.lines)):
            parts.append(_cut(self.lines[last - 1], 0, end, width))
        else:
            parts.append('...')
        return shorten('\n'.join(parts), width)


def _cut(line: str, start: int, end: int | None, width: int) -> str:
    if line.isascii():
        return line[start:end][: 4 * width + 1]
    return line.encode('utf-8', 'replace')[start:end].decode('utf-8', 'ignore')[: 4 * width + 1]
