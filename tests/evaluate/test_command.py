"""``segparity evaluate`` as a person uses it, against the references of the specs and by hand."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest

from segparity.evaluate.settings import OVERLAP
from tests.evaluate.data import (
    CLASSES,
    IGNORED,
    data_set,
    label_maps,
    probabilities,
    reference,
    refusal,
    run,
    save,
)

COMMON = dict(num_classes=CLASSES, ignore_index=IGNORED)
ONE = ('--workers', '1', '--num-classes', str(CLASSES))


def evaluated(capsys, *arguments):
    code, out, err = run(capsys, 'evaluate', *arguments, '--json', '-')
    assert code == 0, err
    return json.loads(out)


def assert_results(found, want):
    assert found.keys() == want.keys()
    for name, value in want.items():
        got = {None: np.nan, 'inf': np.inf}.get(found[name], found[name])
        np.testing.assert_allclose(got, value, rtol=1e-12, err_msg=name)


def test_everything_is_what_the_references_say(tmp_path, capsys):
    preds, targets = label_maps(7)
    folders = data_set(tmp_path, preds, targets)
    found = evaluated(capsys, *folders, *ONE, '--all', '--q', '10,50', '--beta', '2', '--spacing', '2,0.5')
    want = reference('FineGrained', preds, targets, metrics=OVERLAP, q=(10, 50), beta=2.0, **COMMON)
    want |= reference('BoundaryIoU', preds, targets, **COMMON)
    want |= reference('SurfaceDistance', preds, targets, spacing=(2.0, 0.5), **COMMON)
    assert_results(found['results'], want)
    assert found['images'] == 7 and found['skipped'] == [] and len(found['per_class']['IoUD']) == CLASSES


def test_presence_in_either_and_the_distance_to_nothing(tmp_path, capsys):
    preds, targets = label_maps(3)
    targets[0][targets[0] == 2] = 1
    preds[1][preds[1] == 3] = 0
    folders = data_set(tmp_path, preds, targets)
    options = '--present-in', 'either', '--empty', 'diagonal', '--ratio', '0.1', '--levels', 'I,C', '--metrics', 'mIoU'
    found = evaluated(capsys, *folders, *ONE, '--all', *options)
    common = dict(present_in='either', levels=('I', 'C'), **COMMON)
    want = reference('FineGrained', preds, targets, metrics=('mIoU',), **common)
    want |= reference('BoundaryIoU', preds, targets, ratio=0.1, **common)
    want |= reference('SurfaceDistance', preds, targets, empty='diagonal', **common)
    assert_results(found['results'], want)


def test_probabilities_add_calibration_and_are_their_argmax(tmp_path, capsys):
    probs, targets = probabilities(5), label_maps(5)[1]
    folders = data_set(tmp_path, probs, targets, suffix='.npz')
    found = evaluated(capsys, *folders, *ONE, '--bins', '7', '--hit', 'argmax')
    want = reference('FineGrained', [p.argmax(0) for p in probs], targets, metrics=OVERLAP, **COMMON)
    calibration = reference('Calibration', probs, targets, bins=7, hit='argmax', **COMMON)
    results = found['results']
    for name, value in calibration.items():  # sums of confidences in units of 2^-30
        assert results.pop(name) == pytest.approx(value, abs=1e-8)
    assert_results(results, want)
    without = evaluated(capsys, *folders, *ONE, '--no-calibration')
    assert 'ECED' not in without['results'] and without['results']['mIoUD'] == results['mIoUD']


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.npy'])
@pytest.mark.parametrize('which', ['pred', 'gt', 'both'])
@pytest.mark.parametrize(
    'options, params',
    [(['--binary'], dict(binary=True, ignore_index=IGNORED)), (['--ignore-index', '0'], dict(ignore_index=0))],
)
def test_maps_of_one_bit_are_those_of_0_and_1(tmp_path, capsys, suffix, which, options, params):
    preds, targets = ([ids % 2 for ids in maps] for maps in label_maps(3, classes=3))
    kinds = [bool if which in (side, 'both') else np.uint8 for side in ('pred', 'gt')]
    stored = [[ids.astype(kind) for ids in maps] for maps, kind in zip((preds, targets), kinds)]
    folders = data_set(tmp_path, *stored, suffix=suffix, gt_suffix=suffix)
    found = evaluated(capsys, *folders, '--workers', '1', '--num-classes', '2', *options)
    assert_results(found['results'], reference('FineGrained', preds, targets, num_classes=2, metrics=OVERLAP, **params))


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.npy'])
def test_a_prediction_of_one_bit_among_several_classes(tmp_path, capsys, suffix):
    preds, targets = label_maps(3)
    masks = [pred % 2 == 1 for pred in preds]
    folders = data_set(tmp_path, masks, targets, suffix=suffix)
    found = evaluated(capsys, *folders, *ONE, '--all')
    want = {}
    for name in ('FineGrained', 'BoundaryIoU', 'SurfaceDistance'):
        more = dict(metrics=OVERLAP) if name == 'FineGrained' else {}
        want |= reference(name, [mask.astype(int) for mask in masks], targets, **more, **COMMON)
    assert_results(found['results'], want)


@pytest.mark.parametrize('calibration', [True, False])
@pytest.mark.parametrize(
    'bad, sentence',
    [
        (np.nan, r'has probabilities that are no numbers \(nan\)'),
        (np.inf, r'must hold probabilities in \[0, 1\], got inf \(logits need a softmax or a sigmoid\)'),
        (-np.inf, r'must hold probabilities in \[0, 1\], got -inf'),
        (1.01, r'must hold probabilities in \[0, 1\], got 1.01'),
        (-0.01, r'must hold probabilities in \[0, 1\], got -0.01'),
    ],
)
def test_what_is_no_probability_counts_nowhere_or_is_refused(tmp_path, capsys, bad, sentence, calibration):
    """Whether or not the calibration is measured: one channel of logits has another boundary than 1/2."""
    probs, targets = probabilities(2), label_maps(2)[1]
    options = () if calibration else ('--no-calibration',)
    want = evaluated(capsys, *data_set(tmp_path, probs, targets, suffix='.npz'), *ONE, *options)
    assert targets[0][0, 3] == IGNORED
    probs[0][2, 0, 3] = bad
    folders = data_set(tmp_path, probs, targets, suffix='.npz')
    assert evaluated(capsys, *folders, *ONE, *options)['results'] == want['results']
    probs[0][2, 0, 3], probs[0][2, 5, 3] = 0.5, bad
    data_set(tmp_path, probs, targets, suffix='.npz')
    assert re.search(f'000.npz {sentence}', refusal(capsys, 'evaluate', *folders, *ONE, *options))


@pytest.mark.parametrize('shape', [(0, 5), (5, 0), (0, 4, 4)])
def test_a_map_without_pixels_is_one_sentence(tmp_path, capsys, shape):
    preds, targets = label_maps(3)
    want = evaluated(capsys, *data_set(tmp_path, preds[:2], targets[:2], '.npy', '.npy'), *ONE, '--all')
    empty = np.zeros(shape, np.uint8)
    folders = data_set(tmp_path, [*preds[:2], empty], [*targets[:2], empty], '.npy', '.npy')
    sentence = f'002.npy has no pixel, its shape is {shape}'
    assert sentence in refusal(capsys, 'evaluate', *folders, *ONE)
    found = evaluated(capsys, *folders, *ONE, '--all', '--skip-bad')
    assert found['results'] == want['results'] and sentence in found['skipped'][0]['reason']


def test_one_channel_is_a_binary_problem(tmp_path, capsys):
    probs, targets = probabilities(3, classes=2), label_maps(3, classes=2)[1]
    folders = data_set(tmp_path, [p[1] for p in probs], targets, suffix='.npz')
    found = evaluated(capsys, *folders, '--workers', '1', '--binary')
    preds = [(p[1] > 0.5).astype(int) for p in probs]
    binary = dict(num_classes=2, binary=True)
    assert found['results']['mIoUI'] == pytest.approx(reference('FineGrained', preds, targets, **binary)['mIoUI'])
    want = reference('Calibration', [p[1] for p in probs], targets, **binary)
    assert found['results']['SCED'] == pytest.approx(want['SCED'], abs=1e-8)
    assert found['classes'] == ['background', 'foreground']


def test_volumes(tmp_path, capsys):
    rng = np.random.default_rng(0)
    preds, targets = (list(rng.integers(0, 3, (2, 4, 6, 5)).astype(np.uint8)) for _ in range(2))
    folders = data_set(tmp_path, preds, targets, suffix='.npy', gt_suffix='.tif')
    found = evaluated(capsys, *folders, '--num-classes', '3', '--workers', '1', '--all')
    want = reference('SurfaceDistance', preds, targets, num_classes=3)
    assert found['results']['HDI'] == pytest.approx(want['HDI']) and found['results']['ASSDC'] == pytest.approx(
        want['ASSDC']
    )


def test_a_single_pair_by_hand(tmp_path, capsys):
    save(tmp_path / 'p.png', np.array([[0, 0, 1], [1, 1, 0]], np.uint8))
    save(tmp_path / 'g.png', np.array([[0, 0, 1], [1, 0, 255]], np.uint8))
    found = evaluated(capsys, tmp_path / 'p.png', tmp_path / 'g.png', '--num-classes', '2')['results']
    # class 0: tp 2, fp 0, fn 1; class 1: tp 2, fp 1, fn 0
    assert found['mIoUD'] == float(Fraction(2, 3)) and found['aAcc'] == 4 / 5
    assert found['mPrecisionD'] == pytest.approx((1 + 2 / 3) / 2) and found['mAccD'] == pytest.approx((2 / 3 + 1) / 2)


def test_tables(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(4))
    code, out, err = run(
        capsys, 'evaluate', *folders, '--classes', 'road,[b]sky:car:,tree,car', '--all', '--workers', '1'
    )
    assert code == 0 and not err
    assert re.search(r'^mIoU +(\d+\.\d\d +){9}$', out, re.MULTILINE)
    assert re.search(r'^BoundaryIoU +(\d+\.\d\d +){3}$', out, re.MULTILINE)
    assert re.search(r'^HD95 +\d+\.\d\d +\d+\.\d\d *$', out, re.MULTILINE)
    assert re.search(r'^\[b\]sky:car: +\d ', out, re.MULTILINE)
    assert re.search(r'^4 images$', out, re.MULTILINE) and 'Pixel accuracy' in out


def test_quiet_says_nothing_and_writes(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(2))
    assert run(capsys, 'evaluate', *folders, *ONE, '--quiet', '--json', tmp_path / 'new' / 'r.json') == (0, '', '')
    assert json.loads((tmp_path / 'new' / 'r.json').read_text())['images'] == 2


def test_undefined_is_null_and_infinite_is_a_word(tmp_path, capsys):
    folders = data_set(tmp_path, [np.zeros((4, 4), np.uint8)], [np.tile(np.uint8([0, 0, 1, 1]), (4, 1))])
    found = evaluated(capsys, *folders, '--num-classes', '3', '--distances')
    assert found['results']['HDI'] == 'inf' and found['per_class']['IoUC'][2] is None


def test_an_image_without_a_valid_pixel_counts_nowhere(tmp_path, capsys):
    preds, targets = label_maps(2)
    targets[0][:] = IGNORED
    folders = data_set(tmp_path, preds, targets)
    code, out, _ = run(capsys, 'evaluate', *folders, *ONE)
    assert code == 0 and '2 images, of which 1 without a valid pixel count nowhere' in out
    assert_results(
        evaluated(capsys, *folders, *ONE)['results'],
        reference('FineGrained', preds[1:], targets[1:], metrics=OVERLAP, **COMMON),
    )


def test_the_per_image_table(tmp_path, capsys):
    from segparity.audit.table_reading import read_table

    probs, targets = probabilities(3), label_maps(3)[1]
    folders = data_set(tmp_path, probs, targets, suffix='.npz')
    for suffix in ('.csv', '.parquet'):
        evaluated(capsys, *folders, *ONE, '--all', '--metrics', 'mIoU', '--per-image', tmp_path / f't{suffix}')
        table = read_table(tmp_path / f't{suffix}')
        assert list(table) == [
            'image',
            'target_file',
            'pred_file',
            'class_id',
            'class_name',
            'present',
            'tp',
            'fp',
            'fn',
            'Acc',
            'IoU',
            'Dice',
            'BoundaryIoU',
            'HD',
            'HD95',
            'ASSD',
            'SCE',
            'ECE',
        ]
        assert table.image.tolist() == [i for i in ('a/000', 'a/002', 'b/001') for _ in range(CLASSES)]
        pred, target = probs[1].argmax(0), targets[1]
        row = table[(table.image == 'b/001') & (table.class_id == 2)].iloc[0]
        valid = target != IGNORED
        tp, either = (((pred == 2) & (target == 2)).sum(), (valid & ((pred == 2) | (target == 2))).sum())
        assert (row.tp, row.IoU) == (tp, tp / either) and row.pred_file.endswith('pred/b/001.npz')
        assert pytest.approx(reference('Calibration', probs[1:2], targets[1:2], **COMMON)['ECED'], abs=1e-8) == row.ECE


def test_reduce_zero_label(tmp_path, capsys):
    preds, targets = label_maps(3, classes=5)
    folders = data_set(tmp_path, preds, targets)
    arguments = '--num-classes', '4', '--workers', '1', '--reduce-zero-label', '--reduce-zero-label-pred'
    sentence = refusal(capsys, 'evaluate', *folders, *arguments)
    assert 'the prediction -1 at' in sentence and '(after --reduce-zero-label-pred)' in sentence
    preds = [np.where(p == 0, 1, p) for p in preds]
    data_set(tmp_path, preds, targets)
    reduced = [np.where((t == 0) | (t == 255), 255, t - 1) for t in targets]
    want = reference('FineGrained', [p - 1 for p in preds], reduced, metrics=OVERLAP, **COMMON)
    assert_results(evaluated(capsys, *folders, *arguments)['results'], want)


def test_colours_through_a_palette(tmp_path, capsys):
    colours = np.random.default_rng(0).permutation(256)[: 3 * CLASSES].reshape(CLASSES, 3).astype(np.uint8)
    preds, targets = label_maps(3)
    coloured = [np.append(colours, [[255, 255, 255]], 0)[np.minimum(t, CLASSES)].astype(np.uint8) for t in targets]
    folders = data_set(tmp_path, [colours[p] for p in preds], coloured)
    entries = {f'c{k}': c.tolist() for k, c in enumerate(colours)}
    (tmp_path / 'p.json').write_text(json.dumps(entries | {'ignore': [255, 255, 255]}))
    found = evaluated(capsys, *folders, '--palette', tmp_path / 'p.json', '--workers', '1')
    assert found['classes'] == ['c0', 'c1', 'c2', 'c3']
    assert_results(found['results'], reference('FineGrained', preds, targets, metrics=OVERLAP, **COMMON))

    (tmp_path / 'p.json').write_text(json.dumps(entries))  # white is unknown now
    sentence = refusal(capsys, 'evaluate', *folders, '--palette', tmp_path / 'p.json', '--workers', '1')
    assert 'the colour [255, 255, 255] at (0, 0) is not in the palette' in sentence
    ids = data_set(tmp_path / 'ids', [colours[p] for p in preds], [np.minimum(t, CLASSES - 1) for t in targets])
    sentence = refusal(capsys, 'evaluate', *ids, '--palette', tmp_path / 'p.json', '--workers', '1')
    assert (
        '; maps of class ids, such as ' in sentence
        and 'need no --gt-palette' in sentence
        and '--unknown' not in sentence
    )
    found = evaluated(capsys, *folders, '--palette', tmp_path / 'p.json', '--workers', '1', '--unknown', 'ignore')
    assert_results(found['results'], reference('FineGrained', preds, targets, metrics=OVERLAP, **COMMON))

    data_set(tmp_path, preds, coloured)  # label maps against colours
    found = evaluated(capsys, *folders, '--gt-palette', tmp_path / 'p.json', '--unknown', 'ignore', '--workers', '1')
    assert_results(found['results'], reference('FineGrained', preds, targets, metrics=OVERLAP, **COMMON))


def test_labels_that_are_no_class(tmp_path, capsys):
    preds, targets = label_maps(3)
    targets[1][3, 4:9] = 77
    folders = data_set(tmp_path, preds, targets)
    sentence = refusal(capsys, 'evaluate', *folders, *ONE)
    assert sentence.startswith('segparity: b/001: ') and 'the label 77 at (3, 4) is neither one of the 4' in sentence
    for how, seen in (('count', targets), ('ignore', [np.where(t == 77, 255, t) for t in targets])):
        found = evaluated(capsys, *folders, *ONE, '--unknown', how)
        assert_results(found['results'], reference('FineGrained', preds, seen, metrics=OVERLAP, **COMMON))


def data_set_with_faults(folder):
    """A data set of six pairs of which four cannot be used."""
    preds, targets = label_maps(6)
    preds[1] = preds[1][:-1]
    preds[2][5, 7] = 9
    folders = data_set(folder, preds, targets)
    (folder / 'pred' / 'b' / '003.png').write_bytes(b'nothing')
    (folder / 'pred' / 'a' / '004.png').unlink()
    return folders, [preds[k] for k in (0, 5)], [targets[k] for k in (0, 5)]


def test_bad_pairs_stop_the_run(tmp_path, capsys):
    folders, _, _ = data_set_with_faults(tmp_path)
    assert "1 without a partner: 'a/004' has no prediction" in refusal(capsys, 'evaluate', *folders, *ONE)
    (tmp_path / 'gt' / 'a' / '004.png').unlink()
    sentence = refusal(capsys, 'evaluate', *folders, *ONE)
    assert 'a/002: ' in sentence and 'the prediction 9 at (5, 7) is not one of the 4 classes 0 to 3' in sentence


def test_bad_pairs_are_skipped_on_demand_and_listed(tmp_path, capsys):
    folders, preds, targets = data_set_with_faults(tmp_path)
    code, out, err = run(capsys, 'evaluate', *folders, *ONE, '--skip-bad', '--json', tmp_path / 'r.json')
    assert code == 0 and not err and 'Skipped, and in no result: 4' in out and '  b/001: sizes differ: ' in out
    found = json.loads((tmp_path / 'r.json').read_text())
    assert [entry['image'] for entry in found['skipped']] == ['a/002', 'a/004', 'b/001', 'b/003']
    assert_results(found['results'], reference('FineGrained', preds, targets, metrics=OVERLAP, **COMMON))


@pytest.mark.slow
def test_processes_give_the_same_numbers_and_find_the_same_faults(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(9))
    files = {}
    for workers in '12':
        json_file, state = tmp_path / f'{workers}.json', tmp_path / f'{workers}.npz'
        arguments = '--num-classes', '4', '--workers', workers, '--json', json_file, '--state', state, '--quiet'
        assert run(capsys, 'evaluate', *folders, *arguments)[0] == 0
        files[workers] = json_file.read_bytes(), state.read_bytes()
    assert files['1'] == files['2']
    save(tmp_path / 'pred' / 'a' / '004.png', np.zeros((3, 3), np.uint8))
    assert 'a/004: sizes differ' in refusal(capsys, 'evaluate', *folders, '--num-classes', '4', '--workers', '2')


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        ([], 'how many classes are there? --num-classes N, --classes a,b,c or --preset NAME'),
        (['--classes', 'a,b', '--num-classes', '3'], '--num-classes is 3, but --classes names 2'),
        (['--classes', 'a,b,a,c'], "different names, got 'a' twice"),
        ([*ONE, '--levels', 'D,X'], "--levels must be a list of different levels out of 'D', 'I', 'C', got D,X\n"),
        ([*ONE, '--levels', 'D', '--distances'], '--levels must have I or C for distances, got D'),
        ([*ONE, '--spacing', '1,2'], '--spacing is for --distances, which is not given'),
        ([*ONE, '--hit', 'argmax'], '--hit is for probabilities (.npz), which are not measured here'),
        (
            [*ONE, '--distances', '--spacing', '1'],
            '.png: --spacing must have one number for each of the 2 spatial axes',
        ),
        ([*ONE, '--binary'], '--binary needs two classes (0 is background, 1 is foreground), got 4'),
        ([*ONE, '--ignore-index', 'none', '--reduce-zero-label'], '--reduce-zero-label needs an --ignore-index'),
        ([*ONE, '--per-image', 't.xlsx'], '--per-image: the per-image table is a .csv or .parquet file'),
        ([*ONE, '--state', 'README.md'], 'README.md is no state of segparity evaluate, and is not overwritten'),
        ([*ONE, '--shard', '7/9'], 'the shard 7/9 has no pair'),
        ([*ONE, '--palette', 'a', '--gt-palette', 'b'], '--palette is for both folders'),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path, capsys, arguments, sentence):
    folders = data_set(tmp_path, *label_maps(2))
    assert sentence in refusal(capsys, 'evaluate', *folders, *arguments)


def test_mixed_predictions_are_refused(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(2))
    (tmp_path / 'pred' / 'a' / '000.png').unlink()
    save(tmp_path / 'pred' / 'a' / '000.npz', probabilities(1)[0])
    assert '--no-calibration compares the labels of both' in refusal(capsys, 'evaluate', *folders, *ONE)
    assert evaluated(capsys, *folders, *ONE, '--no-calibration')['images'] == 2


@pytest.mark.parametrize('options', [['--num-classes', '0'], ['--q', 'x'], ['--shard', '3/2'], ['--spacing', '1,-1']])
def test_options_that_say_nothing_are_usage_errors(capsys, options):
    with pytest.raises(SystemExit) as error:
        run(capsys, 'evaluate', 'p', 'g', *options)
    assert error.value.code == 2 and 'got ' in capsys.readouterr().err


def test_nothing_usable_is_an_error(tmp_path, capsys):
    folders = data_set(tmp_path, [np.zeros((2, 2), np.uint8)], [np.zeros((3, 3), np.uint8)])
    assert 'no pair can be used: a/000: sizes differ' in refusal(capsys, 'evaluate', *folders, *ONE, '--skip-bad')
