"""Keras on PyTorch, the model in DistributedDataParallel: two processes over gloo against one."""

import importlib.util

import numpy as np
import pytest

from tests.distributed.cases import cases
from tests.distributed.launch import torchrun
from tests.support.assertions import assert_same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(importlib.util.find_spec, ('torch', 'keras'))), reason='needs PyTorch and Keras'),
    pytest.mark.xdist_group('keras_torchrun'),
]


NAMES = [name for name, case in cases().items() if case.mode in ('', 'more', 'unsynced')]


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    """What each rank wrote."""
    folder = tmp_path_factory.mktemp('ranks')
    torchrun('keras_ranks.py', 2, folder, *NAMES, KERAS_BACKEND='torch')
    return [dict(np.load(folder / f'{rank}.npz')) for rank in range(2)]


@pytest.mark.parametrize('name', NAMES)
def test_two_uneven_ranks_train_as_one_process(ranks, name):
    """And drift without sync."""
    one = ranks[0][f'{name}/one']
    scale = np.abs(one[1:]).max()
    for rank in ranks:
        two = rank[f'{name}/two']
        if cases()[name].mode == 'unsynced':
            assert np.abs(two - one)[1:].max() > 0.01 * scale
        else:
            assert_same(two[0], one[0], 'float64', name)
            assert_same(two[1:], one[1:], 'float64', name, scale=scale)
