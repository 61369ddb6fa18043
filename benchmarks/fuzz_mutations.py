"""Mutations of sources for the fuzzer of readers: tokens deleted, doubled, swapped, spliced; bytes flipped; depths and sizes."""

import random
import re

TOKEN = re.compile(r'\s+|\w+|"[^"\n]*"|\'[^\'\n]*\'|\*\*|[^\w\s]')
WORDS = (
    'None True False -1 0 255 1e400 10**9 10**10**10 9**9**9 1<<10**9 nan inf not lambda: if else for in is while with try: '
    'yield await async global del return class def import from * ** *args **kwargs := -> ... ~ % / // @ | & == != < [] {} () '
    "'' b'' f'{x}' f'{x!r:>999999}' '%999999d' '{0.__class__}' '{}'.format range(10**9) [0]*10**9 'a'*10**9 "
    "__import__('os').system('true') exec('x=1') eval('1') open('/etc/passwd').read() ().__class__.__bases__ "
    "_base_ _base_.model {{_base_.model}} {{_base_.a.b}} {{fileBasename}} {{$HOME:x}} {{'$N:1'}} _delete_=True type= "
    "dict(type='DiceLoss') model decode_head loss_decode update merge pop setdefault read_base() super() self \\ # ; : , . = "
    "'../../../../../etc/passwd' '../secret.py' 'link.py' 'loop.py' './base_only.py' 'mmseg::_base_/models/fcn_r50-d8.py' "
    "'mmseg::../../version.py' 'mmdet::x/y.py' '/etc/passwd' '/dev/zero' '/proc/self/mem' '\\0' '\ud7ff' é 変 \x0c \t"
).split(' ')
LINES = (
    'x = (x, x)',
    'x = [x, x]',
    'x += x',
    'x = x * 2',
    'x.append(x)',
    'x.extend(x)',
    'model.update(model)',
    'model["model"] = model',
    'model = dict(model=model, **model)',
    'x = {x: x for x in [x]}',
    'for i in range(10 ** 9): x = i',
    'for i in range(2000): x = [x]',
    'for i in x: x.append(i)',
    'while True: x = 1',
    'if unknown: model = 1',
    'if unknown.value: model["decode_head"] = x',
    'def f(x): return f(x)',
    'def f(x=[]): x.append(x); return g(x)',
    'g = lambda x: f(x)',
    'x = f(f)(f)',
    'x = [[i for i in range(100)] for j in range(100)]',
    'x = "a" * 1000; x = x.replace("a", x)',
    'x = ",".join([x] * 1000)',
    'x = 2; x **= x; x **= x; x **= x; x **= x; x **= x',
    'import os; os.system("true")',
    'from os import *',
    'from .. import *',
    'with read_base():\n    from .base_only import *',
    'with read_base():\n    from ......etc.passwd import *',
    "_base_ = '../../../../../../etc/passwd'",
    "_base_ = ['./base_only.py', './base_only.py']",
    "_base_ = '../secret.py'",
    "_base_ = 'link.py'",
    "_base_ = 'loop.py'",
    'class A(A): x = A',
    'del x, model',
    'global x',
    'try:\n    x = 1 / 0\nexcept: x = 2',
    'match x:\n    case {"a": y}: pass',
    'async def f(): await x',
    'nonlocal x',
)


def tokens(text: str) -> list[str]:
    return TOKEN.findall(text)


def mutated(text: str, others: list[str], generator: random.Random) -> bytes:
    """One to six mutations of a text, as bytes; ``others`` are what may be spliced in."""
    parts = tokens(text)
    for _ in range(generator.choice((1, 1, 1, 2, 3, 6))):
        parts = generator.choice(CHANGES)(parts, others, generator) if parts else [generator.choice(WORDS)]
        if len(parts) > 60_000:
            parts = parts[:60_000]
    content = ''.join(parts).encode('utf-8', 'surrogatepass')
    if generator.random() < 0.08:
        content = flipped(content, generator)
    if generator.random() < 0.03:
        content = generator.choice(HEADS) + content
    return content


HEADS = (
    b'\xef\xbb\xbf',
    b'# coding: latin-1\n',
    b'# -*- coding: rot13 -*-\n',
    b'#coding:utf-7\n',
    b'\x00',
    b'\xff\xfe',
    b'\r',
)


def flipped(content: bytes, generator: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(generator.randint(1, 8)):
        if made:
            made[generator.randrange(len(made))] = generator.randrange(256)
    return bytes(made[: generator.randrange(len(made) + 1)] if generator.random() < 0.2 else made)


def _span(parts: list[str], generator: random.Random) -> tuple[int, int]:
    start = generator.randrange(len(parts))
    return start, min(len(parts), start + 1 + int(generator.expovariate(0.2)))


def delete(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    start, stop = _span(parts, generator)
    return parts[:start] + parts[stop:]


def double(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    start, stop = _span(parts, generator)
    return parts[:stop] + parts[start:stop] * generator.choice((1, 1, 2, 5, 60)) + parts[stop:]


def swap(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    first, second = generator.randrange(len(parts)), generator.randrange(len(parts))
    parts = list(parts)
    parts[first], parts[second] = parts[second], parts[first]
    return parts


def splice(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    other = tokens(generator.choice(others)) or ['']
    start, stop = _span(other, generator)
    place = generator.randrange(len(parts))
    return parts[:place] + other[start : stop + generator.choice((0, 5, 60))] + parts[place:]


def replace(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    place = generator.randrange(len(parts))
    return parts[:place] + [generator.choice(WORDS)] + parts[place + 1 :]


def insert(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    place = generator.randrange(len(parts))
    return parts[:place] + [' ', generator.choice(WORDS), ' '] + parts[place:]


def insert_lines(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    """Whole lines between lines, once or often: what doubles, loops and contains itself."""
    breaks = [index for index, part in enumerate(parts) if '\n' in part] or [0]
    place = generator.choice(breaks)
    line = generator.choice(LINES)
    return parts[:place] + ['\n', f'{line}\n' * generator.choice((1, 1, 1, 3, 40)), '\n'] + parts[place:]


def nest(parts: list[str], others: list[str], generator: random.Random) -> list[str]:
    """A span in brackets, signs or calls, many times over."""
    start, stop = _span(parts, generator)
    left, right = generator.choice(
        (
            ('(', ')'),
            ('[', ']'),
            ('{1:', '}'),
            ('-', ''),
            ('not ', ''),
            ('f(', ')'),
            ('lambda: ', ''),
            ('', '.a'),
            ('', '[0]'),
        )
    )
    depth = generator.choice((1, 3, 30, 90, 150, 3000))
    return parts[:start] + [left * depth, *parts[start:stop], right * depth] + parts[stop:]


CHANGES = (delete, double, swap, splice, replace, replace, insert, insert_lines, insert_lines, nest)
