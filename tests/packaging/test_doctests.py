"""The examples in docstrings do what they show."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {'shared_spec': 'numpy', 'segparity': 'rich', 'mmseg_plugin': 'mmseg', 'keras_plugin': 'keras'}
WITH_EXAMPLES = {
    package: [str(f) for f in sorted((ROOT / package).rglob('*.py')) if '>>> ' in f.read_text(encoding='utf-8')]
    for package in NEEDS
}


@pytest.mark.parametrize('package', [package for package, files in WITH_EXAMPLES.items() if files])
def test_examples(package):
    """In a fresh process: a module must not settle this one's Keras backend."""
    if importlib.util.find_spec(NEEDS[package]) is None:
        pytest.skip(f'{NEEDS[package]} is not installed')
    backend = next((name for name in ('jax', 'tensorflow', 'torch') if importlib.util.find_spec(name)), 'numpy')
    plain = ('-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', '--rootdir', str(ROOT))
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--doctest-modules', *plain, *WITH_EXAMPLES[package]],
        cwd=ROOT,
        env={**os.environ, 'KERAS_BACKEND': backend, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
