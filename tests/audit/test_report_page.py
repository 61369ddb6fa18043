"""The page: one file that fetches nothing, escapes what tables say, and has a sentence for what it lacks."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.audit.streets import ERASED, MODELS, PHANTOM

SCRIPT = '<script>alert(1)</script>'
pytestmark = pytest.mark.xdist_group('audit_page')  # one worker makes the page, once


class Page(HTMLParser):
    """What a browser would fetch, tags left open, scripts, pictures by their caption, and the text."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.open, self.scripts, self.words, self.alts, self.ids = [], [], [], [], [], []
        self.feed(text)
        self.text = ' '.join(' '.join(self.words).split())

    def handle_starttag(self, tag, attrs):
        if tag not in ('meta', 'img', 'path', 'use', 'br', 'link', 'rect', 'image', 'input'):
            self.open.append(tag)
        for name, value in attrs:
            if name in ('src', 'href', 'xlink:href', 'srcset', 'data') and not value.startswith(('data:', '#')):
                self.fetched.append(value)
            if name.startswith('on'):
                self.fetched.append(f'{name}={value}')
            if name == 'id':
                self.ids.append(value)
        if tag == 'img':
            self.alts.append(dict(attrs)['alt'])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if self.open and self.open[-1] == 'script':
            self.scripts.append(data)
        elif not self.open or self.open[-1] != 'style':
            self.words.append(data)


@pytest.fixture(scope='module')
def made(streets, tmp_path_factory):
    """The page of three models with pictures, made once: (text, folder with page and PNG)."""
    from segparity.cli import main

    out = tmp_path_factory.mktemp('page')
    arguments = [str(streets / f'{model}.csv') for model in MODELS]
    arguments += ['--images', str(streets / 'images'), '--targets', str(streets / 'labels')]
    arguments += ['--preds', *(str(streets / model) for model in MODELS)]
    arguments += ['--out', str(out / 'audit.html'), '--png', str(out / 'png'), '--worst', '2', '--top', '5']
    assert main(['audit', *arguments, '--title', 'Streets & lanes']) == 0
    return (out / 'audit.html').read_text(encoding='utf-8'), out


def test_one_file_that_fetches_nothing(made):
    text, _ = made
    page = Page(text)
    assert page.fetched == [] and page.open == [] and '@import' not in text
    assert set(re.findall(r'https?://[^"\'\s<]+', text)) <= {
        'http://www.w3.org/2000/svg',
        'http://www.w3.org/1999/xlink',
    }
    assert set(re.findall(r'url\((.)', text)) <= {'#'}
    assert len(page.ids) == len(set(page.ids)), 'figures must not share ids'


def test_only_the_pages_own_script_may_run(made):
    text, _ = made
    (script,) = Page(text).scripts
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1].replace('&#39;', "'")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_everything_a_reader_asks_is_there(made):
    text, _ = made
    page = Page(text)
    for words in ('Streets & lanes', 'nightblind minus coarse', 'paired bootstrap', 'Weaknesses of one model'):
        assert words in page.text
    assert 'segparity audit' in page.text and 'nan' not in page.text.split() and 'None None' not in page.text
    figures = 2 + 3 + 2 + 1 + 6  # spread, classes, differences, size of all, size of each
    assert text.count('<svg ') == figures


def test_planted_label_errors_come_first(made):
    text, _ = made
    listed = text[text.index('Likely label errors') :]
    assert re.search(r'title="(street_\d+)"', listed)[1] == f'street_{PHANTOM:03d}'
    listed = text[text.index('Perhaps not labelled') :]
    assert f'street_{ERASED:03d}' in re.findall(r'<td class="name" title="(street_\d+)"', listed)[:2]


def test_pictures_and_the_whole_input_beside_a_part(made):
    alts = Page(made[0]).alts
    assert {alt.split(', ')[-1] for alt in alts} >= {
        'input',
        'truth',
        'prediction',
        'error map',
        'prediction of coarse',
    }
    assert alts.count(f'street_{PHANTOM:03d}, truth') >= 1


