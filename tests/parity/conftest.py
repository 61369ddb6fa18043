"""Checks of a user's data run in the workers of the suite, which are started once."""

import contextlib

import pytest

from segparity.parity import check, yours
from tests.support.frameworks import need, worker_of


@pytest.fixture
def shared_workers(monkeypatch):
    """Whatever starts a worker gets that of the suite."""

    @contextlib.contextmanager
    def kept(framework):
        need(framework)
        yield worker_of(framework)

    for module in (check, yours):
        monkeypatch.setattr(module, 'Worker', kept)
