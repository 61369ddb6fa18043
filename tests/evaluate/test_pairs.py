"""Which files belong together."""

from pathlib import Path

import pytest

from segparity.evaluate.pairs import Names, find_pairs, missing_sentence, shard


def images(pairs):
    return [pair.image for pair in pairs]


def test_folders_match_by_relative_path_whatever_the_suffix(touch):
    root = touch(
        'p/a/1.png', 'p/b/1.npz', 'p/2.TIF', 'g/b/1.png', 'g/a/1.npy', 'g/2.tiff', 'g/.hidden.png', 'g/notes.md'
    )
    pairs, missing = find_pairs(root / 'p', root / 'g')
    assert images(pairs) == ['2', 'a/1', 'b/1'] and not missing
    assert pairs[1].pred == str(root / 'p/a/1.png') and pairs[1].target == str(root / 'g/a/1.npy')


@pytest.mark.parametrize('suffix', ['_gtFine_labelTrainIds', '_gtFine_labelTrainIds.png'])
def test_suffixes_are_no_part_of_a_name(touch, suffix):
    root = touch('p/x/1_leftImg8bit.png', 'g/x/1_gtFine_labelTrainIds.png', 'g/x/1_gtFine_color.png')
    pairs, missing = find_pairs(root / 'p', root / 'g', Names('_leftImg8bit', suffix))
    assert images(pairs) == ['x/1'] and not missing


def test_by_name_leaves_the_folders_out(touch):
    root = touch('p/1.png', 'p/2.png', 'g/x/1.png', 'g/y/2.png')
    with pytest.raises(ValueError, match='no prediction has the name .* --by-name leaves the folders out'):
        find_pairs(root / 'p', root / 'g')
    pairs, _ = find_pairs(root / 'p', root / 'g', Names(by_name=True))
    assert images(pairs) == ['x/1', 'y/2']


def test_missing_partners_are_found_on_both_sides(touch):
    root = touch('p/1.png', 'p/only.png', 'g/1.png', *(f'g/{k}.png' for k in range(2, 14)))
    pairs, missing = find_pairs(root / 'p', root / 'g')
    assert images(pairs) == ['1'] and len(missing) == 13
    sentence = missing_sentence(missing)
    assert sentence.startswith("13 without a partner: '10' has no prediction; ") and '; and 3 more (' in sentence
    assert dict(missing)['only'] == f'has no ground truth, only the prediction {root / "p/only.png"}'


def test_lists_match_line_by_line_relative_to_their_folder(touch):
    root = touch('p/1.png', 'p/2.png', 'data/gt/x.png', 'data/gt/y.png')
    (root / 'preds.txt').write_text('p/1.png\np/2.png\n\n')
    (root / 'data' / 'val.lst').write_text('gt/y.png\ngt/x.png\n')
    pairs, missing = find_pairs(root / 'preds.txt', root / 'data' / 'val.lst')
    assert images(pairs) == ['gt/x', 'gt/y'] and not missing
    assert Path(pairs[0].pred).name == '2.png'


def test_a_line_that_comes_twice_counts_once_and_two_predictions_of_an_image_are_refused(touch):
    root = touch('1.png', '2.png', 'g.png')
    (root / 'g.txt').write_text('g.png\ng.png')
    (root / 'p.txt').write_text('1.png\n1.png')
    assert images(find_pairs(root / 'p.txt', root / 'g.txt')[0]) == ['g']
    (root / 'p.txt').write_text('1.png\n2.png')
    with pytest.raises(ValueError, match="the image 'g' is listed with .*1.png and with .*2.png"):
        find_pairs(root / 'p.txt', root / 'g.txt')


def test_two_maps_are_a_pair_and_root_names_it(touch):
    root = touch('p/1.png', 'data/gt/x.png')
    assert images(find_pairs(root / 'p/1.png', root / 'data/gt/x.png')[0]) == ['x']
    assert images(find_pairs(root / 'p/1.png', root / 'data/gt/x.png', root=root / 'data')[0]) == ['gt/x']


def test_folders_below_one_root_do_not_clash(touch):
    root = touch('p/a/1.png', 'p/b/1.png', 'g/a/1.png', 'g/b/1.png')
    found = [images(find_pairs(root / 'p' / c, root / 'g' / c, root=root / 'g')[0]) for c in 'ab']
    assert found == [['a/1'], ['b/1']]


def test_a_circle_of_links_ends(touch):
    root = touch('p/1.png', 'g/1.png')
    (root / 'g' / 'again').symlink_to(root / 'g')
    assert images(find_pairs(root / 'p', root / 'g')[0]) == ['1']


@pytest.mark.parametrize(
    'pred, gt, sentence',
    [
        ('absent', 'g', 'PRED .*absent does not exist'),
        ('p', 'g/1.png', 'must be of one kind, got a folder .* and a map'),
        ('empty', 'g', 'PRED .*empty has no .png, .tif, .tiff, .npy, .nii, .nii.gz, .npz file; it has .jpg'),
        ('double', 'g', "PRED has two maps of the image '1': .*1.npy and .*1.png"),
        ('one.txt', 'two.txt', 'one line for each image, got 1 in .* and 2 in'),
        ('none.txt', 'two.txt', 'names no file'),
        ('binary.txt', 'two.txt', 'neither a map .* nor a list of files'),
        ('other', 'g', "PRED has 1 such as '9', GT has 1 such as '1'; --pred-suffix and --gt-suffix"),
    ],
)
def test_what_cannot_be_matched_is_refused(touch, pred, gt, sentence):
    root = touch('p/1.png', 'g/1.png', 'empty/1.jpg', 'double/1.png', 'double/1.npy', 'other/9.png')
    (root / 'one.txt').write_text('p/1.png')
    (root / 'two.txt').write_text('g/1.png\ng/1.png')
    (root / 'none.txt').write_text('\n')
    (root / 'binary.txt').write_bytes(b'\xff\xfe\x00\x9c')
    with pytest.raises((ValueError, OSError), match=sentence):
        find_pairs(root / pred, root / gt)


def test_a_line_without_a_file_is_missing(touch):
    root = touch('p/1.png', 'g/1.png', 'g/2.png')
    (root / 'p.txt').write_text('p/1.png\np/2.png')
    (root / 'g.txt').write_text('g/1.png\ng/2.png')
    pairs, missing = find_pairs(root / 'p.txt', root / 'g.txt')
    assert images(pairs) == ['g/1']
    assert missing == [('g/2', f'has no prediction: {root / "p/2.png"} does not exist')]


def test_shards_are_a_partition():
    pairs = list(range(10))
    parts = [shard(pairs, k, 3) for k in (1, 2, 3)]
    assert parts == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
