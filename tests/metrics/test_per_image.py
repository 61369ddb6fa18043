"""The per-image table: what its rows say, and what is refused."""

import csv
import sys

import numpy as np
import pytest

pandas = pytest.importorskip('pandas', reason="pandas is not installed: pip install -e '.[evaluate]'")

from segparity.audit.table_reading import read_table
from shared_spec.metrics import per_image
from shared_spec.metrics.calibration import Calibration, CalibrationState
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState
from shared_spec.metrics.per_image import per_image_columns, write_table

PREDS = np.array([[[0, 0, 1, 1]], [[0, 0, 0, 0]], [[0, 1, 2, 0]]])
TARGETS = np.array([[[0, 1, 1, 255]], [[255, 255, 255, 255]], [[0, 0, 0, 0]]])
SPEC = FineGrained(num_classes=3)


def columns():
    state = FineGrainedState(3)
    for pred, target in zip(PREDS, TARGETS):
        state.update(pred, target)
    images = {'image': ['a', 'b,"c', 'ü'], 'image_file': ['a.png', '', 'x/ü.png']}
    return per_image_columns(images, ['sky', 'road', '3'], state.cells(SPEC))


@pytest.mark.parametrize('suffix', ['.csv', '.parquet'])
def test_a_table_survives_the_file(tmp_path, suffix):
    want = columns()
    write_table(tmp_path / 'new' / f'table{suffix}', want)
    got = read_table(tmp_path / 'new' / f'table{suffix}')
    assert (
        list(got)
        == list(want)
        == [*('image', 'image_file', 'class_id', 'class_name', 'present', 'tp', 'fp', 'fn', 'Acc', 'IoU', 'Dice')]
    )
    for name, values in want.items():
        if values.dtype == object:
            assert got[name].tolist() == values.tolist(), name
        else:
            assert got[name].dtype == values.dtype, name
            np.testing.assert_array_equal(got[name].to_numpy(), values, err_msg=name)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == [f'table{suffix}']


ODD = (
    '=1+1',
    '+a',
    '-a',
    '@x',
    '\tq',
    '\rq',
    '\nq',
    "'=1",
    "''@",
    "'abc",
    "a'b",
    '-5',
    'x\ry',
    'x\ny',
    '\x1b[31m',
    '',
    'NA',
)


def odd_table(path):
    ones = np.ones((len(ODD), 1), int)
    cells = {'present': ones > 0, 'tp': ones, 'fp': ones, 'fn': ones, 'HD': -0.5 * ones}
    write_table(path, per_image_columns({'image': ODD, 'pred_file': ODD}, ['=c'], cells))
    return path


@pytest.mark.parametrize('suffix', ['.csv', '.parquet'])
def test_texts_like_formulas_come_back_as_they_were(tmp_path, suffix):
    table = read_table(odd_table(tmp_path / f't{suffix}'))
    assert table['image'].tolist() == table['pred_file'].tolist() == list(ODD)
    assert set(table['class_name']) == {'=c'} and table['HD'].tolist() == [-0.5] * len(ODD)


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    """As a spreadsheet reads it, which knows nothing of our apostrophes."""
    with open(odd_table(tmp_path / 't.csv'), newline='') as stream:
        head, *rows = csv.reader(stream)
    assert len(rows) == len(ODD)
    for row in rows:
        for name, cell in zip(head, row):
            assert not cell.startswith(tuple('=+-@\t\r\n')) or (name == 'HD' and float(cell) == -0.5), cell


def test_a_name_that_is_no_text_is_written(tmp_path):
    for suffix in ('.csv', '.parquet'):
        table = columns()
        table['image'][:3] = 'a\udcff'
        write_table(tmp_path / f't{suffix}', table)
        assert read_table(tmp_path / f't{suffix}')['image'][0] == r'a\udcff'


NUMBERS = (0.0, -0.0, 1.0, 1 / 3, 1e-5, 1e15, 1e16, 1e-300, np.nan, np.inf, -np.inf)


@pytest.mark.parametrize('name', ['a, "b"', 'a\rb'], ids=['plain', 'carriage_return'])
def test_a_csv_is_what_pandas_writes(tmp_path, name, monkeypatch):
    """To the byte, also where it is written in several pieces."""
    monkeypatch.setattr(per_image, 'ROWS', 4)
    n = len(NUMBERS)
    table = {'image': np.array([name] * n, object), 'class_id': np.arange(n), 'present': np.arange(n) > 3}
    table |= {'tp': np.arange(n) + 2**53, 'IoU': np.array(NUMBERS)}
    write_table(tmp_path / 'ours.csv', table)
    quoting = csv.QUOTE_NONNUMERIC if '\r' in name else csv.QUOTE_MINIMAL
    pandas.DataFrame(table).to_csv(tmp_path / 'theirs.csv', index=False, quoting=quoting)
    assert (tmp_path / 'ours.csv').read_bytes() == (tmp_path / 'theirs.csv').read_bytes()


