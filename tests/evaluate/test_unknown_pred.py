"""A prediction of no class: refused, or wrong, as that of a class which nobody has."""

import csv
import json

import numpy as np
import pytest

from segparity.evaluate.settings import LATER, OVERLAP, Settings, difference
from segparity.evaluate.state_file import read_state
from tests.evaluate.data import CLASSES, data_set, label_maps, reference, refusal, run, save

ONE = ('--workers', '1', '--num-classes', str(CLASSES))
WRONG = ('--unknown-pred', 'wrong')


def with_holes(number=5, hole=255, dtype=np.uint8):
    """(preds, targets) where some predictions are ``hole``, in valid and in ignored pixels."""
    preds, targets = label_maps(number)
    rng = np.random.default_rng(7)
    holes = [pred.astype(dtype) for pred in preds]
    for pred in holes:
        pred[rng.random(pred.shape) < 0.15] = hole
    holes[1][4:8, 3:9] = hole
    return holes, targets


def evaluated(capsys, *arguments):
    code, out, err = run(capsys, 'evaluate', *arguments, '--json', '-')
    assert code == 0, err
    return json.loads(out)


def test_by_default_it_is_refused_with_a_sentence_that_names_the_option(tmp_path, capsys):
    folders = data_set(tmp_path, *with_holes())
    sentence = refusal(capsys, 'evaluate', *folders, *ONE)
    assert 'the prediction 255 at ' in sentence and 'is not one of the 4 classes 0 to 3' in sentence
    assert '--unknown-pred wrong counts such pixels as wrong' in sentence


@pytest.mark.parametrize('hole, dtype', [(255, 'u1'), (CLASSES, 'u1'), (-1, 'i2'), (-(2**63), 'i8'), (2**64 - 1, 'u8')])
def test_all_metrics_are_those_of_a_class_that_nobody_has(tmp_path, capsys, hole, dtype):
    """The references with one class more: it is in no label, so it counts under no image and no class."""
    preds, targets = with_holes(hole=hole, dtype=dtype)
    folders = data_set(tmp_path, preds, targets, suffix='.npy')
    found = evaluated(capsys, *folders, *ONE, *WRONG, '--all')
    strange = [np.where((p == hole), CLASSES, p.astype(np.int64)) for p in preds]
    common = dict(num_classes=CLASSES + 1, ignore_index=255, levels=('I', 'C'))
    want = reference('FineGrained', strange, targets, metrics=OVERLAP, **common)
    want |= reference('BoundaryIoU', strange, targets, **common)
    want |= reference('SurfaceDistance', strange, targets, **common)
    for name, value in want.items():
        got = {None: np.nan, 'inf': np.inf}.get(found['results'][name], found['results'][name])
        np.testing.assert_allclose(got, value, rtol=1e-12, err_msg=name)
    assert len(found['per_class']['IoUD']) == CLASSES == len(found['classes'])


def test_counts_by_hand(tmp_path, capsys):
    """A false negative of the label's class and nobody's false positive."""
    pred = np.array([[0, 9, 9], [1, 1, 9]], np.uint8)
    target = np.array([[0, 0, 1], [1, 0, 255]], np.uint8)
    paths = [save(tmp_path / f'{name}.png', ids) for name, ids in (('p', pred), ('g', target))]
    options = '--workers', '1', '--num-classes', '2', *WRONG
    found = evaluated(capsys, *paths, *options, '--per-image', tmp_path / 't.csv')
    rows = list(csv.DictReader((tmp_path / 't.csv').open()))
    assert [[int(row[key]) for key in ('tp', 'fp', 'fn')] for row in rows] == [[1, 0, 2], [1, 1, 1]]
    assert found['results']['aAcc'] == 2 / 5 and found['per_class']['IoUD'] == [1 / 3, 1 / 3]
    assert found['per_class']['PrecisionD'] == [1, 1 / 2] and found['pixels_predicted_as_no_class'] == 2
    out = run(capsys, 'evaluate', *paths, *options)[1]
    assert '40.00 % of the pixels are predicted as no class, and wrong (--unknown-pred wrong)' in out
    counted = evaluated(capsys, *paths, *options, '--unknown', 'count')
    assert 'pixels_predicted_as_no_class' not in counted and counted['results'] == found['results']


def test_an_image_of_no_class_at_all_counts(tmp_path, capsys):
    target = np.array([[0, 1], [1, 255]], np.uint8)
    paths = [save(tmp_path / f'{name}.png', ids) for name, ids in (('p', np.full_like(target, 9)), ('g', target))]
    found = evaluated(capsys, *paths, '--workers', '1', '--num-classes', '2', *WRONG, '--boundary')
    assert found['images_without_valid_pixel'] == 0 and found['results']['aAcc'] == 0
    assert [found['results'][name] for name in ('mIoUD', 'mIoUI', 'mIoUC', 'BoundaryIoUI')] == [0, 0, 0, 0]


