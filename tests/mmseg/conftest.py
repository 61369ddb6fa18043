"""Fixtures of the tests that run inside MMSegmentation."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

for host in ('torch', 'mmengine', 'mmcv', 'mmseg'):
    pytest.importorskip(host, reason=f"{host} is not installed: pip install -e '.[mmseg,mmcv-lite]'")


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
    import mmseg_plugin  # noqa: F401  mmcv is usable from here on
    from tests.mmseg.tiny_training import write_pictures

    return write_pictures(tmp_path_factory.mktemp('pictures'))


@pytest.fixture
def train():
    """Runs a config dict through MMSegmentation's Runner in this process; returns the runner."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    import mmseg_plugin  # noqa: F401

    def run(config):
        runner = Runner.from_cfg(Config(dict(config, experiment_name=uuid.uuid4().hex)))
        runner.train()
        return runner

    return run


@pytest.fixture(scope='session')
def python():
    """Runs a fresh Python with one thread per process and the checkout in front; returns what it printed."""

    def run(*arguments, fails=False, timeout=300, cwd=None, path=ROOT):
        environment = dict(os.environ, PYTHONPATH=str(path), OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert bool(done.returncode) == fails, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stderr if fails else done.stdout

    return run
