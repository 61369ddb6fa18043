"""Random programs: whatever the evaluator says is so in every way in which the program can run.

``u(i)`` is an unknown truth and ``us(i)`` an unknown list. Python runs the program for each of their values; a value of the
evaluator may be Unread, in whole or in part, and has to be the same as Python's everywhere else.
"""

import itertools
import random
import warnings

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.values import NOWHERE, Called, Function, Reference, Table

NUMBERS, LISTS, TABLES = ('a', 'h'), ('b', 'l'), ('c', 'd')
NAMES = (*NUMBERS, *LISTS, *TABLES)
KEYS = "'k'", "'m'", "'n'"


class Writer:
    """Writes programs in which numbers, lists and dicts keep to their names, so that most of them run to their end."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.loops = 0

    def one(self, *words):
        return self.random.choice(words)

    def number(self, depth=0):
        if depth > 2 or self.random.random() < 0.3:
            return self.one(*NUMBERS, '1', '2', '-3', 'True')
        return self.one(
            f'({self.number(depth + 1)} + {self.number(depth + 1)})',
            f'({self.number(depth + 1)} if {self.condition()} else {self.number(depth + 1)})',
            f'({self.number(depth + 1)} or {self.number(depth + 1)})',
            f'len({self.sequence(depth + 1)})',
            f'len({self.table(depth + 1)})',
            f'({self.table(depth + 1)} == {self.table(depth + 1)})',
            f'({self.sequence(depth + 1)} == {self.sequence(depth + 1)})',
            f'({self.number(depth + 1)} in {self.sequence(depth + 1)})',
            f'g({self.number(depth + 1)})',
            f'(not {self.sequence(depth + 1)})',
        )

    def anything(self, depth=0):
        return self.one(self.number, self.sequence, self.table)(depth + 1)

    def sequence(self, depth=0):
        if depth > 2 or self.random.random() < 0.3:
            return self.one(*LISTS, '[]', '[1, 2]')
        return self.one(
            f'[{self.anything(depth)}, {self.anything(depth)}]',
            f'[*{self.sequence(depth + 1)}, {self.anything(depth)}]',
            f'({self.one(*LISTS)} + [{self.anything(depth)}])',
            f'[[e, {self.anything(depth)}] for e in {self.sequence(depth + 1)} if {self.condition()}]',
            f'list({self.table(depth + 1)}.values())',
            f'{self.sequence(depth + 1)}[:2]',
            f'({self.sequence(depth + 1)} if {self.condition()} else {self.sequence(depth + 1)})',
            f'f({self.sequence(depth + 1)})',
            f'copy.deepcopy({self.one(*LISTS)})',
            f'list(reversed({self.sequence(depth + 1)}))',
        )

    def table(self, depth=0):
        if depth > 2 or self.random.random() < 0.3:
            return self.one(*TABLES, '{}', "{'k': 1}")
        return self.one(
            f"{{'k': {self.anything(depth)}, 'm': {self.anything(depth)}}}",
            f'dict(k={self.anything(depth)}, n={self.anything(depth)})',
            f'{{**{self.table(depth + 1)}, {self.one(*KEYS)}: {self.anything(depth)}}}',
            f'({self.table(depth + 1)} | {self.table(depth + 1)})',
            f'({self.table(depth + 1)} if {self.condition()} else {self.table(depth + 1)})',
            f'{{key: {self.anything(depth)} for key in {self.table(depth + 1)}}}',
            f'h({self.table(depth + 1)}, {self.anything(depth)})',
            f'copy.copy({self.one(*TABLES)})',
        ).replace('h(', 'w(')

    def condition(self):
        return self.one('u(0)', 'u(1)', 'not u(0)', f'{self.one(*NUMBERS)} == 1', 'True', self.one(*LISTS), 'a > h')

    def block(self, depth, inside):
        lines = [self.statement(depth + 1, inside) for _ in range(self.random.randint(1, 3))]
        return '\n'.join('    ' + line for line in '\n'.join(lines).split('\n'))

    def simple(self, inside):
        sequence, table = self.one(*LISTS), self.one(*TABLES)
        return self.one(
            f'{self.one(*NUMBERS)} = {self.number()}',
            f'{self.one(*NUMBERS)} += {self.number()}',
            f'{sequence} = {self.sequence()}',
            f'{sequence} += {self.sequence()}[:2]',
            f'{sequence} = {sequence} + [{self.anything()}]',
            f'{sequence}.append({self.anything()})',
            f'{sequence}.append({table})',
            f'{sequence}.extend({self.sequence()}[:2])',
            f'{sequence}.insert(0, {self.anything()})',
            f'{sequence}[:1]',
            f'b, l = l, {self.sequence()}',
            f'{table} = {self.table()}',
            f'{table}[{self.one(*KEYS)}] = {self.anything()}',
            f'{table}[{self.one(*KEYS)}] = {sequence}',
            f'{table}.setdefault("x", []).append({self.anything()})',
            f'{table}.setdefault("y", {{}})[{self.one(*KEYS)}] = {self.anything()}',
            f'{table}.update({self.table()})',
            f'{table}.update(k={self.anything()})',
            f'{table} |= {self.table()}',
            f'{table}.pop({self.one(*KEYS)}, None)',
            f'w({table}, {self.anything()})',
            f'c, d = d, {self.table()}',
            *inside,
            *inside,
        )

    def statement(self, depth=0, inside=()):
        if depth > 2 or self.random.random() < 0.65:
            return self.simple(inside)
        kind = self.random.random()
        if kind < 0.55:
            text = f'if {self.condition()}:\n{self.block(depth, inside)}'
            return text + (f'\nelse:\n{self.block(depth, inside)}' if self.random.random() < 0.6 else '')
        over = self.one('us(0)', 'us(1)', '[1, 2]', "['k', 'm']", f'list({self.one(*LISTS)})[:2]', 'range(2)')
        body = self.block(depth, (*inside, 'break', 'continue'))
        if kind < 0.9:
            text = f'for i in {over}:\n{body}'
            return text + (f'\nelse:\n{self.block(depth, inside)}' if self.random.random() < 0.2 else '')
        self.loops += 1
        name = f'o{self.loops}'
        return f'{name} = us(0)\nwhile {name}:\n    {name} = {name}[1:]\n{body}'

    def program(self):
        inner = self.block(1, ('return b', f'return {self.sequence()}'))
        functions = f"def f(b, a=2, l=[], c={{}}):\n    h, d = 1, {{'k': 2}}\n{inner}\n    return b\n"
        functions += 'def g(x):\n    if u(1):\n        return x\n    return 5\n'
        functions += (
            "def w(x, y):\n    if a == 1:\n        x['k'] = y\n    elif u(0):\n        x['m'] = y\n    return x\n"
        )
        start = "a, h = 1, 2\nb = [1, 2]\nl = []\nc = {'k': [1], 'm': 2}\nd = {'k': 3}\n"
        return f'import copy\n{functions}{start}' + '\n'.join(
            self.statement() for _ in range(self.random.randint(3, 9))
        )


def fits(got, want):
    """Whether what the evaluator says is so in a run."""
    if isinstance(got, (Unread, Called)):
        return True
    if isinstance(got, (Function, Reference)) or callable(want):
        return callable(want)
    if type(got) is not type(want) and not (isinstance(got, dict) and isinstance(want, dict)):
        return False
    if isinstance(got, dict):
        unsure = {key for key, value in got.items() if isinstance(value, Unread) and got.unsure}
        return got.keys() - unsure <= want.keys() <= got.keys() and all(
            fits(value, want[key]) for key, value in got.items() if key in want
        )
    if isinstance(got, (list, tuple)):
        return len(got) == len(want) and all(map(fits, got, want))
    return got == want


def runs(text):
    """The names after each run of the program that ends well."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of what can only fail
        code = compile(text, 'program', 'exec')
    lists = ([], ['k', 0])
    for truths in itertools.product((False, True), repeat=2):
        for values in itertools.product(lists, repeat=2):
            names = {'u': truths.__getitem__, 'us': lambda i, values=values: list(values[i])}
            try:
                exec(code, names)
                if len(repr({name: names.get(name) for name in NAMES})) < 100_000:
                    yield names
            except Exception:
                continue


@pytest.mark.parametrize('count', [40, pytest.param(3000, marks=pytest.mark.slow)])
def test_what_is_said_is_so_in_every_run(count):
    checked = known = 0
    for seed in range(count):
        text = Writer(seed).program()
        endings = list(runs(text))
        if not endings:
            continue
        scope = Evaluator(text, 'p.py', inline=True).run()
        for names in endings:
            checked += 1
            for name in NAMES:
                if name in names:
                    assert fits(scope.get(name), names[name]), f'{name}: {scope.get(name)!r} is {names[name]!r}\n{text}'
                    known += not isinstance(scope.get(name), (Unread, Called))
    assert checked > 8 * count and known > 2 * checked  # of six names


def test_fits_tells_values_apart():
    unread = Unread('x', NOWHERE)
    table = Table([('a', unread)])
    assert fits([1, unread], [1, 5]) and fits(table, {'a': 2}) and not fits(table, {})
    table.unsure = True
    assert fits(table, {}) and fits(table, {'a': 2}) and not fits(table, {'b': 1})
    assert (
        not fits([1], [2])
        and not fits({'a': 1}, {})
        and not fits({}, {'a': 1})
        and not fits(1, True)
        and not fits([], ())
    )
