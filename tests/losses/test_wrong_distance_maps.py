"""Maps of distances that are another loss's, another image's or none: a sentence where it can be seen, else NaN."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.test_distance_maps import random_inputs
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

EAGER = pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow', 'keras_jax'))
SURFACE, BOUNDARY, RECTIFIED = ('SurfaceLoss', {}), ('RegionWiseLoss', dict(map='boundary')), ('RegionWiseLoss', {})
PHI, FIELD = ('DistanceMapCrossEntropyLoss', {}), ('HausdorffDistanceLoss', {})
FIELD_OF_REGIONS = ('DistanceMapCrossEntropyLoss', dict(spacing=[1.0, 0.7]))
EDGES = ('ActiveBoundaryLoss', dict(max_boundary_ratio=0.3))
SPACED = ('SurfaceLoss', dict(spacing=[0.5, 0.3]))
# a loss, and what its map becomes: that of another loss, or its own with one number that none has where a pixel counts
WRONG = [
    (SURFACE, FIELD), (SPACED, FIELD), (SURFACE, math.inf), (SURFACE, -math.inf),
    (BOUNDARY, RECTIFIED), (BOUNDARY, FIELD), (BOUNDARY, math.inf),
    (RECTIFIED, BOUNDARY), (RECTIFIED, FIELD), (RECTIFIED, 1.5), (RECTIFIED, -1.5),
    (PHI, 1.5), (PHI, -0.1), (PHI, math.inf), (PHI, math.nan),
    (FIELD, SURFACE), (FIELD, BOUNDARY), (FIELD, math.inf),
    (EDGES, FIELD_OF_REGIONS), (EDGES, 1.5), (EDGES, -1.0), (EDGES, math.nan),
]  # fmt: skip


def name_of(case):
    return '_'.join(
        str(x) for x in (case[0][0], *case[0][1].values(), case[1][0] if isinstance(case[1], tuple) else case[1])
    )


def maps_of(loss, y, classes=3):
    spec = LOSSES[loss[0]](ignore_index=9, **loss[1])
    return np.stack([spec.distance_map(one, classes, dtype=np.float64) for one in y])


def wrong_maps(case, y, classes=3):
    """The loss's maps, and the same with what is wrong at ignored pixels alone and at one that counts, or all over."""
    loss, wrong = case
    own = maps_of(loss, y, classes)
    at = np.argwhere(y != 9)[-1]
    if isinstance(wrong, tuple):
        other = np.broadcast_to(maps_of(wrong, y, classes), own.shape)
        return own, np.where((y == 9)[:, None], other, own), other
    bad = own.copy()
    bad[at[0], -1, at[1], at[2]] = wrong
    return own, np.where((y == 9)[:, None], wrong, own), bad


@pytest.mark.parametrize('case', WRONG, ids=name_of)
def test_a_wrong_map_given_to_the_reference_and_to_pytorch_is_nan(case, monkeypatch):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import losses
    from mmseg_plugin.losses.boundary import maps as of_pytorch

    z, y = random_inputs()
    (name, params), (own, harmless, wrong) = case[0], wrong_maps(case, y)
    spec, module = LOSSES[name](ignore_index=9, **params), getattr(losses, name)(ignore_index=9, **params)
    want, pred = spec.reference(z, y), torch.tensor(z, requires_grad=True)
    for given in (own, harmless):
        assert_same(spec.reference(z, y, distance_map=given), want, 'float64')
        assert_same(module(pred, torch.tensor(y), distance_map=torch.tensor(given)).detach(), want, 'float64')
    assert math.isnan(spec.reference(z, y, distance_map=wrong))
    one_hot = np.moveaxis(np.eye(3, dtype=int)[np.where(y == 9, 0, y)], -1, 1)
    counts = torch.tensor((y != 9).astype(float))
    for unseen in (False, True):
        if unseen:
            monkeypatch.setattr(of_pytorch, 'can_look', lambda *x: False)
        assert_same(module(pred, torch.tensor(y), distance_map=torch.tensor(own)).detach(), want, 'float64')
        value = module(pred, torch.tensor(y), distance_map=torch.tensor(wrong))
        assert value.isnan() and torch.autograd.grad(value, pred)[0].isnan().any()
        assert module(pred, torch.tensor(y), distance_map=torch.tensor(wrong).float()).isnan()
        assert module(pred, torch.tensor(one_hot), counts, distance_map=torch.tensor(wrong)).isnan()


