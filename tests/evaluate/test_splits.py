"""Split files beside folders, and suffixes found from the names."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segparity.evaluate.naming import infer_suffixes
from segparity.evaluate.pairs import Names, find_pairs
from segparity.evaluate.splits import Split, chosen_names, read_split
from tests.evaluate.data import data_set, label_maps, refusal, run, save

ONE = ('--workers', '1', '--num-classes', '4')


def split_of(*lines):
    return Split('val.txt', lines)


@pytest.mark.parametrize(
    'line',
    ['b/2', '2', '2.png', '2.jpg', 'JPEGImages/b/2.jpg', './b/2.png', 'b\\2', '2_pred', '2_gt.png', '/data/voc/b/2.png', 'b/2.nii.gz'],
)  # fmt: skip
def test_a_line_may_have_more_or_less_than_the_name(line):
    assert chosen_names(split_of(line), ['a/1', 'b/2', 'b/22', '3'], ('_pred', '_gt.png')) == ({'b/2'}, [])


def test_a_name_as_it_stands_comes_before_what_it_could_be_without_its_end():
    known = ['1', '1.png', '1_gt']
    assert chosen_names(split_of('1.png'), known, ('', '_gt'))[0] == {'1.png'}
    assert chosen_names(split_of('1_gt', '1'), known, ('', '_gt'))[0] == {'1_gt', '1'}
    assert chosen_names(split_of('v1.5', 'x.y', 'c/1'), ['v1.5', 'x', 'a/c/1', 'c/1'], ()) == ({'v1.5', 'c/1'}, ['x.y'])


def test_a_line_that_fits_two_names_is_refused():
    with pytest.raises(ValueError, match="the split val.txt names '1', which is both 'a/1' and 'b/1'"):
        chosen_names(split_of('1'), ['a/1', 'b/1'], ())


def test_a_split_chooses_the_images_and_names_those_that_are_nowhere(touch):
    root = touch(*(f'p/{k}.png' for k in range(5)), *(f'g/{k}.png' for k in range(3, 9)))
    (root / 'val.txt').write_text('\ufeff3\n\n4.jpg\n 3 \nsix\n7\n2\n')
    pairs, missing = find_pairs(root / 'p', root / 'g', split=read_split(root / 'val.txt'))
    assert [pair.image for pair in pairs] == ['3', '4']
    assert dict(missing) == {
        'six': f'is in the split {root / "val.txt"}, but in neither folder',
        '7': 'has no prediction',
        '2': f'has no ground truth, only the prediction {root / "p/2.png"}',
    }


def test_the_command_evaluates_the_split_alone(tmp_path, capsys):
    preds, targets = label_maps(6)
    folders = data_set(tmp_path, preds, targets)
    some = data_set(tmp_path / 'some', preds[:2] + [preds[4]], targets[:2] + [targets[4]])
    split = tmp_path / 'val.txt'
    split.write_text('000\nb/001.png\n004\n')
    code, out, _ = run(capsys, 'evaluate', *folders, *ONE, '--split', split, '--json', '-')
    want = json.loads(run(capsys, 'evaluate', *some, *ONE, '--json', '-')[1])
    found = json.loads(out)
    assert code == 0 and found['images'] == 3 and found['results'] == want['results']

    split.write_text('000\nnine\n')
    sentence = refusal(capsys, 'evaluate', *folders, *ONE, '--split', split)
    assert f"1 without a partner: 'nine' is in the split {split}, but in neither folder" in sentence
    code, out, _ = run(capsys, 'evaluate', *folders, *ONE, '--split', split, '--skip-bad', '--json', '-')
    assert code == 0 and json.loads(out)['skipped'][0]['image'] == 'nine'
    split.write_text('nine\n')
    assert 'no image of the split' in refusal(capsys, 'evaluate', *folders, *ONE, '--split', split, '--skip-bad')
    split.write_text('\n')
    assert 'val.txt names no image' in refusal(capsys, 'evaluate', *folders, *ONE, '--split', split)
    split.write_bytes(b'\xff')
    assert 'val.txt is no split: not a text in UTF-8' in refusal(capsys, 'evaluate', *folders, *ONE, '--split', split)
    maps = [save(tmp_path / f'{side}.png', np.zeros((2, 2), np.uint8)) for side in 'pg']
    split.write_text('p')
    sentence = refusal(capsys, 'evaluate', *maps, *ONE, '--split', split)
    assert '--split chooses images of two folders, got a map' in sentence
    split.write_text('000\n')
    clash = '--json', split
    assert '--json must be no file that is read' in refusal(
        capsys, 'evaluate', *folders, *ONE, '--split', split, *clash
    )


CITY = ['ulm/ulm_0', 'ulm/ulm_1', 'bonn/bonn_0']


def ending(names, *suffixes):
    return [name + suffix for name in names for suffix in suffixes]


@pytest.mark.parametrize(
    'preds, targets, want',
    [
        (
            ending(CITY, '_leftImg8bit'),
            ending(CITY, '_gtFine_labelTrainIds'),
            ('_leftImg8bit', '_gtFine_labelTrainIds'),
        ),
        (CITY, ending(CITY, '_gtFine_labelTrainIds'), ('', '_gtFine_labelTrainIds')),
        (ending(CITY, '.pred'), CITY, ('.pred', '')),
        (ending(CITY, '_x_pred'), ending(CITY, '_x_gt'), ('_pred', '_gt')),  # the longest stem
        (ending(CITY[:2], '_a'), ending(CITY, '_b'), ('_a', '_b')),  # all of the smaller folder
        (ending(CITY, '_a'), ending(CITY[:2], '_b'), ('_a', '_b')),
        (CITY, ending(CITY, '_gt') + ['readme'], ('', '_gt')),
        (CITY[:2], ending(CITY, '_color', '_labelIds'), None),  # which of the two?
        (CITY, ending(CITY[:2], '_gt') + ['x_gt'], None),  # not all of any folder
        (['img_1', 'img_2'], ['lab_1', 'lab_2'], None),
        (['img_1'], ['img_2'], None),
        (['a_pred'], ['a_gt'], None),  # one image proves nothing
        (['1_1', '2_1'], ['1_2', '2_2'], None),  # numbers stay with the image
        (['10', '20'], ['1', '2'], None),
        (['a/scan_p', 'b/scan_p'], ['a/scan_g', 'b/scan_g'], ('_p', '_g')),
        (['a/p', 'b/p'], ['a/g', 'b/g'], None),
    ],
)
def test_suffixes_are_inferred_where_they_pair_a_whole_folder_one_to_one(preds, targets, want):
    assert infer_suffixes(preds, targets) == want


def test_inferred_suffixes_are_said_and_used_only_where_no_name_matches(touch):
    root = touch(*(f'p/{k}_leftImg8bit.png' for k in 'abc'), *(f'g/{k}_gt.png' for k in 'abc'))
    said = []
    pairs, missing = find_pairs(root / 'p', root / 'g', inferred=said.append)
    assert [pair.image for pair in pairs] == ['a', 'b', 'c'] and not missing
    assert said == [Names('_leftImg8bit', '_gt')]
    with pytest.raises(ValueError, match='PRED .*p has no .* whose name ends with'):
        find_pairs(root / 'p', root / 'g', Names('_right'), inferred=said.append)
    touch('p/d.png', 'g/d.png')
    assert [pair.image for pair in find_pairs(root / 'p', root / 'g', inferred=said.append)[0]] == ['d']
    assert len(said) == 1


def test_the_command_says_what_it_inferred(tmp_path, capsys):
    for k, (pred, target) in enumerate(zip(*label_maps(3))):
        save(tmp_path / 'p' / f'{k}_leftImg8bit.png', pred)
        save(tmp_path / 'g' / f'{k}_gtFine_labelTrainIds.png', target)
    arguments = 'evaluate', tmp_path / 'p', tmp_path / 'g', *ONE
    code, out, said = run(capsys, *arguments, '--json', '-')
    options = '--pred-suffix', '_leftImg8bit', '--gt-suffix', '_gtFine_labelTrainIds'
    assert code == 0 and said.count('\n') == 1 and f'read with {" ".join(options)}, which pair them one to one' in said
    found, want = json.loads(out), json.loads(run(capsys, *arguments, *options, '--json', '-')[1])
    assert found.pop('inferred') == {'pred_suffix': options[1], 'gt_suffix': options[3]} and found == want
    assert run(capsys, *arguments, '--quiet') == (0, '', '')
    split = tmp_path / 'val.txt'
    split.write_text('0_leftImg8bit.png\n2\n')
    assert json.loads(run(capsys, *arguments, '--split', split, '--json', '-')[1])['images'] == 2


PARTS = st.sampled_from(['a', 'b', '1', '2', '_', '-', '.', ' ', 'gt', '_gt', '_pred', '/', '\\', '.png', '..', 'é'])
NAMES = st.lists(st.lists(PARTS, min_size=1, max_size=5).map(''.join), min_size=1, max_size=6, unique=True)


@given(preds=NAMES, targets=NAMES)
@settings(max_examples=100, deadline=None, database=None)
def test_what_is_inferred_is_one_to_one_of_any_names(preds, targets):
    preds, targets = ({name for name in names if not name.endswith('/')} or {'x'} for names in (preds, targets))
    found = infer_suffixes(preds, targets)
    if found:
        pred_suffix, gt_suffix = found
        assert all(name.endswith(pred_suffix) for name in preds)
        stems = {name.removesuffix(pred_suffix) for name in preds}
        paired = {name for name in targets if name.endswith(gt_suffix) and name.removesuffix(gt_suffix) in stems}
        assert len(paired) >= 2 and len(paired) in (len(preds), len(targets))


@given(lines=NAMES, known=NAMES, suffix=st.sampled_from(['', '_gt', '_gt.png']))
@settings(max_examples=100, deadline=None, database=None)
def test_any_split_chooses_known_names_or_is_a_sentence(lines, known, suffix):
    try:
        chosen, absent = chosen_names(split_of(*lines), known, (suffix,))
    except ValueError as error:
        assert 'which is both' in str(error)
    else:
        assert chosen <= set(known) and set(absent) <= set(lines) and len(chosen) + len(absent) <= len(lines)
