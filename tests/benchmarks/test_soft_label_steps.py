"""``python -m benchmarks.soft_label_steps``: every recipe trains a step."""

import os
import subprocess
import sys

import pytest

from tests.support.frameworks import axis

pytestmark = pytest.mark.slow


def rows(*options, **environment):
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.soft_label_steps', '--side', '32', '--rounds', '1', *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [line.split('|')[1].strip() for line in done.stdout.splitlines() if line.startswith('| ')][1:]


def test_mmsegmentation():
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    found = rows()
    assert found[0] == 'class ids' and found[-1] == 'mean teacher' and len(found) == 9


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_keras(framework):
    found = rows('--keras', KERAS_BACKEND=framework.removeprefix('keras_'))
    assert found[0] == 'class ids' and 'distillation, recalibrated' in found and len(found) == 7
