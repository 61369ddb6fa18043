"""Which worlds run, with which backend, and what is said of the others."""

import pytest

from segparity.demo import worlds
from segparity.demo.settings import DemoError


@pytest.fixture
def only(monkeypatch):
    """Pretend that only these modules are installed."""

    def pretend(*modules):
        monkeypatch.setattr(worlds, 'installed', lambda module: module in modules)

    monkeypatch.delenv('KERAS_BACKEND', raising=False)
    return pretend


MMSEG = ('torch', 'mmengine', 'mmcv', 'mmseg')


@pytest.mark.parametrize(
    'found, backend',
    [
        (('torch', 'jax', 'tensorflow'), 'torch'),
        (('jax', 'tensorflow'), 'jax'),
        (('tensorflow',), 'tensorflow'),
        ((), None),
    ],
    ids=['all', 'no_torch', 'tensorflow', 'none'],
)
def test_the_fastest_backend_installed_is_taken(only, found, backend):
    only(*found)
    assert worlds.keras_backend() == backend


def test_keras_backend_overrides(only, monkeypatch):
    only('keras', *worlds.BACKENDS)
    monkeypatch.setenv('KERAS_BACKEND', 'jax')
    assert worlds.keras_world().backend == 'jax' and worlds.keras_world().long_title == 'Keras (JAX)'


def test_a_backend_that_cannot_train_is_refused(only, monkeypatch):
    monkeypatch.setenv('KERAS_BACKEND', 'numpy')
    with pytest.raises(DemoError, match='KERAS_BACKEND=numpy cannot train'):
        worlds.keras_backend()


def test_a_backend_asked_for_but_missing_is_named_with_its_command(only, monkeypatch):
    only('keras', 'torch')
    monkeypatch.setenv('KERAS_BACKEND', 'jax')
    world = worlds.keras_world()
    assert world.missing == ('jax',)
    assert world.sentence == "Keras did not run, because jax is not installed: pip install 'segparity[keras,jax,demo]'"


def test_one_world_is_enough(only):
    only('keras', 'jax')
    mmseg, keras = worlds.find_worlds(('mmseg', 'keras'))
    assert keras.runs and not mmseg.runs
    assert mmseg.sentence == (
        'MMSegmentation did not run, because torch, mmengine, mmcv and mmseg are not installed: '
        "pip install 'segparity[mmseg,mmcv-lite,demo]'"
    )


def test_no_world_is_an_error_with_both_commands(only):
    only()
    with pytest.raises(DemoError) as caught:
        worlds.find_worlds(('mmseg', 'keras'))
    assert str(caught.value).count('pip install') == 2


def test_a_world_left_out_is_not_called_missing(only):
    only('keras', *MMSEG)
    mmseg, keras = worlds.find_worlds(('mmseg',))
    assert mmseg.runs and not keras.runs and keras.sentence == 'Keras was left out; without --worlds both run.'


def test_another_backend_is_another_result(only, monkeypatch):
    only('keras', *worlds.BACKENDS)
    first = worlds.keras_world().fingerprint('plan')
    assert worlds.keras_world().fingerprint('plan') == first != worlds.keras_world().fingerprint('other plan')
    monkeypatch.setenv('KERAS_BACKEND', 'jax')
    assert worlds.keras_world().fingerprint('plan') != first
