"""The room that pages share: what is escaped, what may run, and what an SVG may not say."""

import base64
import hashlib
import re
import sys

import pytest

for module in ('jinja2', 'matplotlib'):
    pytest.importorskip(module)

from segparity.pages.axes import INK, axes_of, legend
from segparity.pages.shell import encoded, page_html
from segparity.pages.svg import svg_element, svg_of
from segparity.pages.values import css_colour, data_uri, with_raised

HOSTILE = '"><script>alert(1)</script>'
TEMPLATE = """{% extends 'shell.html.j2' %}
{% block title %}{{ word }}{% endblock %}
{% block main %}
{% import 'parts.html.j2' as parts %}
{{ parts.legend([(word, '#010203'), ('ignored', '#ffffff')], hatched='ignored') }}
<p>{{ word|twice }}</p>
{% endblock %}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Makes a package with a page of its own, and gives the HTML of that page."""

    def made(word, **more):
        folder = tmp_path / 'a_package_with_a_page'
        folder.mkdir()
        for name, text in {'__init__.py': '', 'mine.html.j2': TEMPLATE, **more}.items():
            (folder / name).write_text(text, encoding='utf-8')
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, folder.name, raising=False)
        return page_html(folder.name, 'mine', {'word': word}, {'twice': lambda text: text + text})

    return made


def policy(text):
    return re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]


def test_values_are_escaped_in_title_legend_and_text(own):
    text = own(HOSTILE)
    assert '<script' not in text and text.count('&lt;script&gt;') == 4
    assert text.count('<i style=') == 2 and text.count('class="hatch"') == 1
    assert text.startswith('<!doctype html>\n') and text.endswith('</html>')


def test_without_a_script_none_may_run(own):
    text = own('a')
    assert policy(text).startswith("default-src 'none'; img-src data:;") and 'script' not in text


def test_only_the_own_script_may_run(own):
    script = "document.title = '<&>';\n"
    text = own('a', **{'mine.js': script})
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f'<script>{script}</script>' in text and f"script-src 'sha256-{digest}';" in policy(text)


def test_the_own_style_comes_after_the_shared_one(own):
    text = own('a', **{'mine.css': 'h1 { color: "<red>"; }\n'})
    assert 0 < text.index('--paper:') < text.index('h1 { color: "<red>"; }') < text.index('</style>')


def test_a_name_that_is_no_text_is_shown_by_its_bytes():
    assert encoded('ä\udcff') == 'ä\\udcff'.encode()


def test_an_svg_takes_the_ink_of_the_page_and_has_no_id_of_a_group():
    figure, axes = axes_of('A title', 'across')
    axes.plot([1, 2], color=INK, label='line')
    legend(axes)
    text = svg_of(figure, 'name', HOSTILE)
    assert text.startswith('<svg role="img" aria-label="&#34;&gt;&lt;script&gt;') and '<script' not in text
    assert 'currentColor' in text and INK not in text and '<metadata' not in text and '<!--' not in text
    assert not re.search(r' id="\w*_\d+"', text)
    for target in re.findall(r'(?:url\(|href=")#([^")]+)', text):
        assert f' id="{target}"' in text


def test_two_figures_share_no_id():
    def ids(name):
        figure, axes = axes_of('A title', 'across')
        axes.plot([1, 2])
        return set(re.findall(r' id="([^"]+)"', svg_of(figure, name, '')))

    assert ids('a') and not ids('a') & ids('b') and ids('a') == ids('a')


def test_what_matplotlib_says_of_itself_goes():
    text = '<?xml?>\n<svg width="1">\n<metadata>\nx</metadata><!-- a\nb --><g id="text_3"/><path id="m0a"/></svg>'
    assert svg_element(text, 'd') == '<svg role="img" aria-label="d" width="1">\n<g/><path id="m0a"/></svg>'


def test_values():
    assert css_colour((230, 159, 0)) == '#e69f00'
    assert data_uri(b'abc', 'image/png') == 'data:image/png;base64,YWJj'
    assert with_raised('<a', 'b>') == '&lt;a<sup>b&gt;</sup>'
