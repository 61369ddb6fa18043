"""Shards added up are one run, to the last digit; what is no state is refused."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segparity.evaluate.merge_command import merge_states
from segparity.evaluate.output import as_json
from segparity.evaluate.pairs import Pair, find_pairs
from segparity.evaluate.settings import Settings, difference
from segparity.evaluate.state_file import read_state, write_state
from segparity.evaluate.totals import Totals
from segparity.evaluate.work import measure_all
from tests.evaluate.data import CLASSES, data_set, flips, label_maps, probabilities, refusal, run, save

SETTINGS = Settings(classes=tuple('abcd'), boundary=True, distances=True, calibration=True, spacing=(2.0, 0.5))
IMAGES = 9


@pytest.fixture(scope='module')
def rows(tmp_path_factory):
    """(pair, row) of every image of a data set with everything measured; one image has no valid pixel."""
    folder = tmp_path_factory.mktemp('rows')
    targets = label_maps(IMAGES)[1]
    targets[3][:] = 255
    folders = data_set(folder, probabilities(IMAGES), targets, suffix='.npz')
    pairs, _ = find_pairs(*folders)
    return list(zip(pairs, measure_all(SETTINGS, pairs)))


def totals_of(rows):
    totals = Totals(SETTINGS)
    for pair, row in rows:
        totals.add(pair.image, (pair.pred, pair.target), row)
    return totals


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_split_in_any_order_with_repeats_is_one_run(rows, tmp_path, data):
    shards = data.draw(st.lists(st.lists(st.integers(0, IMAGES - 1), min_size=1, unique=True), min_size=1, max_size=4))
    left = sorted(set(range(IMAGES)) - {k for shard in shards for k in shard})
    shards += [left] if left else []
    paths = [tmp_path / f'{k}.npz' for k in range(len(shards))]
    for path, shard in zip(paths, shards):
        write_state(path, totals_of([rows[k] for k in shard]))
    totals, skipped, repeats = merge_states(data.draw(st.permutations(paths)))
    assert as_json(totals, skipped) == as_json(totals_of(rows), [])
    assert repeats == sum(map(len, shards)) - IMAGES
    write_state(tmp_path / 'merged.npz', totals)
    write_state(tmp_path / 'one.npz', totals_of(rows))
    assert (tmp_path / 'merged.npz').read_bytes() == (tmp_path / 'one.npz').read_bytes()


def shards(capsys, folder, *arguments, preds=None, seed=0):
    """The states of three shards of a data set, and that of one run."""
    folders = data_set(folder, *label_maps(7, seed))
    common = '--num-classes', str(CLASSES), '--workers', '1', '--quiet', *arguments
    for k in (1, 2, 3):
        assert run(capsys, 'evaluate', *folders, *common, '--shard', f'{k}/3', '--state', folder / f's{k}.npz')[0] == 0
    assert (
        run(capsys, 'evaluate', *folders, *common, '--state', folder / 'all.npz', '--json', folder / 'all.json')[0] == 0
    )
    return [folder / f's{k}.npz' for k in (1, 2, 3)]


def test_the_command(tmp_path, capsys):
    paths = shards(capsys, tmp_path, '--all')
    outputs = '--state', tmp_path / 'm.npz', '--json', tmp_path / 'm.json', '--per-image', tmp_path / 'm.csv'
    code, out, err = run(capsys, 'merge', *paths[::-1], paths[0], *outputs)
    assert code == 0 and not err and '3 images were in more than one state and count once' in out and '7 images' in out
    assert (tmp_path / 'm.json').read_text() == (tmp_path / 'all.json').read_text()
    assert (tmp_path / 'm.npz').read_bytes() == (tmp_path / 'all.npz').read_bytes()
    assert len((tmp_path / 'm.csv').read_text().splitlines()) == 1 + 7 * CLASSES
    assert run(capsys, 'merge', *paths, '--state', paths[0], '--quiet')[0] == 0  # OUT may be one of them
    assert len(read_state(paths[0])[0]) == 7


def test_merge_can_report_anew(tmp_path, capsys):
    paths = shards(capsys, tmp_path)
    code, out, _ = run(capsys, 'merge', *paths, '--q', '50', '--levels', 'C', '--metrics', 'mIoU', '--json', '-')
    assert code == 0 and list(json.loads(out)['results']) == ['aAcc', 'FWIoU', 'mIoUC', 'mIoUC50', 'mIoUCQ']


@pytest.mark.parametrize(
    'arguments, words',
    [
        (['--num-classes', '5'], '4 and 5 classes'),
        (['--classes', 'a,b,c,d', '--num-classes', '4'], "class 0: 'class 0' and 'a'"),
        (['--q', '7'], '--q: 1,5 and 7'),
        (['--boundary'], '--boundary: only the second has it'),
        (['--ignore-index', 'none', '--unknown', 'count'], '--ignore-index: 255 and none'),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, capsys, arguments, words):
    paths = shards(capsys, tmp_path)
    other = tmp_path / 'other.npz'
    given = ['--num-classes', '4', *arguments] if '--num-classes' not in arguments else arguments
    folders = tmp_path / 'pred', tmp_path / 'gt'
    assert run(capsys, 'evaluate', *folders, '--workers', '1', '--quiet', '--state', other, *given)[0] == 0
    sentence = refusal(capsys, 'merge', paths[0], other)
    assert sentence.endswith(f's1.npz and {other} were evaluated with different settings: {words}\n')


def test_two_different_images_of_one_name_are_refused(tmp_path, capsys):
    paths = shards(capsys, tmp_path / 'one')[:1] + shards(capsys, tmp_path / 'two', seed=1)[:1]
    sentence = refusal(capsys, 'merge', *paths)
    assert "the image 'a/000' has two different predictions or ground truths" in sentence and '--root' in sentence


def test_a_skipped_image_is_no_longer_missing_once_another_state_has_it(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(3))
    common = 'evaluate', *folders, '--num-classes', '4', '--workers', '1', '--quiet'
    good = (tmp_path / 'pred' / 'a' / '000.png').read_bytes()
    (tmp_path / 'pred' / 'a' / '000.png').write_bytes(b'')
    code, _, err = run(capsys, *common, '--skip-bad', '--state', tmp_path / '1.npz')
    assert code == 0 and 'Skipped, and in no result: 1' in err
    code, out, _ = run(capsys, 'merge', tmp_path / '1.npz')
    assert code == 0 and 'Skipped, and in no result: 1' in out
    (tmp_path / 'pred' / 'a' / '000.png').write_bytes(good)
    assert run(capsys, *common, '--state', tmp_path / '2.npz')[0] == 0
    code, out, _ = run(capsys, 'merge', tmp_path / '1.npz', tmp_path / '2.npz', '--json', '-')
    assert code == 0 and json.loads(out)['skipped'] == [] and json.loads(out)['images'] == 3


def rewritten(path, **changes):
    """The state at ``path`` with other arrays."""
    with np.load(path) as opened:
        arrays = {**opened, **changes}
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None}, allow_pickle=True)


def head(path, **changes):
    with np.load(path) as opened:
        found = json.loads(opened['head'].tobytes())
    rewritten(path, head=np.frombuffer(json.dumps(found | changes).encode(), np.uint8))


def with_setting(path, **changes):
    with np.load(path) as opened:
        found = json.loads(opened['head'].tobytes())['settings']
    head(path, settings=found | changes)


DAMAGE = {
    'text': lambda path: path.write_text('hello'),
    'empty': lambda path: path.write_bytes(b''),
    'cut': lambda path: path.write_bytes(path.read_bytes()[:-60]),
    'npy': lambda path: np.save(path.open('wb'), np.zeros(3)),
    'foreign': lambda path: np.savez(path, prob=np.zeros(3)),
    'format': lambda path: head(path, format='other'),
    'version': lambda path: head(path, version=2),
    'pickle': lambda path: rewritten(path, counts=np.array([{}])),
    'negative': lambda path: rewritten(path, counts=np.full((3, CLASSES, 3), -1)),
    'few': lambda path: rewritten(path, counts=np.zeros((1, CLASSES, 3), np.int64)),
    'none': lambda path: rewritten(path, counts=None),
    'setting': lambda path: with_setting(path, surprise=1),
    'classes': lambda path: with_setting(path, classes=['a']),
    'null': lambda path: head(path, settings=None),
}


@pytest.mark.parametrize('name', DAMAGE)
def test_what_is_no_state_is_one_sentence(tmp_path, capsys, name):
    paths = shards(capsys, tmp_path)
    DAMAGE[name](paths[1])
    sentence = refusal(capsys, 'merge', *paths)
    assert sentence.startswith(f'segparity: {paths[1]} is no state of segparity evaluate: ')


def small_state(folder, everything):
    """(path, totals) of one image whose file paths have the same length wherever the tests run."""
    measured = dict.fromkeys(('boundary', 'distances', 'calibration'), everything)
    totals = Totals(Settings(classes=('a', 'b'), **measured))
    target = save(folder / 'g.png', label_maps(1, classes=2)[1][0])
    pred = save(folder / 'p.npz', probabilities(1, classes=2)[0])
    totals.add('x', ('p', 't'), measure_all(totals.settings, [Pair('x', str(pred), str(target))])[0])
    write_state(folder / 's.npz', totals)
    return folder / 's.npz', totals


def same(found, want):
    rows, wanted = found.rows['x'], want.rows['x']
    arrays = rows.keys() == wanted.keys() and all(np.array_equal(rows[k], wanted[k], equal_nan=True) for k in wanted)
    return arrays and (found.settings, found.files) == (want.settings, want.files)


@pytest.mark.slow
@pytest.mark.parametrize('everything, every', [(False, 1), (True, 9)], ids=['counts', 'everything'])
def test_what_is_flipped_is_found_or_harmless(tmp_path, everything, every):
    """Every bit of a state of counts alone; of one with all parts, which is larger, one of nearly every byte."""
    path, want = small_state(tmp_path, everything)
    harmless = refused = 0
    for place in flips(path, every):
        try:
            found = read_state(path)[0]
        except ValueError as error:
            assert str(error).startswith(f'{path} is no state of segparity evaluate: ') and '\n' not in str(error)
            refused += 1
        else:
            assert same(found, want), place
            harmless += 1
    assert harmless + refused >= 8 * path.stat().st_size // every and refused > harmless


def test_nothing_in_a_state_is_a_pickle(rows, tmp_path):
    write_state(tmp_path / 's.npz', totals_of(rows))
    with zipfile.ZipFile(tmp_path / 's.npz') as archive:
        for name in archive.namelist():
            np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)


def test_settings_survive_json():
    from segparity.evaluate.palette import Palette

    palette = Palette(((1, 2, 3, 0), (4, 5, 6, None)), ('a',))
    one = Settings(classes=('a', 'b'), gt_palette=palette, spacing=(1.0, 2.0), q=())
    again = Settings.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one and again.key() == one.key() and difference(one, again) is None
    assert one.replace(q=(3,)).key() == one.key() != one.replace(ignore_index=0).key()


def test_odd_names_survive(tmp_path):
    target = save(tmp_path / 'g.png', np.zeros((2, 2), np.uint8))
    totals = Totals(Settings(classes=('a', 'b')))
    names = ['a', 'a\x00', 'ä/💡', 'it\'s, "so"\n', '']
    for name in names:
        pair = Pair(name, str(target), str(target))
        totals.add(name, (pair.pred, pair.target), measure_all(totals.settings, [pair])[0])
    write_state(tmp_path / 's.npz', totals)
    assert sorted(read_state(tmp_path / 's.npz')[0].rows) == sorted(names)
