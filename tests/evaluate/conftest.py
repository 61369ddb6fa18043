"""These tests write images, and leave the caches of whoever runs them alone."""

import pytest

pytest.importorskip('PIL', reason='needs Pillow')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / 'cache'
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder))
    return folder


@pytest.fixture
def touch(tmp_path):
    """Makes empty files of these names, and their folders; returns the folder that they are in."""

    def touch(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return touch
