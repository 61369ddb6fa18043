"""Two classes, and masks of 0 and 255: 255 is ignored unless told otherwise, and nothing of a foreground would count."""

import json

import numpy as np
import pytest

from segparity.evaluate.settings import OVERLAP
from tests.evaluate.data import data_set, label_maps, reference, refusal, run, save

MASK = np.array([[0, 255], [0, 0]], np.uint8)
BOTH = np.array([[0, 1], [255, 0]], np.uint8)
EMPTY = np.zeros((2, 2), np.uint8)
ONE = ('--workers', '1')


@pytest.mark.parametrize('classes', [['--binary'], ['--num-classes', '2']], ids=['binary', 'two'])
@pytest.mark.parametrize('suffix', ['.png', '.npy'])
@pytest.mark.parametrize('mask', [MASK, np.full((2, 2), 255, np.uint8)], ids=['part', 'whole'])
def test_a_mask_of_0_and_255_is_refused_by_itself(tmp_path, capsys, classes, suffix, mask):
    folders = data_set(tmp_path, [EMPTY] * 3, [mask, BOTH, mask], gt_suffix=suffix)
    sentence = refusal(capsys, 'evaluate', *folders, *ONE, *classes)
    place = '(0, 1)' if mask is MASK else '(0, 0)'
    assert f'000{suffix}: the label 255 at {place} is ignored and no pixel is 1' in sentence
    assert 'divide masks by 255' in sentence and '--gt-palette FILE' in sentence and '--ignore-index 255' in sentence

    code, out, _ = run(capsys, 'evaluate', *folders, *ONE, *classes, '--skip-bad', '--json', '-')
    found = json.loads(out)
    assert code == 0 and found['images'] == 1 and [bad['image'] for bad in found['skipped']] == ['a/000', 'a/002']
    want = reference('FineGrained', [EMPTY], [BOTH], num_classes=2, binary='--binary' in classes, metrics=OVERLAP)
    assert found['results']['mIoUD'] == want['mIoUD'] and found['results']['mIoUI'] == want['mIoUI']

    everything = data_set(tmp_path / 'all', [EMPTY] * 2, [mask] * 2, gt_suffix=suffix)
    sentence = refusal(capsys, 'evaluate', *everything, *ONE, *classes, '--skip-bad')
    assert 'no pair can be used' in sentence and 'divide masks by 255' in sentence


def test_what_is_no_mask_of_0_and_255_passes(tmp_path, capsys):
    """An ignored border beside a foreground, or none, or one that the user calls so; more classes; a label 0 reduced."""
    border, three = np.array([[255, 0], [0, 0]], np.uint8), np.array([[255, 0], [0, 2]], np.uint8)
    given = {
        'beside': ([BOTH, EMPTY], ['--binary']),
        'given': ([BOTH, border], ['--binary', '--ignore-index', '255']),
        'other': ([BOTH, three], ['--num-classes', '3']),
        'reduced': ([border, BOTH], ['--num-classes', '2', '--reduce-zero-label']),
    }
    for name, (targets, options) in given.items():
        code, out, err = run(capsys, 'evaluate', *data_set(tmp_path / name, [EMPTY] * 2, targets), *ONE, *options)
        assert code == 0 and '2 images' in out, (name, err)
    folders = data_set(tmp_path / 'none', [EMPTY] * 2, [border] * 2)
    code, out, _ = run(capsys, 'evaluate', *folders, *ONE, '--binary', '--ignore-index', '255')
    assert code == 0 and "No ground truth has the class 'foreground'" in out


def test_a_palette_reads_them_where_it_is_for_the_file(tmp_path, capsys):
    preds, targets = ([ids % 2 for ids in maps] for maps in label_maps(3, classes=3))
    folders = data_set(tmp_path, preds, [ids * 255 for ids in targets])
    palette = tmp_path / 'palette.txt'
    palette.write_text('0 0 0\n255 255 255\n')
    options = *ONE, '--binary', '--gt-palette', str(palette)
    code, out, err = run(capsys, 'evaluate', *folders, *options, '--json', '-')
    found, want = json.loads(out)['results'], reference('FineGrained', preds, targets, num_classes=2, binary=True)
    assert code == 0 and not err and all(found[name] == pytest.approx(value) for name, value in want.items())
    arrays = data_set(tmp_path / 'arrays', preds, [ids * 255 for ids in targets], gt_suffix='.npy')
    assert 'no pixel is 1' in refusal(capsys, 'evaluate', *arrays, *options)


@pytest.mark.parametrize('side', ['pred', 'gt'])
def test_255_that_counts_is_told_from_foreground(tmp_path, capsys, side):
    pair = (MASK, EMPTY) if side == 'pred' else (EMPTY, MASK)
    paths = [str(save(tmp_path / f'{name}.png', ids)) for name, ids in zip(('p', 'g'), pair)]
    sentence = refusal(capsys, 'evaluate', *paths, '--binary', '--ignore-index', 'none')
    assert f'divide masks by 255, or give --{side}-palette FILE' in sentence


def test_a_run_that_was_told_leaves_nothing_to_one_that_was_not(tmp_path, capsys):
    """The journal of a run with --ignore-index 255 is none of a run without."""
    folders = data_set(tmp_path, [EMPTY] * 2, [MASK, MASK])
    (tmp_path / 'gt' / 'b' / '001.png').write_bytes(b'no picture')
    state = '--state', str(tmp_path / 's.npz')
    refusal(capsys, 'evaluate', *folders, *ONE, '--binary', '--ignore-index', '255', *state)  # and 000 is done
    save(tmp_path / 'gt' / 'b' / '001.png', BOTH)
    assert 'with other settings' in refusal(capsys, 'evaluate', *folders, *ONE, '--binary', *state)
    assert 'no pixel is 1' in refusal(capsys, 'evaluate', *folders, *ONE, '--binary', *state, '--fresh')
