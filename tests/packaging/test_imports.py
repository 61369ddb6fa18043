"""What an import loads: the spec loads NumPy only, the Keras world no PyTorch (of MMSegmentation's: tests/mmseg)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {
    'torch',
    'mmengine',
    'mmcv',
    'mmseg',
    'keras',
    'tensorflow',
    'jax',
    'scipy',
    'sklearn',
    'matplotlib',
    'pandas',
}


def loaded(statement, **environment):
    """Top-level modules that a fresh Python has loaded after ``statement``."""
    done = subprocess.run(
        [sys.executable, '-c', f'{statement}\nimport sys\nprint(*{{name.split(".")[0] for name in sys.modules}})'],
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3', **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return set(done.stdout.split())


@pytest.mark.parametrize('package', ['shared_spec', 'segparity'])
def test_no_framework(package):
    assert not loaded(f'import {package}') & FRAMEWORKS


def test_the_reference_computes_without_a_framework():
    statement = (
        'import numpy as np, shared_spec\n'
        'for name, spec in shared_spec.LOSSES.items():\n'
        '    if name != "WeightedSumLoss":\n'
        '        channels = 2 if "many" in spec.channels else 1\n'
        '        spec().reference(np.zeros((1, channels, 9, 9)), np.ones((1, 9, 9), int))'
    )
    assert not loaded(statement) & FRAMEWORKS


@pytest.mark.skipif(
    importlib.util.find_spec('keras') is None or importlib.util.find_spec('jax') is None,
    reason='Keras or JAX is not installed',
)
def test_the_keras_world_alone():
    others = {'torch', 'tensorflow', 'mmengine', 'mmseg', 'mmseg_plugin'}
    assert not loaded('import keras_plugin', KERAS_BACKEND='jax') & others
