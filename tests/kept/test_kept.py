"""What earlier versions left behind stays readable and means the same: models, checkpoints, states, journals, tables.

The files were written by ``make.py`` at version 0.1.0, before anything moved.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.support.assertions import TOLERANCES
from tests.support.frameworks import axis

FILES = Path(__file__).parent / '0.1.0'


@pytest.mark.slow
@pytest.mark.parametrize('kind', [pytest.param('losses', marks=pytest.mark.slow_on('keras_tensorflow')), 'metrics'])
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_torch', 'keras_jax'))
def test_a_saved_keras_model_has_its_losses_and_metrics(kind, framework, worker):
    found, _ = worker.call('tests.kept.keras_calls:loaded', path=str(FILES / f'{kind}.keras'), kind=kind)
    want = json.loads((FILES / 'keras.json').read_text())[kind]
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert abs(found[name] - value) <= TOLERANCES['float32'][0] * max(1, abs(value)), name


def test_a_checkpoint_of_robust_t():
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401

    loss = MODELS.build(dict(type='RobustTLoss'))
    loss.load_state_dict(torch.load(FILES / 'robust_t.pth', weights_only=True))
    assert loss.log_nu.item() == pytest.approx(np.log(2.5) + 0.25, rel=1e-6)


def command(capsys, *arguments):
    from segparity.cli import main

    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def within(found, want):
    return want and {name: found.get(name) for name in want} == want


def test_a_state_file(tmp_path, capsys):
    """Merged, it gives the results, the table and the images that were skipped."""
    table = tmp_path / 'table.csv'
    found = json.loads(command(capsys, 'merge', FILES / 'state.npz', '--json', '-', '--per-image', table))
    want = json.loads((FILES / 'evaluate.json').read_text())
    for name, value in want.items():  # later versions may have more
        of = found[name]
        assert name == 'segparity' or (within(of, value) if isinstance(value, dict) else of == value), name
    assert table.read_text() == (FILES / 'per_image.csv').read_text()


def test_a_journal_of_a_run_that_was_killed(tmp_path, capsys):
    """Two of three images are in it; the files that now lie there would give other numbers."""
    pytest.importorskip('PIL', reason='needs Pillow')
    from tests.kept.make import maps

    probs, targets = maps()
    for k, (prob, target) in enumerate(zip(probs, targets)):
        for folder in ('pred', 'gt'):
            (tmp_path / folder / 'town').mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / f'pred/town/{k}.npz', prob=prob if k == 2 else prob[::-1])
        np.save(tmp_path / f'gt/town/{k}.npy', target)
    (tmp_path / 'state.npz.journal').write_bytes(with_files_of(tmp_path))
    names = '--classes', 'sky,road,car', '--all', '--workers', '1', '--state', tmp_path / 'state.npz'
    found = json.loads(command(capsys, 'evaluate', tmp_path / 'pred', tmp_path / 'gt', *names, '--json', '-'))
    assert within(found['results'], json.loads((FILES / 'evaluate.json').read_text())['results'])


def with_files_of(folder):
    """The journal, with paths, sizes and times of the files in ``folder``: a record is a mark, a length, a checksum and
    a payload; compressed there, a line of JSON (image, files, names of arrays), then the arrays."""
    content, place, found = (FILES / 'run.journal').read_bytes(), 0, b''
    while place < len(content):
        mark, length, _ = struct.unpack_from('<4sII', content, place)
        payload = content[place + 12 : place + 12 + length]
        place += 12 + length
        if found:
            line, arrays = zlib.decompress(payload).split(b'\n', 1)
            image, _, names = json.loads(line)
            paths = folder / f'pred/{image}.npz', folder / f'gt/{image}.npy'
            stamps = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
            payload = zlib.compress(json.dumps([image, stamps, names]).encode() + b'\n' + arrays)
        found += struct.pack('<4sII', mark, len(payload), zlib.crc32(payload)) + payload
    return found


@pytest.mark.parametrize('table', ['per_image.csv', 'per_image.parquet'])
def test_a_per_image_table(table, tmp_path, capsys):
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    command(capsys, 'audit', FILES / table, '--out', tmp_path / 'page.html', '--json', tmp_path / 'page.json')
    (found,) = json.loads((tmp_path / 'page.json').read_text())['models'].values()
    want = json.loads((FILES / 'evaluate.json').read_text())['results']
    for name in ('aAcc', 'FWIoU', 'mIoUD', 'mIoUI', 'mIoUC', 'mIoUC5', 'mDiceD'):
        assert found['summary'][name] == pytest.approx(want[name], rel=1e-12), name


def test_the_place_of_the_state_that_the_documentation_named():
    from shared_spec.metrics.counts import FineGrainedState
    from shared_spec.metrics.fine_grained import FineGrainedState as today

    assert FineGrainedState is today
