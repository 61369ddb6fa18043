"""A tiny demo folder, made once: few scenes, few channels, no training."""

import pytest

pytest.importorskip('sklearn')
pytest.importorskip('PIL')

from segparity.demo import dataset, network
from segparity.demo.settings import MARKER, Settings, write_json

SMALL = Settings(train_scenes=12, val_scenes=5, base_channels=4, iterations=4, batch=3, val_every=2)


@pytest.fixture(scope='session')
def small():
    return SMALL


@pytest.fixture(scope='session')
def written(tmp_path_factory):
    """The folder with data and plan; tests that write take a copy."""
    out = tmp_path_factory.mktemp('demo')
    write_json(out / MARKER, {'settings': SMALL.to_dict()})
    dataset.write_data(out, SMALL)
    network.write_plan(out, SMALL)
    return out