@pytest.mark.parametrize('case', [WRONG[0], WRONG[4], WRONG[8], WRONG[15]], ids=name_of)
def test_a_wrong_map_of_one_channel_and_of_independent_channels_is_nan(case):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import losses

    z, y = random_inputs()
    name, params = case[0]
    for channels, activation in ((1, 'softmax'), (3, 'sigmoid')):
        target = np.where(y == 2, 1, y) if channels == 1 else y
        own, harmless, wrong = wrong_maps(case, target, channels)
        options = dict(ignore_index=9, activation=activation, **params)
        spec, module = LOSSES[name](**options), getattr(losses, name)(**options)
        pred, ids = torch.tensor(z[:, :channels]), torch.tensor(target)
        want = spec.reference(z[:, :channels], target)
        for given in (own, harmless):
            assert_same(spec.reference(z[:, :channels], target, distance_map=given), want, 'float64')
            assert_same(module(pred, ids, distance_map=torch.tensor(given)), want, 'float64')
        assert math.isnan(spec.reference(z[:, :channels], target, distance_map=wrong))
        assert module(pred, ids, distance_map=torch.tensor(wrong)).isnan()


def test_a_surface_map_of_the_image_before_a_flip_is_nan():
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import SurfaceLoss

    z, y = random_inputs()
    maps = torch.tensor(maps_of(SURFACE, y))
    assert SurfaceLoss(ignore_index=9)(torch.tensor(z), torch.tensor(y[..., ::-1].copy()), distance_map=maps).isnan()


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize(
    'loss', [SURFACE, SPACED, BOUNDARY, RECTIFIED, PHI, FIELD], ids=lambda loss: '_'.join(map(str, loss))
)
def test_rounded_maps_are_no_wrong_ones(loss, dtype):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import losses

    z, y = random_inputs(space=(40, 37))
    maps, (name, params) = torch.tensor(maps_of(loss, y)).to(getattr(torch, dtype)), loss
    found = getattr(losses, name)(ignore_index=9, **params)(torch.tensor(z), torch.tensor(y), distance_map=maps)
    assert abs(found.item() - LOSSES[name](ignore_index=9, **params).reference(z, y)) < 0.02 * max(1, abs(found.item()))


KERAS_CASES = [WRONG[k] for k in (0, 2, 4, 9, 11, 17)]


def keras_arrays(case):
    z, y = random_inputs()
    maps = zip(('map_own', 'map_harmless', 'map_wrong'), wrong_maps(case, y))
    arrays = {name: np.moveaxis(x, 1, -1).astype(np.float32) for name, x in maps}
    return dict(arrays, z=np.moveaxis(z, 1, -1).astype(np.float32), y=y)


@pytest.mark.slow_on('keras_tensorflow')
@EAGER
@pytest.mark.parametrize('case', KERAS_CASES, ids=name_of)
def test_a_wrong_map_given_to_keras_is_nan(case, framework, worker):
    check_keras(case, worker, compiled=False)


@pytest.mark.slow_on('keras_torch', 'keras_tensorflow')
@EAGER
@pytest.mark.parametrize('case', [KERAS_CASES[0]], ids=name_of)
def test_a_wrong_map_given_to_compiled_keras_is_nan(case, framework, worker):
    check_keras(case, worker, compiled=True)


@pytest.mark.slow
@EAGER
@pytest.mark.parametrize('case', KERAS_CASES[1:], ids=name_of)
def test_more_wrong_maps_given_to_compiled_keras_are_nan(case, framework, worker):
    check_keras(case, worker, compiled=True)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_jax', 'keras_tensorflow'))
def test_a_wrong_surface_map_of_a_class_that_no_image_has_is_nan_in_compiled_keras(framework, worker):
    z, y = random_inputs()
    y = np.where(y == 2, 1, y)
    maps = np.moveaxis(maps_of(SURFACE, y), 1, -1).astype(np.float32)
    maps[0, -1, -1, 2] = np.inf
    arrays = dict(z=np.moveaxis(z, 1, -1).astype(np.float32), y=y, map_wrong=maps)
    loss = dict(type='SurfaceLoss', from_logits=True, ignore_class=9, classes='present')
    assert np.isnan(
        worker.call('tests.losses.distance_calls:of_maps', arrays, loss=loss, compiled=True)[1]['map_wrong']
    )


def check_keras(case, worker, compiled):
    name, params = case[0]
    arrays, want = keras_arrays(case), LOSSES[name](ignore_index=9, **params).reference(*random_inputs())
    loss = dict(type=name, from_logits=True, ignore_class=9, **params)
    _, got = worker.call('tests.losses.distance_calls:of_maps', arrays, loss=loss, compiled=compiled)
    assert_same(got['map_own'], want, 'float32')
    assert_same(got['map_harmless'], want, 'float32')
    assert np.isnan(got['map_wrong'])