@pytest.mark.slow
def test_png_files(made):
    folder = made[1] / 'png'
    names = {path.name for path in folder.glob('*.png')}
    assert {'distribution.png', 'cumulative.png', 'size-all.png', 'classes-3.png', 'differences-2.png'} <= names
    worst = {path.name for path in (folder / 'worst').glob('*.png')}
    assert {'coarse-005-sign-1.png', 'coarse-005-sign-2.png', 'hesitant-003-vegetation-2.png'} <= worst
    for path in (folder / 'distribution.png', next((folder / 'failures').glob('labels-*.png'))):
        with Image.open(path) as image:
            assert image.width > 400 and np.asarray(image.convert('L')).std() > 5


def test_what_tables_say_is_escaped(table, audit, tmp_path):
    files = {'image_file': [f'{SCRIPT}.png'] * 2, 'target_file': ['"><b>'] * 2, 'pred_file': ["'"] * 2}
    counts = [[[8, 1, 2], [0, 3, 5]], [[3, 1, 2], [1, 3, 5]]]
    paths = [
        table(
            counts,
            name=name,
            images=[SCRIPT, '" onload="x'],
            classes=['<script>alert(2)</script>', 'a & b'],
            files=files,
        )
        for name in ('<i>.csv', 'b.csv')
    ]
    code, _, err = audit(*paths, '--title', '<script>alert(3)</script>', '--names', '<script>alert(4)</script>,y')
    text = (tmp_path / 'audit.html').read_text(encoding='utf-8')
    page = Page(text)
    assert code == 0, err
    assert len(page.scripts) == 1 and page.fetched == [] and 'alert(' not in page.scripts[0]
    assert not re.search(r'<script>alert|<b>|<i>|" onload="x', text.replace('<i style', ''))
    assert all(f'alert({k})' in page.text for k in range(1, 5))


@pytest.mark.usefixtures('no_figures')
def test_missing_pictures_are_one_sentence(streets, audit, tmp_path):
    code, out, _ = audit(streets / 'coarse.csv')
    text = (tmp_path / 'audit.html').read_text(encoding='utf-8')
    assert code == 0 and out.count('No pictures:') == 1 and text.count('No pictures:') == 1
    assert '<img' not in text and 'street_0' in text[text.index('id="worst"') :]


@pytest.mark.usefixtures('no_figures')
def test_pictures_without_inputs_and_with_some_missing(streets, audit, tmp_path):
    (tmp_path / 'labels').mkdir()
    for path in sorted((streets / 'labels').glob('*.png'))[:15]:
        (tmp_path / 'labels' / path.name).symlink_to(path)
    code, out, _ = audit(streets / 'coarse.csv', '--targets', 'labels', '--preds', streets / 'coarse')
    page = Page((tmp_path / 'audit.html').read_text(encoding='utf-8'))
    assert code == 0 and 'not found (label map of street_0' in out and 'No pictures of inputs' in out
    assert {alt.split(', ')[-1] for alt in page.alts} == {'truth', 'prediction', 'error map'}


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize(
    ('make', 'sentence'),
    [
        (lambda path: path.write_bytes(b'no picture'), 'cannot be read'),
        (lambda path: Image.new('L', (5, 4)).save(path), 'is 4x5, the ground truth 96x192'),
        (lambda path: Image.new('RGB', (192, 96)).save(path), 'colours need a palette (--palette FILE)'),
    ],
    ids=['unreadable', 'wrong_size', 'colours'],
)
def test_a_picture_that_cannot_be_used_is_named(streets, audit, tmp_path, make, sentence):
    (tmp_path / 'preds').mkdir()
    for path in (streets / 'coarse').glob('*.png'):
        make(tmp_path / 'preds' / path.name)
    code, out, _ = audit(streets / 'coarse.csv', '--targets', streets / 'labels', '--preds', 'preds')
    assert code == 0 and f'{sentence}' in out and 'preds/street_' in out and 'more pictures cannot be read' in out


