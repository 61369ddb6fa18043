"""examples/keras_soft_labels.py: every recipe runs, and prints its metrics beside those of hard labels."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVERY = ('smoothing', 'boundary', 'annotators', 'distillation', 'mean_teacher')


def run(*arguments, backend='torch'):
    for name in ('keras', backend, 'sklearn'):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f'needs {name}')
    environment = dict(os.environ, KERAS_BACKEND=backend, CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    command = [sys.executable, 'examples/keras_soft_labels.py', *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['torch', 'tensorflow', 'jax'])
@pytest.mark.parametrize('recipe', EVERY)
def test_a_recipe_runs(recipe, backend):
    done = run('--recipe', recipe, '--steps', '4', '--scenes', '16', backend=backend)
    assert done.returncode == 0, done.stderr
    first, *rows = [line.split() for line in done.stdout.splitlines() if line]
    assert first == ['mIoUD', 'mIoUI', 'mIoUC'] and rows[1][0] == recipe
    for row in rows:
        assert all(0 < float(number) < 100 for number in row[-3:])


@pytest.mark.slow
def test_what_it_refuses():
    done = run('--steps', '0')
    assert done.returncode == 2 and done.stderr.endswith('error: --steps must be 1 or more, --scenes 8 or more\n')
