"""Random programs: whatever the evaluator says is so in every way in which the program can run.

``u(i)`` is an unknown truth and ``us(i)`` an unknown list. Python runs the program for each of their values; a value of the
evaluator may be Unread, in whole or in part, and has to be the same as Python's everywhere else.
"""

import itertools
import random
import re
import warnings

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.values import NOWHERE, Called, Function, Reference, Table

NUMBERS, LISTS, TABLES = ('a', 'h'), ('b', 'l'), ('c', 'd')
NAMES = (*NUMBERS, *LISTS, *TABLES)
KEYS = "'k'", "'m'", "'n'"


NUMBER = (
    '(<N> + <N>)', '(<N> if <C> else <N>)', '(<N> or <N>)', 'len(<S>)', 'len(<T>)', '(<T> == <T>)', '(<S> == <S>)',
    '(<N> in <S>)', 'g(<N>)', '(not <S>)',
)  # fmt: skip
SEQUENCE = (
    '[<A>, <A>]', '[*<S>, <A>]', '(<l> + [<A>])', '[[e, <A>] for e in <S> if <C>]', 'list(<T>.values())', '<S>[:2]',
    '(<S> if <C> else <S>)', 'f(<S>)', 'copy.deepcopy(<l>)', 'list(reversed(<S>))',
)  # fmt: skip
TABLE = (
    "{'k': <A>, 'm': <A>}", 'dict(k=<A>, n=<A>)', '{**<T>, <k>: <A>}', '(<T> | <T>)', '(<T> if <C> else <T>)',
    '{key: <A> for key in <T>}', 'w(<T>, <A>)', 'copy.copy(<t>)',
)  # fmt: skip
SIMPLE = (
    '<n> = <N>', '<n> += <N>', '<l> = <S>', '<l> += <S>[:2]', '<l> = <l> + [<A>]', '<l>.append(<A>)', '<l>.append(<t>)',
    '<l>.extend(<S>[:2])', '<l>.insert(0, <A>)', 'b, l = l, <S>', '<t> = <T>', '<t>[<k>] = <A>', '<t>[<k>] = <l>',
    '<t>.setdefault("x", []).append(<A>)', '<t>.setdefault("y", {})[<k>] = <A>', '<t>.update(<T>)', '<t>.update(k=<A>)',
    '<t> |= <T>', '<t>.pop(<k>, None)', 'w(<t>, <A>)', 'c, d = d, <T>',
)  # fmt: skip
CONDITION = 'u(0)', 'u(1)', 'not u(0)', '<n> == 1', 'True', '<l>', 'a > h'
FORMS = {
    'N': (NUMBER, (*NUMBERS, '1', '2', '-3', 'True')),
    'S': (SEQUENCE, (*LISTS, '[]', '[1, 2]')),
    'T': (TABLE, (*TABLES, '{}', "{'k': 1}")),
    'C': (CONDITION, CONDITION),
    'n': (NUMBERS, NUMBERS),
    'l': (LISTS, LISTS),
    't': (TABLES, TABLES),
    'k': (KEYS, KEYS),
}


class Writer:
    """Writes programs in which numbers, lists and dicts keep to their names, so that most of them run to their end."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.loops = 0

    def one(self, *words):
        return self.random.choice(words)

    def filled(self, form, depth=0):
        """The form with something of each kind where its letter stands."""

        def fill(match):
            letter = self.one(*'NST') if match[1] == 'A' else match[1]
            forms, atoms = FORMS[letter]
            return self.filled(self.one(*(atoms if depth > 2 or self.random.random() < 0.3 else forms)), depth + 1)

        return re.sub('<([NSTACnltk])>', fill, form)

    def block(self, depth, inside):
        lines = [self.statement(depth + 1, inside) for _ in range(self.random.randint(1, 3))]
        return '\n'.join('    ' + line for line in '\n'.join(lines).split('\n'))

    def simple(self, inside):
        return self.filled(self.one(*SIMPLE, *inside, *inside))

    def statement(self, depth=0, inside=()):
        if depth > 2 or self.random.random() < 0.65:
            return self.simple(inside)
        kind = self.random.random()
        if kind < 0.55:
            text = f'if {self.filled("<C>")}:\n{self.block(depth, inside)}'
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
        inner = self.block(1, ('return b', 'return <S>'))
        functions = f"def f(b, a=2, l=[], c={{}}):\n    h, d = 1, {{'k': 2}}\n{inner}\n    return b\n"
        functions += 'def g(x):\n    if u(1):\n        return x\n    return 5\n'
        functions += (
            "def w(x, y):\n    if a == 1:\n        x['k'] = y\n    elif u(0):\n        x['m'] = y\n    return x\n"
        )
        start = "a, h = 1, 2\nb = [1, 2]\nl = []\nc = {'k': [1], 'm': 2}\nd = {'k': 3}\n"
        return f'import copy\n{functions}{start}' + '\n'.join(
            self.statement() for _ in range(self.random.randint(3, 9))
        )


def fits(got, want, met=None):
    """Whether what the evaluator says is so in a run."""
    met = set() if met is None else met
    if isinstance(got, (Unread, Called)) or (id(got), id(want)) in met:
        return True
    if isinstance(got, (Function, Reference)) or callable(want):
        return callable(want)
    if type(got) is not type(want) and not (isinstance(got, dict) and isinstance(want, dict)):
        return False
    if isinstance(got, (dict, list, tuple)):
        met.add((id(got), id(want)))
    if isinstance(got, dict):
        unsure = {key for key, value in got.items() if isinstance(value, Unread) and got.unsure}
        return got.keys() - unsure <= want.keys() <= got.keys() and all(
            fits(value, want[key], met) for key, value in got.items() if key in want
        )
    if isinstance(got, (list, tuple)):
        return len(got) == len(want) and all(fits(a, b, met) for a, b in zip(got, want))
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


def check(seed):
    """(runs, names whose value was said) of one program, in every run of which what is said is so."""
    text = Writer(seed).program()
    endings = list(runs(text))
    if not endings:
        return 0, 0
    known = 0
    scope = Evaluator(text, 'p.py', inline=True).run()
    for names in endings:
        for name in NAMES:
            if name in names:
                assert fits(scope.get(name), names[name]), f'{name}: {scope.get(name)!r} is {names[name]!r}\n{text}'
                known += not isinstance(scope.get(name), (Unread, Called))
    return len(endings), known


@pytest.mark.parametrize('count', [150, pytest.param(500, marks=pytest.mark.slow)])
def test_what_is_said_is_so_in_every_run(count):
    checked, known = map(sum, zip(*map(check, range(count))))
    assert checked > 8 * count and known > 2 * checked  # of six names


@pytest.mark.xfail(
    strict=True, reason='the docstring of Evaluator says what is not seen: three of the first 1,500 programs'
)
@pytest.mark.parametrize('seed', [523, pytest.param(740, marks=pytest.mark.slow), 1338])
def test_changes_that_are_not_seen(seed):
    check(seed)


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
