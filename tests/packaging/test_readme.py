"""The README's snippets: they run, and the names and commands in them exist."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METRICS_PAGE = ROOT / 'docs' / 'keras_metrics.md'  # one script from top to bottom
PAGES = sorted(p for p in (ROOT / 'README.md', ROOT / 'docs' / 'install.md', METRICS_PAGE) if p.exists())
LINKED = sorted({*PAGES, *(ROOT / 'docs').glob('*.md')})


def blocks(language, pages=PAGES):
    """(page and line, text) of every fenced block in ``language``."""
    for page in pages:
        text = page.read_text(encoding='utf-8')
        for match in re.finditer(rf'^```{language}\n(.*?)^```$', text, re.DOTALL | re.MULTILINE):
            yield pytest.param(match[1], id=f'{page.name}-{text[: match.start()].count(chr(10)) + 1}')


PYTHON, SHELL = list(blocks('python')), list(blocks('bash'))


def test_there_are_snippets_to_look_at():
    assert PYTHON and SHELL


def test_the_table_names_every_loss():
    from shared_spec import LOSSES

    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert set(re.findall(r'^\| `(\w+Loss)`', readme, re.MULTILINE)) == set(LOSSES)


@pytest.mark.parametrize('text', SHELL)
def test_extras_and_make_targets_exist(text):
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    for named in re.findall(r'(?:\.|segparity)\[([\w,-]+)\]', text):
        assert set(named.split(',')) <= set(extras)
    for target in re.findall(r'^make (?:\w+=\S+ )*(\w+)', text, re.MULTILINE):
        assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)


ASK = """
import sys
from segparity.cli import main
for command in sys.argv[1:]:
    sys.argv = ['segparity', command, '--help']
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@pytest.mark.parametrize('text', [block for block in SHELL if re.search('^segparity ', block.values[0], re.MULTILINE)])
def test_commands_exist(text):
    asked = sorted(set(re.findall(r'^segparity (\w+)', text, re.MULTILINE)))
    done = subprocess.run([sys.executable, '-c', ASK, *asked], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count('usage: segparity') == len(asked), done.stderr[-2000:]


@pytest.mark.parametrize('page', LINKED, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    prose = re.sub(r'^ *```.*?^ *```$', '', page.read_text(encoding='utf-8'), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', prose):
        assert (page.parent / target).exists(), target
