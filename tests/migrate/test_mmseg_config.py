"""Every configuration of the corpus is read as it was written down, and MMEngine, where installed, says the same."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from segparity.migrate.items import Item, Unread
from segparity.migrate.reading.mmseg_config import read_mmseg_config
from tests.migrate.mmseg_corpus import CORPUS, FOLDER

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {'external_base.py': 'mmseg', 'plain.yaml': 'yaml'}


def said(value):
    """Items as (name, arguments), MMSegmentation's without their library; what was not read as None."""
    if isinstance(value, Item):
        name = value.name if value.library == 'mmseg' else f'{value.library}.{value.name}'
        return name, {key: said(part) for key, part in value.arguments.items()}
    if isinstance(value, list):
        return [said(part) for part in value]
    return None if isinstance(value, Unread) else value


def corpus(name, monkeypatch):
    if name in NEEDS:
        pytest.importorskip('yaml') if NEEDS[name] == 'yaml' else need_mmseg()
    monkeypatch.chdir(FOLDER)
    return read_mmseg_config(name)


def need_mmseg():
    from segparity.migrate.reading.folders import installed_mmseg

    if installed_mmseg() is None:
        pytest.skip('MMSegmentation is not installed')


@pytest.mark.parametrize('name', [name for name in CORPUS if CORPUS[name].read != 'not'])
def test_corpus(name, monkeypatch):
    want, source = CORPUS[name], corpus(name, monkeypatch)
    assert [output.name for output in source.outputs] == list(want.heads)
    for output in source.outputs:
        losses = want.heads[output.name]
        if isinstance(losses, str):
            assert output.refused.startswith(losses) and not output.losses
        else:
            assert not output.refused and said(list(output.losses)) == losses
        facts = dict(num_classes=6, channels=6, ignore_index=255, align_corners=False, sampler=None)
        facts |= dict(world='mmseg', version=want.version, activation='logits', labels='ids')
        facts |= dict(reduce_zero_label=want.reduce_zero_label) | want.facts.get(output.name, {})
        got = {key: getattr(output.context, key) for key in facts}
        assert got == facts
    assert said([item for item, _ in source.metrics]) == list(want.metrics)
    assert [part.place.line for part in source.unread] == [line for line, _ in want.unread]
    for part, (_, reason) in zip(source.unread, want.unread):
        assert reason in part.reason and part.place.file == name
    assert len(source.remarks) == len(want.remarks), source.remarks
    for part in want.remarks:
        assert any(part in remark for remark in source.remarks), part
    assert (want.read == 'fully') == (not source.unread)
    assert source.kind == 'MMSegmentation config' and source.world == 'mmseg'


def test_the_corpus_is_whole():
    files = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert files == set(CORPUS)
    assert Counter(want.read for want in CORPUS.values()) == {'fully': 33, 'partly': 7, 'not': 1}


def test_python_2_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r'^python2.py is no Python 3 that can be read: line 1: '):
        corpus('python2.py', monkeypatch)


PLACES = {
    'num_classes.py': {'decode_head': ('_base_/models/fcn.py', 22), 'IoUMetric': ('_base_/datasets/fields.py', 16)},
    'delete_loss.py': {'decode_head': ('delete_loss.py', 3), 'auxiliary_head': ('delete_loss.py', 5)},
    'new_style_update.py': {'decode_head': ('_base_/new_style.py', 16), 'auxiliary_head': ('new_style_update.py', 10)},
    'external_base.py': {'decode_head': ('mmseg::_base_/models/upernet_r50.py', 36)},
}


@pytest.mark.parametrize('name', PLACES)
def test_places_are_where_the_type_was_written(name, monkeypatch):
    source = corpus(name, monkeypatch)
    found = {output.name: output.losses[0].place for output in source.outputs}
    found |= {item.name: item.place for item, _ in source.metrics}
    for key, (file, line) in PLACES[name].items():
        assert (found[key].file, found[key].line) == (file, line)


def test_what_the_notes_take(monkeypatch):
    source = corpus('base_only.py', monkeypatch)
    assert source.seen_keys['model.decode_head.norm_cfg.type'] == 'SyncBN'
    assert source.seen_keys['optim_wrapper.optimizer.weight_decay'] == 0.0005
    assert source.seen_keys['param_scheduler.0.type'] == 'PolyLR'
    assert source.seen_keys['data_preprocessor.mean'] == [123.675, 116.28, 103.53]
    calls = {call.name: call.arguments for call in source.seen_calls}
    assert calls['SGD'] == {'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0005}
    assert corpus('new_style_update.py', monkeypatch).seen_keys['model.backbone.type'] == 'ResNetV1c'
    assert [os.path.relpath(path, FOLDER) for path in source.files] == [
        'base_only.py',
        '_base_/models/fcn.py',
        '_base_/datasets/fields.py',
        '_base_/schedules/iterations.py',
        '_base_/default_runtime.py',
    ]


def test_a_config_is_read_without_a_framework():
    code = (
        'import sys\n'
        'from segparity.migrate.reading.mmseg_config import read_mmseg_config\n'
        f'read_mmseg_config({str(FOLDER / "num_classes.py")!r})\n'
        'print([name for name in ("torch", "keras", "tensorflow", "jax", "mmengine", "mmseg", "mmcv") if name in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == '[]\n', done.stderr


# The same as MMEngine


def plain(value):
    """A configuration in plain Python, classes by their names."""
    from segparity.migrate.reading.values import Reference

    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items() if key != '_scope_'}  # which registry a base is of
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value.name if isinstance(value, Reference) else value


def of_mmengine(path):
    """The configuration as MMEngine executes it, without the names that it imports."""
    from mmengine.config import Config

    made = Config.fromfile(path, import_custom_modules=False, format_python_code=False)
    return {key: value for key, value in made.to_dict().items() if key not in getattr(made, '_imported_names', ())}


def same_as_mmengine(path):
    from segparity.migrate.reading.config_chain import Chain

    chain = Chain(str(path))
    got, want = plain(chain.read(str(path))), plain(of_mmengine(str(path)))
    assert not chain.unread
    assert got.keys() == want.keys()
    for key in want:
        assert got[key] == want[key], key


@pytest.mark.parametrize(
    'name',
    [name for name in CORPUS if CORPUS[name].read == 'fully' and not name.startswith('old_') and name.endswith('.py')],
)
def test_corpus_is_what_mmengine_makes_of_it(name):
    pytest.importorskip('mmengine')
    if name == 'external_base.py':
        need_mmseg()
    same_as_mmengine(FOLDER / name)


def installed_configs():
    from segparity.migrate.reading.folders import configs_of, installed_mmseg

    package = installed_mmseg()
    folder = package and configs_of(package)
    return sorted(Path(folder).rglob('*.py')) if folder else []


@pytest.mark.parametrize('step', [pytest.param(1, marks=pytest.mark.slow), 37])
def test_installed_configs_are_what_mmengine_makes_of_them(step):
    """All 769 in about a minute and a half; every 37th in the default suite."""
    pytest.importorskip('mmengine')
    paths = installed_configs()
    if not paths:
        pytest.skip('MMSegmentation is not installed')
    for path in paths[::step]:
        same_as_mmengine(path)


@pytest.mark.slow
def test_every_installed_config_gives_a_source():
    paths = installed_configs()
    if not paths:
        pytest.skip('MMSegmentation is not installed')
    for path in paths:
        source = read_mmseg_config(str(path))
        assert not source.unread
        if 'model' in {key.split('.')[0] for key in source.seen_keys} and '_base_' not in path.parts:
            assert source.outputs, path
        for output in source.outputs:
            assert output.refused or output.losses, path
