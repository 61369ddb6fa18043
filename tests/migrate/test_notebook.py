"""Cells, magics and what is left out of a notebook."""

import json

import pytest

from segparity.migrate.reading import read_source
from segparity.migrate.reading.notebook import read_notebook, without_magics


def notebook(*texts, **metadata):
    cells = [{'cell_type': 'code', 'source': text} for text in texts]
    return json.dumps({'cells': cells, 'metadata': metadata, 'nbformat': 4}).encode()


@pytest.mark.parametrize(
    ('text', 'plain'),
    [
        ('%matplotlib inline\nx = 1', 'pass\nx = 1'),
        ('if a:\n    !pip install b\nx = 1', 'if a:\n    pass\nx = 1'),
        ('!pip install a \\\n  b\nx = 1', 'pass\n\nx = 1'),
        ('model.fit?\n?model\nx??', 'pass\npass\npass'),
        ('files = !ls\nn, m = %lsmagic', 'pass\npass'),
        ('x = (a\n     % b)\n!ls', 'x = (a\n     % b)\npass'),
        ('x = """\n!no magic\n"""\n!ls', 'x = """\n!no magic\n"""\npass'),
        ("x = '''\n%no magic'''\n%time y = 1", "x = '''\n%no magic'''\npass"),
        ('x = a \\\n  % b\n!ls', 'x = a \\\n  % b\npass'),
        ("x = '#('  # (\n!ls", "x = '#('  # (\npass"),
        ('%%time\nx = 1', 'pass\nx = 1'),
    ],
)
def test_magics_are_taken_out_where_a_statement_begins(text, plain):
    assert without_magics(text, []) == plain


def test_lines_and_cells_keep_their_numbers():
    found = read_notebook(notebook('# text', '%time\n!ls\nx = 1', ''), 'a.ipynb')
    assert [(cell.file, cell.text) for cell in found.cells] == [
        ('a.ipynb[1]', '# text'),
        ('a.ipynb[2]', 'pass\npass\nx = 1'),
    ]


@pytest.mark.parametrize(
    ('line', 'installs'),
    [
        ('!pip install -q keras==2.3.1 tensorflow', ['-q', 'keras==2.3.1', 'tensorflow']),
        ('%pip install "keras==3.5"', ['"keras==3.5"']),
        ('!python -m pip install a==1', ['a==1']),
        ('%tensorflow_version 1.x', ['tensorflow==1.x']),
        ('!ls install', []),
    ],
)
def test_what_pip_installs(line, installs):
    assert list(read_notebook(notebook(line), 'a.ipynb').installs) == installs


@pytest.mark.parametrize(
    ('text', 'reason', 'line'),
    [
        ('x = 1\nprint "a"', 'the cell is Python 2, which is not read: line 2: print "a"', 1),
        ('try:\n  f()\nexcept E, e:\n  pass', 'the cell is Python 2, which is not read: line 3: except E, e:', 1),
        ('%%bash\nls', 'the cell is for %%bash', 1),
        ('%%javascript\nx', 'the cell is for %%javascript', 1),
        ('x = (', "the cell is no Python 3 that can be read: line 1: '(' was never closed", 1),
    ],
)
def test_cells_that_are_left_out_are_named(text, reason, line):
    found = read_notebook(notebook('x = 1', text, 'y = 2'), 'a.ipynb')
    assert [cell.file for cell in found.cells] == ['a.ipynb[1]', 'a.ipynb[3]']
    (unread,) = found.unread
    assert (unread.reason, unread.place.file, unread.place.line) == (reason, 'a.ipynb[2]', line)


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        (b'{}', 'it has no cells'),
        (b'[1]', 'expected an object with cells'),
        (b'{"cells": {}}', 'it has no cells'),
        (notebook('x', kernelspec={'language': 'R'}), "is a notebook in 'R', expected one in Python"),
    ],
)
def test_other_json(data, said):
    with pytest.raises(ValueError, match='a.ipynb') as error:
        read_notebook(data, 'a.ipynb')
    assert said in str(error.value)


@pytest.mark.parametrize(
    'cell',
    [
        None,
        3,
        {},
        {'cell_type': 'code'},
        {'cell_type': 'code', 'source': [1, None]},
        {'cell_type': 'code', 'source': 5},
    ],
)
def test_cells_of_other_shapes_are_passed(cell):
    data = json.dumps({'cells': [cell, {'cell_type': 'code', 'source': ['x = 1\n', 'y = 2']}]}).encode()
    assert [cell.file for cell in read_notebook(data, 'a.ipynb').cells] == ['a.ipynb[2]']


@pytest.mark.parametrize(
    ('install', 'version'),
    [
        ('keras==2.3.1', '2.3.1'),
        ('keras==3.15.1', '3.15.1'),
        ('tensorflow==1.15.0', '2'),
        ('tensorflow-gpu==2.4.1', '2.4'),
        ('tensorflow==2.18.0', None),
        ('tf_keras==2.16.0', '2.16.0'),
        ('keras', None),
        ('keras==3', None),
        ('keras>=2.0', None),
    ],
)
def test_version_of_what_is_installed(tmp_path, install, version):
    data = notebook(f'!pip install {install}', 'import keras\nm = keras.Sequential()\nm.compile(loss="mse")')
    (tmp_path / 'a.ipynb').write_bytes(data)
    assert read_source(tmp_path / 'a.ipynb').outputs[0].context.version == version


@pytest.mark.parametrize(('module', 'version'), [('keras', '2.3.1'), ('tensorflow.keras', '2.2')])
def test_the_keras_that_is_imported_decides(tmp_path, module, version):
    for packages in ('keras==2.3.1 tensorflow==2.2.0', 'tensorflow==2.2.0 "keras==2.3.1"'):
        data = notebook(
            f'!pip install {packages}', f'from {module} import Sequential\nSequential().compile(loss="mse")'
        )
        (tmp_path / 'a.ipynb').write_bytes(data)
        assert read_source(tmp_path / 'a.ipynb').outputs[0].context.version == version


def test_a_script_with_magics_is_read(tmp_path):
    (tmp_path / 'a.py').write_text(
        '!pip install keras==2.2.4\nimport keras\nm = keras.Sequential()\nm.compile(loss="mse")'
    )
    (output,) = read_source(tmp_path / 'a.py').outputs
    assert (output.context.version, output.place.line) == ('2.2.4', 4)
