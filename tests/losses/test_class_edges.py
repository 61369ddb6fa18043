"""The edges of classes, by their definition pixel by pixel: in NumPy, PyTorch and Keras, over lines of ignored pixels."""

import numpy as np
import pytest

from shared_spec.features import class_edges
from shared_spec.losses.boundary.inverse_form import boundaries
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

REACHES = (1, 2, 6)


def by_definition(label, reach):
    """A walk from every pixel along every axis, both ways, to the next pixel that counts."""
    found = np.zeros(label.shape, bool)
    for place in np.argwhere(label >= 0):
        for axis_, way in ((a, w) for a in range(1, label.ndim) for w in (1, -1)):
            other = place.copy()
            for _ in range(reach):
                other[axis_] += way
                if not 0 <= other[axis_] < label.shape[axis_]:
                    break
                if label[tuple(other)] >= 0:
                    found[tuple(place)] |= label[tuple(other)] != label[tuple(place)]
                    break
    return found


def maps(space, seed=0):
    """Ids of areas with many pixels that do not count between and within them, of one image none that does."""
    rng = np.random.default_rng(seed)
    label = np.where(rng.uniform(size=(4, *space)) < 0.5, -1, rng.integers(0, 3, (4, *space)))
    label[1], label[2] = -1, np.abs(label[2])
    return label


SPACES = [(11,), (9, 13), (4, 5, 6), (1, 7), (1, 1)]


@pytest.mark.parametrize('space', SPACES)
def test_class_edges_in_numpy(space):
    for reach in REACHES:
        want = by_definition(maps(space), reach)
        assert_same(class_edges(maps(space), reach), want, 'exact')
    assert max(space) < 9 or want.any()


@pytest.mark.parametrize('space', SPACES)
def test_class_edges_in_pytorch(space, monkeypatch):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import boundaries as room

    for eyes in ('open', 'shut'):
        if eyes == 'shut':
            monkeypatch.setattr(room, 'can_look', lambda *tensors: False)
        for label in (maps(space), np.abs(maps(space))):
            for reach in REACHES:
                assert_same(room.class_edges(torch.tensor(label), reach).numpy(), by_definition(label, reach), 'exact')


@pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow', 'keras_jax'))
def test_class_edges_in_keras(framework, worker):
    for space in SPACES:
        for reach in REACHES:
            _, got = worker.call('tests.losses.boundary_calls:edges', dict(label=maps(space)), reach=reach)
            assert_same(got['edges'], by_definition(maps(space), reach), 'exact', f'{space}, {reach}')


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'int64', 'uint64'])
def test_boundaries_of_ids_of_every_dtype(dtype):
    """A pixel that does not count is of no class, also where its number has no sign."""
    ids = np.array([[[0, 0, 255, 0], [1, 1, 255, 255]]], dtype)
    assert_same(boundaries(ids, ids != 255), np.array([[[1, 1, 0, 0], [1, 1, 0, 0]]], bool), 'exact')
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.boundaries import between_classes

    given = torch.tensor(ids.astype('int64' if dtype == 'uint64' else dtype))
    assert_same(between_classes(given, given != 255).numpy(), boundaries(ids, ids != 255), 'exact')
