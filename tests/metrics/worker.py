"""Runs a module of these tests in a process of its own: ``python worker.py tests.metrics.keras_worker ...``.

MMSegmentation installs a package that is named ``tests`` too; here the name means this checkout's.
"""

import runpy
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == '__main__':
    sys.path[0] = str(ROOT)
    package = types.ModuleType('tests')
    package.__path__ = [str(ROOT / 'tests')]
    sys.modules['tests'] = package
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
