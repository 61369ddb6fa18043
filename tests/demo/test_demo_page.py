"""The page: one file, nothing fetched, and a sentence instead of a blank."""

import re

import numpy as np
import pytest

for module in ('sklearn', 'PIL', 'matplotlib', 'jinja2'):
    pytest.importorskip(module)

from rich.console import Console

from segparity.demo import demo_page, results, terminal
from segparity.demo.judge import METRICS
from segparity.demo.settings import NUM_CLASSES, write_json
from segparity.demo.worlds import World
from tests.support.html_links import Links

MMSEG = World('mmseg', 'MMSegmentation', 'mmseg_plugin', ('torch',), (), 'pip install mmseg')
KERAS = World('keras', 'Keras', 'keras_plugin', ('keras',), (), 'pip install keras', 'jax')
NO_KERAS = World('keras', 'Keras', 'keras_plugin', ('keras',), ('keras',), "pip install 'segparity[keras]'")
NO_MMSEG = World('mmseg', 'MMSegmentation', 'mmseg_plugin', (), ('torch', 'mmseg'), "pip install 'segparity[mmseg]'")


@pytest.fixture
def folder(written, small, tmp_path):
    """A folder as the trainings and judges leave it, with made-up numbers."""
    (tmp_path / 'data').symlink_to(written / 'data')
    rng = np.random.default_rng(0)
    judged = {
        'losses': {'cross-entropy': 0.5, 'trained sum': 0.25},
        'metrics': {name: 0.9 - 0.01 * i for i, name in enumerate(METRICS)},
    }
    for name in ('mmseg', 'keras'):
        (tmp_path / name).mkdir()
        logits = rng.normal(size=(small.val_scenes, NUM_CLASSES, small.side, small.side)).astype(np.float32)
        np.save(tmp_path / name / 'val_logits.npy', logits)
        lines = [f'{{"step": {i}, "loss": {1 / (i + 1)}, "seconds": 0.1}}' for i in range(4)]
        lines += ['{"val": 2, "mIoUD": 0.5}', '{"val": 4, "mIoUD": 0.9}']
        (tmp_path / name / 'progress.jsonl').write_text('\n'.join(lines))
        write_json(tmp_path / name / 'result.json', {'metrics': judged['metrics'], 'seconds': 3.0, 'parameters': 5})
    for name in ('numpy', 'mmseg', 'keras'):
        write_json(tmp_path / 'compare' / f'{name}.json', {'mmseg': judged, 'keras': judged})
    return tmp_path


def written_page(folder, small, *worlds):
    found = results.collect(folder, small, [world for world in worlds if world.runs])
    found['run'] = {'seconds': 1.0, 'out': 'a folder; rm -rf <b>'}
    demo_page.write_page(folder, small, worlds, found)
    return (folder / 'index.html').read_text(), found


def test_the_page_fetches_nothing(folder, small):
    text, _ = written_page(folder, small, MMSEG, KERAS)
    links = Links()
    links.feed(text)
    assert links.fetched == [] and links.open == []
    assert 'url(http' not in text and '@import' not in text and '<script' not in text
    assert set(re.findall(r'https?://[^"\s<]+', text)) <= {
        'http://www.w3.org/2000/svg',
        'http://www.w3.org/1999/xlink',
    }


def test_pictures_curves_and_tables_are_there(folder, small):
    text, _ = written_page(folder, small, MMSEG, KERAS)
    shown = min(demo_page.SAMPLES, small.val_scenes)
    assert text.count('<img ') == 4 * shown + 2 * 4 * demo_page.WORST
    assert text.count('<svg ') == 3 and '10⁻⁸' in text and 'mathdefault' not in text
    assert 'MMSegmentation' in text and 'Keras (JAX)' in text and 'both implementations agree' in text


@pytest.mark.parametrize('worlds', [(MMSEG, NO_KERAS), (NO_MMSEG, KERAS)], ids=['no_keras', 'no_mmseg'])
def test_a_missing_world_is_a_sentence_with_its_command(folder, small, worlds):
    text, found = written_page(folder, small, *worlds)
    missing = next(world for world in worlds if world.missing)
    assert missing.pip.replace("'", '&#39;') in text and 'did not run' in text
    assert (
        text.count('<svg ') == 2
        and text.count('<img ') == 3 * min(demo_page.SAMPLES, small.val_scenes) + 4 * demo_page.WORST
    )
    assert found['drift'] == [] and found['agree']
    assert 'None' not in text and 'nan' not in re.sub(r'data:image/png;base64,[^"]*', '', text)


def test_values_are_escaped(folder, small):
    text, _ = written_page(folder, small, MMSEG, KERAS)
    assert 'rm -rf <b>' not in text and '&lt;b&gt;' in text


def test_a_disagreement_is_said_everywhere(folder, small):
    judged = {'losses': {'cross-entropy': 0.6, 'trained sum': 0.25}, 'metrics': dict.fromkeys(METRICS, 0.9)}
    write_json(folder / 'compare' / 'keras.json', {'mmseg': judged, 'keras': judged})
    text, found = written_page(folder, small, MMSEG, KERAS)
    assert not found['agree'] and 'the implementations differ' in text and '>differs<' in text
    console = Console(width=120, record=True, file=open('/dev/null', 'w'))
    terminal.print_results(found, [MMSEG, KERAS], console)
    assert 'DIFFERS' in console.export_text()


def test_a_first_step_that_differs_is_a_disagreement(folder, small):
    path = folder / 'keras' / 'progress.jsonl'
    path.write_text(path.read_text().replace('"loss": 1.0', '"loss": 1.0001'))
    found = results.collect(folder, small, [MMSEG, KERAS])
    assert not found['agree'] and found['drift'][0]['difference'] == pytest.approx(1e-4)


@pytest.mark.parametrize('width', [60, 80, 140])
def test_the_terminal_shows_every_number_at_every_width(folder, small, width):
    found = results.collect(folder, small, [MMSEG, KERAS])
    console = Console(width=width, record=True, file=open('/dev/null', 'w'))
    terminal.print_results(found, [MMSEG, NO_KERAS], console)
    text = console.export_text()
    assert text.count('90.0 %') == 2 and "pip install 'segparity[keras]'" in text and 'agrees' in text
    assert max(map(len, text.splitlines()[:12])) <= width
