"""What a run takes, by its ``-m``."""

import pytest

from tests.support import selection

NONE, SLOW, GPU = (), (pytest.mark.slow,), (pytest.mark.gpu, pytest.mark.xdist_group('a'))


@pytest.mark.parametrize(
    'expression, want',
    [
        ('not slow and not gpu', (True, False, False)),
        ('not gpu', (True, True, False)),
        ('gpu', (True, True, True)),
        ('slow and not gpu', (True, True, False)),
        ('', (True, True, True)),
        ('(not slow) and not gpu', (True, False, False)),
        ('not (slow or gpu)', (True, True, True)),
        ('slow or not slow', (True, True, True)),
    ],
)
def test_wants(expression, want, monkeypatch):
    monkeypatch.setattr(selection, '_taken', dict(selection._taken))
    selection.choose(expression)
    assert tuple(map(selection.wants, (NONE, SLOW, GPU))) == want