@pytest.mark.usefixtures('no_figures')
def test_pictures_of_something_else_are_noticed(streets, audit):
    arguments = ['--targets', streets / 'labels', '--preds', streets / 'hesitant', '--worst', 1]
    code, out, _ = audit(streets / 'coarse.csv', *arguments)
    assert code == 0 and 'do not have the counts of the table' in out


@pytest.mark.usefixtures('no_figures')
def test_the_limit_keeps_the_most_important(streets, audit, tmp_path):
    arguments = [streets / 'coarse.csv', '--targets', streets / 'labels', '--preds', streets / 'coarse']
    code, out, _ = audit(*arguments, '--limit', 0.03)
    text = (tmp_path / 'audit.html').read_text(encoding='utf-8')
    shown, wanted = map(int, re.search(r'(\d+) of (\d+) panels are shown', out).groups())
    assert code == 0 and 0 < shown < wanted
    assert 'alt="' in text[text.index('id="failures"') :] and len(text) < 500_000


@pytest.mark.usefixtures('no_figures')
def test_a_palette_colours_the_classes(streets, audit, tmp_path):
    (tmp_path / 'p.json').write_text('[[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12], [13, 14, 15], [16, 17, 18]]')
    arguments = ['--targets', streets / 'labels', '--preds', streets / 'coarse', '--palette', 'p.json', '--worst', 1]
    code, *_ = audit(streets / 'coarse.csv', *arguments)
    assert code == 0 and 'background: #010203' in (tmp_path / 'audit.html').read_text(encoding='utf-8')


@pytest.mark.parametrize(
    ('counts', 'rule'),
    [
        pytest.param([[[8, 1, 2]]], {}, id='one_class_one_image'),
        pytest.param(
            [[[9, 0, 0], [0, 0, 0]], [[5, 0, 4], [0, 4, 0]]], {'binary': True}, id='binary', marks=pytest.mark.slow
        ),
        pytest.param(
            [[[9, 0, 0], [7, 0, 0], [0, 0, 0]]] * 3, {}, id='perfect_and_a_class_nowhere', marks=pytest.mark.slow
        ),
    ],
)
def test_small_and_strange_tables(table, audit, tmp_path, counts, rule):
    code, _, err = audit(table(counts, **rule), table(counts, name='b.csv', **rule), '--png', 'png')
    assert code == 0, err
    assert 'nan' not in Page((tmp_path / 'audit.html').read_text(encoding='utf-8')).text.split()


@pytest.mark.usefixtures('no_figures')
def test_tables_that_share_no_image(table, audit):
    counts = [[[8, 1, 2], [0, 3, 5]]]
    code, out, _ = audit(table(counts, images=['a']), table(counts, name='b.csv', images=['b']))
    assert code == 0 and 'no image in common' in out


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--q', '0'], '--q: per cent, from 1 to 100, got 0'),
        (['--fail-below', '1.5'], '--fail-below: an IoU, from 0 to 1, got 1.5'),
        (['--worst', '-1'], '--worst: at least 0, got -1'),
        (['--size', '3'], '--size: at least 32, got 3'),
        (['--agree', '2'], '--agree: from 1 to 1 models can fail together, got 2'),
        (['--preds', 'a', 'b'], '--preds: one folder for each of the 1 tables, got 2'),
        (['--targets', 'nowhere'], '--targets: nowhere is no folder'),
        (['--palette', 'nowhere.json'], 'nowhere.json'),
        (['--coded', 'both'], '--coded: which colours stand for which classes is said by --palette'),
        (['--out', '.'], '--out . is a folder'),
        (['--json', 'model.csv'], '--json must be no file that is read, got model.csv'),
    ],
)
def test_wrong_options_are_one_sentence(table, audit, tmp_path, arguments, sentence):
    path = table([[[8, 1, 2]]])
    before = path.read_bytes()
    code, out, err = audit(path, *arguments)
    assert code == 2 and sentence in err and err.count('\n') == 1 and out == ''
    assert path.read_bytes() == before and not (tmp_path / 'audit.html').exists()


def test_a_missing_extra_is_named(audit, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'jinja2' else found(name))
    code, _, err = audit('x.csv')
    assert code == 2 and "pip install 'segparity[audit]'" in err