def test_an_empty_foreground_of_no_class_is_right_in_all_metrics(tmp_path, capsys):
    """--binary: neither has foreground, and 1 is the score of an image without any."""
    paths = [save(tmp_path / f'{name}.png', np.full((3, 3), v, np.uint8)) for name, v in (('p', 9), ('g', 0))]
    results = evaluated(capsys, *paths, '--workers', '1', '--binary', *WRONG, '--boundary')['results']
    assert results['mIoUI'] == results['BoundaryIoUI'] == 1


@pytest.mark.parametrize('unknown', ['ignore', 'count'])
@pytest.mark.parametrize('stray', [CLASSES, 77])
def test_labels_of_no_class_beside_predictions_of_none(tmp_path, capsys, unknown, stray):
    """The label that has the number of the class more is no class either."""
    preds, targets = with_holes()
    for target in targets:
        target[5, 2:11] = stray
    folders = data_set(tmp_path, preds, targets)
    sentence = refusal(capsys, 'evaluate', *folders, *ONE, *WRONG)
    assert f'the label {stray} at (5, 2) is neither one of the 4 classes nor ignored (255)' in sentence
    found = evaluated(capsys, *folders, *ONE, *WRONG, '--all', '--unknown', unknown)
    strange = [np.where(p == 255, 9, p) for p in preds]
    labels = [np.where(t == stray, 255 if unknown == 'ignore' else 50, t) for t in targets]
    common = dict(num_classes=10, ignore_index=255, levels=('I', 'C'))
    want = reference('FineGrained', strange, labels, metrics=OVERLAP, **common)
    want |= reference('BoundaryIoU', strange, labels, **common) | reference(
        'SurfaceDistance', strange, labels, **common
    )
    for name, value in want.items():
        got = {None: np.nan, 'inf': np.inf}.get(found['results'][name], found['results'][name])
        np.testing.assert_allclose(got, value, rtol=1e-12, err_msg=name)


def test_reduced_zeros_and_unknown_colours_of_predictions(tmp_path, capsys):
    preds, targets = label_maps(2)
    reduced = [np.where(p == 0, 0, p + 1).astype(np.uint8) for p in preds]  # class 0 became 'other'
    folders = data_set(tmp_path / 'reduced', reduced, targets)
    found = evaluated(capsys, *folders, *ONE, *WRONG, '--reduce-zero-label-pred')
    holes = data_set(tmp_path / 'holes', [np.where(p == 0, 200, p).astype(np.uint8) for p in preds], targets)
    want = evaluated(capsys, *holes, *ONE, *WRONG)
    assert found['results'] == want['results'] and found['per_class']['AccD'][0] == 0

    palette = tmp_path / 'p.txt'
    palette.write_text('#000000 ignore\n#00000a a\n#000014 b\n#00001e c\n#000028 d\n')
    colours = np.zeros((256, 3), np.uint8)
    colours[:4, 2], colours[200] = (10, 20, 30, 40), (0, 0, 0)
    lacking = data_set(tmp_path / 'lacking', [np.full((*p.shape, 3), 9, np.uint8) for p in preds], targets)
    sentence = refusal(capsys, 'evaluate', *lacking, *ONE, '--pred-palette', palette)
    assert 'the colour [9, 9, 9] at (0, 0) is not in the palette; --unknown-pred wrong counts such' in sentence
    for other in ((0, 0, 0), (9, 9, 9)):  # the palette's ignored colour, and one that it lacks
        colours[200] = other
        painted = [colours[np.where(p == 0, 200, p)] for p in preds]
        folders = data_set(tmp_path / 'colours', painted, targets)
        assert evaluated(capsys, *folders, *ONE, *WRONG, '--pred-palette', palette)['results'] == want['results']


def test_states_say_so_and_those_without_are_as_they_were(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(2))
    paths = [tmp_path / f'{name}.npz' for name in ('plain', 'wrong')]
    for path, options in zip(paths, ((), WRONG)):
        assert run(capsys, 'evaluate', *folders, *ONE, *options, '--state', path, '--quiet')[0] == 0
    plain, wrong = (read_state(path)[0].settings for path in paths)
    assert not LATER.keys() & plain.to_dict().keys() and wrong.to_dict()['unknown_pred'] == 'wrong'
    assert plain.key() != wrong.key() and Settings.from_dict(wrong.to_dict()) == wrong
    assert difference(plain, wrong) == '--unknown-pred: error and wrong'
    sentence = refusal(capsys, 'merge', *paths)
    assert 'different settings: --unknown-pred: error and wrong' in sentence
    ids = plain.replace(gt_ids=((7, 0), (8, None)))
    assert Settings.from_dict(json.loads(json.dumps(ids.to_dict()))) == ids and ids.key() != plain.key()
    assert difference(plain, ids) == '--gt-ids: the ids of the files stand for different classes'
