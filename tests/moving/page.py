"""The figures of docs/moving.md: what stands in the table, held against what a test has just measured."""

import re
from decimal import Decimal

from tests.packaging.page_code import ROOT, blocks

PAGE = ROOT / 'docs' / 'moving.md'
ROW = re.compile(r'^\| \[(.+?)\]\(#(.+?)\) \|(.+)\|$', re.MULTILINE)
SIZE = 2  # of the cells after the name: PyTorch, Keras, the size of the difference, how to make them equal
FIGURE = re.compile(r'\*\*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\*\*')


def rows():
    """Name of a difference -> (anchor of its section, the cells after the name)."""
    return {
        name: (anchor, re.split(r'(?<!\\)\|', cells)) for name, anchor, cells in ROW.findall(PAGE.read_text('utf-8'))
    }


def assert_figures(name, *measured):
    """Fails unless the row's bold figures are the measured numbers, each to half a unit of its last digit."""
    printed = FIGURE.findall(rows()[name][1][SIZE])
    said = f'{name}: docs/moving.md prints {printed}, measured now: {[float(f"{x:.4g}") for x in measured]}'
    assert len(printed) == len(measured), said
    for text, value in zip(printed, measured):
        assert agrees(text, value), said


def agrees(text, value):
    """Whether a printed number is the rounded value."""
    unit = 10.0 ** Decimal(text).as_tuple().exponent
    return abs(float(text) - value) <= 0.5001 * unit


def code_with(text):
    """The names that the page's first block which contains ``text`` defines; runs that block and the first, its imports."""
    found = [block.text for block in blocks(PAGE) if block.language == 'python']
    names = {}
    for code in (found[0], next(code for code in found if text in code)):
        exec(code, names)
    return names
