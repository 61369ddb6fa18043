"""A study small enough for seconds: few scenes, few channels, two steps."""

import pytest

for module in ('torch', 'scipy', 'sklearn', 'PIL', 'matplotlib', 'jinja2'):
    pytest.importorskip(module)

from segparity.study import command
from segparity.study.settings import Settings

TINY = dict(iterations=2, batch=2, base_channels=2, train_scenes=3, test_scenes=2, annotators=3)


@pytest.fixture
def tiny():
    return Settings(**TINY)


@pytest.fixture
def study(monkeypatch, tmp_path, capsys):
    """Runs the command with tiny settings: words -> (exit code, what it printed)."""
    from segparity.cli import main

    monkeypatch.setattr(command, 'QUICK', TINY)

    def run(*words, out=tmp_path / 'study'):
        try:
            code = main(['study', 'soft-labels', '--quick', '--out', str(out), *words])
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run
