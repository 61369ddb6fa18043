"""What is read from a table, and the sentence for one that is none."""

import numpy as np
import pandas
import pytest

from segparity.audit.several import in_common, load_tables, other_labels
from segparity.audit.table_reading import read_table
from segparity.audit.tables import load_table

A, B = [8, 1, 2], [0, 3, 5]  # tp, fp, fn
NONE, ONLY_PREDICTED = [0, 0, 0], [0, 4, 0]


@pytest.mark.parametrize('suffix', ['csv', 'parquet'])
def test_counts_names_and_scores(table, suffix):
    path = table([[A, B], [NONE, A]], name=f'm.{suffix}', images=['x', 'y'], classes=['road', '007'])
    found = load_table(path, 'm')
    assert found.images == ('x', 'y') and found.classes == ('road', '007')
    assert found.counts.tolist() == [[A, B], [NONE, A]] and found.counts.dtype == np.int64
    assert found.sizes.tolist() == [[10, 5], [0, 10]]
    np.testing.assert_array_equal(found.iou, [[8 / 11, 0], [np.nan, 8 / 11]])
    np.testing.assert_array_equal(found.image_iou, [4 / 11, 8 / 11])


@pytest.mark.parametrize(
    ('rule', 'iou'),
    [
        (dict(), [np.nan, np.nan, 8 / 11]),
        (dict(present_in='either'), [np.nan, 0, 8 / 11]),
        (dict(binary=True), [1, 0, 8 / 11]),
    ],
    ids=['target', 'either', 'binary'],
)
def test_the_rule_of_presence_is_found(table, rule, iou):
    counts = [[[9, 0, 0], NONE], [[5, 0, 4], ONLY_PREDICTED], [[8, 2, 1], A]]
    found = load_table(table(counts, **rule), 'm')
    np.testing.assert_array_equal(found.iou[:, 1], iou)
    assert found.binary == bool(rule.get('binary'))


def test_rows_in_any_order(table):
    path = table([[A, B], [B, A], [A, A]])
    read_table(path).sample(frac=1, random_state=0).to_csv(path, index=False)
    found = load_table(path, 'm')
    assert dict(zip(found.images, found.counts.tolist())) == {'image 0': [A, B], 'image 1': [B, A], 'image 2': [A, A]}


def test_images_without_a_valid_pixel_are_told(table):
    found = load_table(table([[A, B], [NONE, NONE]]), 'm')
    assert found.images == ('image 0',) and found.empty == ('image 1',)


def edited(frame, column, value, row=0):
    frame[column] = frame[column].astype(object) if isinstance(value, str) else frame[column]
    frame.loc[row, column] = value
    return frame


BROKEN = {
    'no_rows': (lambda f: f.iloc[:0], 'the table has no rows'),
    'no_tp': (lambda f: f.drop(columns='tp'), 'has the columns .*tp'),
    'fractions': (lambda f: f.assign(tp=f['tp'] + 0.5), 'column tp must hold integers'),
    'present': (lambda f: f.assign(present=1), 'column present must hold True or False'),
    'negative': (lambda f: f.assign(fp=-1), 'at least 0, got -1'),
    'row_missing': (lambda f: f.iloc[:-1], "one row for each of its 2 classes, 'image 1' has 1 rows"),
    'row_twice': (lambda f: f.assign(class_id=[0, 1, 1, 1]), "'image 1' has a class twice|two names"),
    'gap': (lambda f: f.assign(class_id=f['class_id'] * 2), r'run from 0 to 1 without gaps, got \[0, 2\]'),
    'names': (lambda f: f.assign(class_name=list('abac')), "class 1 has two names, 'b' and 'c'"),
    'iou': (lambda f: edited(f, 'IoU', 0.9), "IoU of 'image 0', class 'class 0', is 0.9, but .* make it 0.727273"),
    'rule': (lambda f: f.assign(present=[True, False, True, True], IoU=np.nan), 'follows neither rule'),
    'no_name': (lambda f: f.assign(image=[None] * 4), 'column image must be filled, row 0'),
    'nothing': (lambda f: f.assign(tp=0, fp=0, fn=0, present=False, IoU=np.nan), 'no class counts in any image'),
}


@pytest.mark.parametrize('broken', BROKEN)
def test_a_table_that_is_none_is_one_sentence(table, audit, broken):
    change, sentence = BROKEN[broken]
    path = table([[A, B], [B, A]], name='broken.parquet')
    change(read_table(path)).to_parquet(path, index=False)
    with pytest.raises(ValueError, match=sentence):
        load_table(path, 'm')
    code, out, err = audit(path)
    assert code == 2 and err.startswith('segparity: ') and 'broken.parquet' in err and err.count('\n') == 1 and not out


@pytest.mark.parametrize(
    ('name', 'content', 'sentence'),
    [
        ('t.xlsx', b'', 'is a .csv or .parquet file'),
        ('t.parquet', b'no', 'no per-image table'),
        ('t.csv', b'', 'no per-image table'),
        ('t.csv', b'image,class_id,class_name,present,tp,fp,fn\n', 'the table has no rows'),
        ('missing.csv', None, 'missing.csv'),
    ],
)
def test_a_file_that_is_no_table(audit, tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, _, err = audit(tmp_path / name)
    assert code == 2 and sentence in err and err.count('\n') == 1


def test_classes_must_agree(table, audit):
    first = table([[A, B]], name='a.csv', classes=['x', 'y'])
    code, _, err = audit(first, table([[A, B]], name='b.csv', classes=['x', 'z']))
    assert code == 2 and "class 1 is 'z' instead of 'y'" in err
    code, _, err = audit(first, table([[A, B, A]], name='c.csv'))
    assert code == 2 and '3 instead of 2' in err


def test_names_of_models(table, tmp_path):
    paths = [table([[A, B]], name=name) for name in ('a.csv', 'b.csv')]
    assert [t.name for t in load_tables(paths)] == ['a', 'b']
    assert [t.name for t in load_tables(paths, ['x', 'y'])] == ['x', 'y']
    with pytest.raises(ValueError, match='one name for each of the 2 tables, got 1'):
        load_tables(paths, ['x'])
    with pytest.raises(ValueError, match="different names, got 'x', 'x'"):
        load_tables(paths, ['x', 'x'])


def test_only_images_in_common_are_compared(table):
    paths = [
        table([[A, B], [B, A], [A, A]], name='a.csv', images=['p', 'q', 'r']),
        table([[A, A], [B, B], [A, B]], name='b.csv', images=['r', 's', 'p']),
    ]
    common, odd = in_common(load_tables(paths))
    assert [t.images for t in common] == [('p', 'r')] * 2 and odd == {'a': ['q'], 'b': ['s']}
    assert [t.counts[1].tolist() for t in common] == [[A, A], [A, A]]
    assert other_labels(common) == []
    none, odd = in_common(load_tables([paths[0], table([[A, A]], name='c.csv', images=['z'])]))
    assert none is None and odd['c'] == ['z']


def test_other_labels_are_noticed(table):
    paths = [table([[A, B]], name='a.csv'), table([[[9, 0, 2], B]], name='b.csv')]
    assert other_labels(load_tables(paths)) == ['image 0']


def test_integers_and_strings_name_the_same_image(table):
    path = table([[A, B]], name='a.parquet', images=['1'])
    frame = read_table(path)
    frame['image'] = pandas.Series([1, 1])
    frame.to_parquet(path, index=False)
    assert load_table(path, 'm').images == ('1',)
