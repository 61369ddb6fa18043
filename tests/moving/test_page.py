"""docs/moving.md: every row is measured, every figure is one, and a figure that is out of date is found."""

import re

import pytest

from tests.moving import page
from tests.packaging.page_code import ROOT


def measured():
    """Names that tests of this folder hold against the page."""
    texts = ''.join(
        path.read_text('utf-8') for path in (ROOT / 'tests/moving').glob('test_*.py') if path.name != 'test_page.py'
    )
    found = re.findall(r'assert_figures\(\s*(?:\'(.+?)\'|"(.+?)"),', texts)
    return {a or b for a, b in found} | set(re.findall(r"'(\w+Norm epsilon)'", texts))


def test_every_row_is_measured_and_has_its_section():
    text = page.PAGE.read_text('utf-8')
    anchors = {line[3:].lower().replace(' ', '-') for line in text.splitlines() if line.startswith('## ')}
    rows = page.rows()
    assert set(rows) == measured() and len(rows) > 40
    for name, (anchor, cells) in rows.items():
        assert anchor in anchors and len(cells) == 4 and page.FIGURE.search(cells[page.SIZE]), name
        assert all(cell.strip() for cell in cells), name
    in_rows = sum(len(page.FIGURE.findall(cells[page.SIZE])) for _, cells in rows.values())
    assert in_rows == len(page.FIGURE.findall(text))  # nothing else is printed as measured


def test_figures_that_are_out_of_date():
    for text, value in (('0.39', 0.3949), ('30', 30.4), ('1e-8', 1.2e-8), ('-2.1', -2.118), ('0.00047', 4.73e-4)):
        assert page.agrees(text, value)
    for text, value in (('0.39', 0.396), ('30', 31), ('1e-8', 1.6e-8), ('-2.1', 2.1), ('0.00047', 4.76e-4)):
        assert not page.agrees(text, value)
    page.assert_figures('LeakyReLU', 30)
    with pytest.raises(AssertionError, match=r"LeakyReLU: docs/moving.md prints \['30'\], measured now: \[29.0\]"):
        page.assert_figures('LeakyReLU', 29)
    with pytest.raises(AssertionError, match='measured now'):
        page.assert_figures('LeakyReLU', 30, 30)
