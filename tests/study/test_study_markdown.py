"""The study's tables in Markdown, and those of the page, which are of the committed result."""

import json
from pathlib import Path

from segparity.study.judging import MEASURES
from segparity.study.markdown import difference, tables

DOCS = Path(__file__).resolve().parents[2] / 'docs'


def test_differences():
    assert difference(dict(mean=0.008, low=0.002, high=0.014), 1) == '**+0.8 (0.2 to 1.4)**'
    assert difference(dict(mean=-0.008, low=-0.02, high=0.004), 1) == '-0.8 (-2.0 to 0.4)'
    assert difference(dict(mean=0.008, low=None, high=None), 1) == '–'


def test_tables():
    one, two = ({name: dict(mean=x, spread=0.01) for name in MEASURES} for x in (0.5, 0.25))
    pair = dict(one='a', other='b', measures={name: dict(mean=0.25, low=0.2, high=0.3) for name in MEASURES})
    results = dict(
        conditions=dict(a='A', b='B'),
        data=dict(d=dict(title='Data')),
        summary=dict(d=dict(conditions=dict(a=one, b=two), differences=[pair])),
    )
    lines = tables(results).splitlines()
    assert lines[0] == '### Data' and all(line.count('|') in (0, len(MEASURES) + 2) for line in lines)
    assert lines[4].startswith('| A | 50.0 ± 1.0 |') and lines[5].startswith('| B | 25.0 ± 1.0 |')
    assert lines[9].startswith('| A less B | **+25.0 (20.0 to 30.0)** |')


def test_the_page_has_the_tables_of_the_committed_result():
    results = json.loads((DOCS / 'studies' / 'soft_labels.json').read_text(encoding='utf-8'))
    page = (DOCS / 'soft_label_study.md').read_text(encoding='utf-8')
    assert tables(results).strip() in page
    assert results['again'] in page
    assert len(results['runs']) == len(results['conditions']) * len(results['data']) * results['seeds']