def test_undefined_is_null_in_parquet(tmp_path):
    import pyarrow.parquet

    write_table(tmp_path / 't.parquet', columns())
    column = pyarrow.parquet.read_table(tmp_path / 't.parquet')['IoU']
    assert column.null_count == np.isnan(columns()['IoU']).sum() > 0


def test_a_csv_needs_no_library_and_parquet_says_which(tmp_path, monkeypatch):
    for name in ('pandas', 'pyarrow'):
        monkeypatch.setitem(sys.modules, name, None)
    write_table(tmp_path / 't.csv', columns())
    assert (tmp_path / 't.csv').read_text().startswith('image,image_file,class_id,')
    with pytest.raises(ImportError, match=r"^X: a \.parquet table needs pyarrow: pip install 'segparity\[evaluate\]'$"):
        per_image.check_format('X', 't.parquet')


def test_a_row_for_each_class_of_each_image():
    table = columns()
    assert table['image'].tolist() == ['a'] * 3 + ['b,"c'] * 3 + ['ü'] * 3
    assert table['class_id'].tolist() == [0, 1, 2] * 3 and table['class_name'][2] == '3'
    assert table['tp'].tolist() == [1, 1, 0] + [0, 0, 0] + [2, 0, 0]
    assert table['fp'].tolist() == [1, 0, 0] + [0, 0, 0] + [0, 1, 1]
    assert table['fn'].tolist() == [0, 1, 0] + [0, 0, 0] + [2, 0, 0]
    nan = np.nan
    np.testing.assert_array_equal(table['IoU'], [1 / 2, 1 / 2, nan, nan, nan, nan, 2 / 4, nan, nan])
    assert table['present'].tolist() == (~np.isnan(table['IoU'])).tolist()


def test_binary_rows_follow_the_rule_of_images_without_foreground():
    state = FineGrainedState(2)
    state.update(PREDS[1], PREDS[1])  # nothing but background, in both
    state.update(PREDS[1], TARGETS[1])  # nothing at all
    cells = state.cells(FineGrained(num_classes=2, binary=True))
    np.testing.assert_array_equal(cells['IoU'], [[np.nan, 1], [np.nan, np.nan]])
    assert cells['present'].tolist() == [[False, True], [False, False]]


def test_the_error_of_an_image_stands_in_each_of_its_rows():
    state = CalibrationState(2)
    state.update(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]))
    state.update(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([0, 0]))
    table = per_image_columns({'image': ['a', 'b']}, ['x', 'y'], state.cells(Calibration(num_classes=2)))
    assert table['ECE'].tolist() == [abs(1 - 2 * 0.75) / 2] * 2 + [0, 0]
    np.testing.assert_array_equal(table['SCE'], [(0.25 + 0.75) / 2, np.nan, 0, np.nan])


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is a .csv or .parquet file, got 'table.xlsx'"):
        write_table('table.xlsx', columns())
    (tmp_path / 'a.parquet').write_bytes(b'PK, no table')
    with pytest.raises(ValueError, match='a.parquet: no per-image table'):
        read_table(tmp_path / 'a.parquet')
    (tmp_path / 'b.csv').write_text('image,class_id\na,0\n')
    with pytest.raises(ValueError, match='has the columns class_name, present, tp, fp, fn, which are missing here'):
        read_table(tmp_path / 'b.csv')
    table = columns()
    write_table(tmp_path / 'c.csv', {**table, 'tp': table['tp'] + 0.5})
    with pytest.raises(ValueError, match='the column tp must hold integers, got float64'):
        read_table(tmp_path / 'c.csv')
    for name in ('nowhere.csv', 'nowhere.parquet'):
        with pytest.raises(FileNotFoundError, match=f'{name} is no file'):
            read_table(tmp_path / name)


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / 'table.csv'
    path.write_text('old')

    def fail(*arguments):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='disk full'):
        write_table(path, columns())
    assert path.read_text() == 'old' and [p.name for p in tmp_path.iterdir()] == ['table.csv']