PACKERS = {
    'own': dict(type='SurfaceLoss', ignore_class=9),
    'ones': dict(type='SurfaceLoss', ignore_class=9, spacing=[1, 1]),
    'kind': dict(type='RegionWiseLoss', ignore_class=9, map='boundary'),
    'spacing': dict(type='SurfaceLoss', ignore_class=9, spacing=[1, 1.0000001]),
    'ignored': dict(type='SurfaceLoss', ignore_class=None),
    'across': dict(type='SurfaceLoss', ignore_class=9, way='at_once'),
    'half': dict(type='SurfaceLoss', ignore_class=9, dtype='float16'),
    'brain': dict(type='SurfaceLoss', ignore_class=9, dtype='bfloat16'),
    'half_kind': dict(type='RegionWiseLoss', ignore_class=9, map='boundary', dtype='float16'),
    'before': dict(type='SurfaceLoss', ignore_class=9, way='marked_as_before'),
}
MISSHAPEN = {
    'classes': dict(type='SurfaceLoss', ignore_class=9, num_classes=4),
    'channels': dict(type='DistanceMapCrossEntropyLoss', ignore_class=9),
    'one_hot': dict(type='SurfaceLoss', ignore_class=9, way='one_hot'),
}


def packed_calls(worker, compiled=False):
    z, y = random_inputs()
    y = np.where(y == 9, 0, y)  # so that each of them can pack it
    arrays = dict(z=np.moveaxis(z, 1, -1).astype(np.float32), y=y)
    packers = {**PACKERS, **MISSHAPEN}
    found, _ = worker.call('tests.losses.distance_calls:of_packed', arrays, packers=packers, compiled=compiled)
    for name in ('own', 'ones', 'before'):
        assert_same(np.float64(found[name]), found['made'], 'float32')
    for name in ('half', 'brain'):
        assert abs(found[name] - found['made']) < 0.02 * max(1, abs(found['made']))
    assert 'have 5 channels for the 3 of pred, got (2, 7, 6, 6) with pred (2, 7, 6, 3)' in found['classes']
    return found


@pytest.mark.slow_on('keras_tensorflow')
@EAGER
def test_labels_packed_for_another_surface_loss_are_refused(framework, worker):
    found = packed_calls(worker)
    for name in ('kind', 'half_kind', 'spacing', 'ignored'):
        assert found[name] == (
            'ValueError: SurfaceLoss: labels are packed with another map of distances than this loss takes (signed, '
            'spacing=None, ignore_class=9, 2 spatial axes): give DistanceMaps this loss'
        )
    assert 'ValueError: SurfaceLoss: labels are packed with distances across images' in found['across']
    assert 'SurfaceLoss: packed labels must have 5 channels for the 3 of pred, got (2, 7, 6, 3)' in found['channels']
    assert 'SurfaceLoss: packed labels must have as many axes as pred, got (2, 7, 6, 3, 5)' in found['one_hot']


@pytest.mark.slow
@pytest.mark.slow_on('keras_torch', 'keras_tensorflow')
@EAGER
def test_labels_packed_for_another_surface_loss_are_nan_in_a_compiled_step(framework, worker):
    found = packed_calls(worker, compiled=True)
    assert all(math.isnan(found[name]) for name in ('kind', 'half_kind', 'spacing', 'ignored', 'across'))
    assert all('SurfaceLoss: ' in found[name] for name in MISSHAPEN)  # TensorFlow says more


def test_a_wrong_map_of_active_boundaries_is_nan_in_every_gradient():
    """Also where no boundary is predicted, so that nothing of the map has a part in the loss."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin import losses

    z, y = torch.zeros(1, 2, 16, 16, requires_grad=True), torch.zeros(1, 16, 16, dtype=torch.long)
    y[..., :8] = 1
    value = losses.ActiveBoundaryLoss()(z, y, distance_map=torch.full((1, 1, 16, 16), math.nan))
    assert value.isnan() and torch.autograd.grad(value, z)[0].isnan().all()


def test_a_map_of_active_boundaries_is_one_of_a_picture():
    loss = LOSSES['ActiveBoundaryLoss']()
    for labels in (np.zeros(5, int), np.zeros((2, 5, 5), int)):
        with pytest.raises(ValueError, match='ActiveBoundaryLoss: labels must be class ids of one image with 2 axes'):
            loss.distance_map(labels, 2)
    with pytest.raises(ValueError, match='dimensions must be 2, the axes of an image of ActiveBoundaryLoss, got 3'):
        loss.distance_map(np.zeros((2, 5, 5), int), 2, dimensions=3)
    with pytest.raises(ValueError, match='ActiveBoundaryLoss: spacing must be a list of 2 numbers'):
        LOSSES['ActiveBoundaryLoss'](spacing=[1.0, 1.0, 1.0])
