"""These tests write images, and leave the caches of whoever runs them alone."""

import pytest

pytest.importorskip('PIL', reason='needs Pillow')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / 'cache'
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder))
    return folder
