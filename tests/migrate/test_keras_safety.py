"""Reading loads no framework, runs nothing, and ends on what is large, deep or tangled."""

import subprocess
import sys
from pathlib import Path

import pytest

from segparity.migrate.reading import read_source
from tests.support.ending import must_end

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / 'corpus' / 'keras'

LOADED = """
import sys
from segparity.migrate.reading import read_source
for path in sys.argv[1:]:
    try:
        read_source(path)
    except ValueError:
        pass
frameworks = {'torch', 'tensorflow', 'keras', 'jax', 'mmseg', 'mmengine', 'keras_plugin', 'mmseg_plugin', 'h5py', 'pickle5'}
print(sorted(frameworks & set(sys.modules)))
"""


def test_no_framework_is_loaded():
    words = [sys.executable, '-c', LOADED, *map(str, sorted(CORPUS.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ('[]', '')


EVIL = """
import os
open({marker!r}, 'w').write('run')
os.system('touch ' + {marker!r})
__import__('pathlib').Path({marker!r}).touch()
exec("open({marker!r}, 'w')")
class Meta(type):
    def __new__(cls, *args):
        open({marker!r}, 'w')
@open({marker!r}, 'w').write
def dice_loss(y_true, y_pred, x=open({marker!r}, 'w')):
    open({marker!r}, 'w')
    return y_true
class Loss(metaclass=Meta):
    here = open({marker!r}, 'w')
import keras
model = keras.Sequential([keras.layers.Lambda(lambda x: open({marker!r}, 'w'))])
model.compile(loss=dice_loss, metrics=[eval("open({marker!r}, 'w')")])
"""


def test_nothing_of_a_script_runs(tmp_path):
    marker = tmp_path / 'marker'
    (tmp_path / 'a.py').write_text(EVIL.format(marker=str(marker)))
    (output,) = read_source(tmp_path / 'a.py').outputs
    assert output.losses[0].name == 'dice_loss'
    assert not marker.exists()


NEST = '(' * 90 + '1' + ')' * 90
HOSTILE = {
    'sum': 'x = a' + ' + a' * 20_000,
    'attributes': 'x = a' + '.b' * 5_000,
    'brackets': f'x = {NEST}',
    'calls': 'x = f' + '(1)' * 3_000,
    'unary': 'x = ' + 'not ' * 3_000 + '1',
    'deep_if': ''.join(f'{" " * k}if a:\n' for k in range(90)) + ' ' * 90 + 'pass',
    'power': 'x = 9 ** 9 ** 9 ** 9',
    'text': 'x = "a" * 10 ** 12\ny = x * 10',
    'lists': 'x = [0]\n' + 'x = [x, x, x, x]\n' * 400,
    'loops': 'for i in range(10 ** 9):\n  for j in range(10 ** 9):\n    x = i',
    'recursion': 'def f(x):\n  return f(x) + f(x)\nf(1)\nmodel.compile(loss=f(2))',
    'mutual': ''.join(f'def f{k}(a, b):\n  return f{k + 1}(a, b) + f{k + 1}(a, b)\n' for k in range(60)) + 'm.compile(loss=f0)',
    'compiles': 'def a(n):\n  a(n); a(n)\n  m.compile(loss="mse")\n' + 'a(1)\n' * 300,
    'layers': 'x = i\n' + ''.join('x = keras.layers.Add()([x, x])\n' for _ in range(3_000)) + 'm = keras.Model(i, x)\nm.compile(loss="mse")',
    'functions': ''.join(f'def f{k}(x):\n  return f{k + 1}(f{k + 1}(x))\n' for k in range(200)) + 'm = f0(1)\nm.compile(loss="mse")',
    'weights': 'm.compile(loss=' + '2 * (' * 80 + 'sm.losses.DiceLoss()' + ')' * 80 + ')',
    'many': 'm.compile(loss="mse", metrics=["acc"])\n' * 2_000,
    'wide': 'm.compile(loss=[' + '"mse", ' * 20_000 + '])',
    'keys': 'm.compile(loss={' + ''.join(f'"{k}": "mse", ' for k in range(5_000)) + '})',
    'nested': 'm.compile(loss=' + '[' * 60 + '"mse"' + ']' * 60 + ')',
}  # fmt: skip


LONG = ('compiles', 'wide', 'many')  # seconds each


@pytest.mark.parametrize('name', [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in HOSTILE])
def test_hostile_scripts_end(tmp_path, name):
    (tmp_path / 'a.py').write_text('import keras, segmentation_models as sm\n' + HOSTILE[name])
    with must_end():
        try:
            read_source(tmp_path / 'a.py')
        except ValueError as error:
            assert '\n' not in str(error)


def test_a_script_that_is_too_large_is_refused(tmp_path):
    (tmp_path / 'a.py').write_text('x = 1\n' * 800_000)
    with pytest.raises(ValueError, match=r'has more than 4 MiB|larger than a source'):
        read_source(tmp_path / 'a.py')


def test_a_notebook_with_many_cells_ends(tmp_path):
    cells = ','.join(
        '{"cell_type": "code", "source": "for i in range(60):\\n x = [i for j in range(60)]"}' for _ in range(1000)
    )
    (tmp_path / 'a.ipynb').write_text(f'{{"cells": [{cells}], "nbformat": 4}}')
    with must_end():
        source = read_source(tmp_path / 'a.ipynb')
    assert sum('takes too long' in unread.reason for unread in source.unread) == 1


@pytest.mark.slow
def test_damaged_sources_in_great_number(tmp_path):
    """The fuzzer for a moment; ``python -m benchmarks.fuzz_readers --target keras`` takes longer."""
    words = [sys.executable, '-m', 'benchmarks.fuzz_readers', '--target', 'keras', '--count', '600', '--seed', '3']
    done = subprocess.run([*words, '--out', str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '600 inputs of seed 3 (keras)' in done.stdout
