"""The catalogue on paper is what the spec says."""

from pathlib import Path

from segparity.catalogue import catalogue
from shared_spec import LOSSES, METRICS

PAGE = Path(__file__).parents[2] / 'docs' / 'catalogue.md'


def test_the_page_is_the_spec_s():
    assert PAGE.read_text() == catalogue(), 'python -m segparity.catalogue > docs/catalogue.md'


def test_everything_stands_on_it_once():
    lines = catalogue().splitlines()
    assert sorted(line[4:] for line in lines if line.startswith('### ')) == sorted([*LOSSES, *METRICS])
    for spec in [*LOSSES.values(), *METRICS.values()]:
        at = lines.index(f'### {spec.__name__}')
        end = next((k for k in range(at + 1, len(lines)) if lines[k].startswith('##')), len(lines))
        text = '\n'.join(lines[at:end])
        for parameter in spec.parameters():
            assert f'`{parameter}`' in text, (spec.__name__, parameter)
