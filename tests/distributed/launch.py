"""Starts a script of this folder in several processes with torchrun."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun(script, processes, *arguments, **environment):
    """Waits for ``processes`` of ``script``; fails with what they said."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}']
    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    done = subprocess.run(
        [*command, Path(__file__).with_name(script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1', **environment),
    )
    assert done.returncode == 0, done.stderr[-4000:]
