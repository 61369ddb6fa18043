"""Distance maps: exact in every world, guarded, given or made; the losses that multiply with them by hand and by laws."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES, distance, quick_distance
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

SPACES = [((7, 9), None), ((7, 9), [2.0, 0.5]), ((6, 5), [3.0, 3.0]), ((3, 4, 5), None), ((3, 4, 5), [1.0, 0.5, 2.0])]
SPACED = pytest.mark.parametrize(('space', 'spacing'), SPACES)
MAPPED = [
    ('SurfaceLoss', {}),
    ('SurfaceLoss', dict(spacing=[2.0, 0.5], classes=[1, 2])),
    ('RegionWiseLoss', {}),
    ('RegionWiseLoss', dict(map='boundary')),
    ('DistanceMapCrossEntropyLoss', {}),
    ('DistanceMapCrossEntropyLoss', dict(regions='classes')),
    ('HausdorffDistanceLoss', {}),
    ('HausdorffDistanceLoss', dict(spacing=[2.0, 0.5], alpha=1.0)),
]


OF_AREAS = ('ActiveBoundaryLoss', dict(max_boundary_ratio=0.4))


def masks(space, seed=0):
    """(2, 4, *space): a few marks, many, none and all."""
    rng = np.random.default_rng(seed)
    marks = [rng.random((2, *space)) < share for share in (0.05, 0.4, -1, 2)]
    return np.stack(marks, 1)


def by_pairs(mask, spacing):
    """The distance of every pixel to the nearest mark, over all pairs; 0 without one."""
    if not mask.any():
        return np.zeros(mask.shape)
    steps = np.ones(mask.ndim) if spacing is None else np.array(spacing)
    pixels = np.argwhere(np.ones_like(mask)) * steps
    far = np.linalg.norm(pixels[:, None] - (np.argwhere(mask) * steps)[None], axis=-1)
    return far.min(1).reshape(mask.shape)


def all_by_pairs(found, spacing):
    return np.stack([[by_pairs(mask, spacing) for mask in image] for image in found])


@SPACED
def test_distances_of_the_reference_and_the_quick_ones(space, spacing):
    for mask in masks(space)[0]:
        want = by_pairs(mask, spacing)
        assert_same(distance.distance_to(mask, spacing), want, 'float64')
        assert_same(quick_distance.quick_distance_to(mask, spacing, np.float64), want, 'float64')
        assert_same(quick_distance.quick_distance_to(mask, spacing), want, 'float32')


@SPACED
def test_distances_in_pytorch_on_the_host_and_by_tensors(space, spacing, monkeypatch):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import distance as ours

    found, steps = masks(space), tuple(spacing or (1.0,) * len(space))
    given, want = torch.tensor(found), all_by_pairs(found, spacing)
    assert_same(ours.distance_to(given, spacing, torch.float64).numpy(), want, 'float64')
    flat = given.flatten(0, 1)
    for numbers in (2**26, 1):  # in one block, and one sum at a time
        monkeypatch.setattr(ours, 'NUMBERS', numbers)
        by_tensors = ours.by_tensors(flat, steps, torch.float64).numpy().reshape(want.shape)
        assert_same(by_tensors, want, 'float64')


def test_distances_on_a_device_never_reach_the_host(monkeypatch):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import distance as ours

    monkeypatch.setattr(ours, 'on_host', None)
    found = ours.distance_to(torch.ones(1, 1, 4, 4, dtype=torch.bool, device='meta'), None, torch.float32)
    assert found.shape == (1, 1, 4, 4) and found.device.type == 'meta'


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
@pytest.mark.parametrize(('space', 'spacing'), SPACES[1:4:2])
def test_distances_in_keras(framework, worker, space, spacing):
    found = masks(space)
    given = dict(masks=np.moveaxis(found, 1, -1))
    want = np.moveaxis(all_by_pairs(found, spacing), 1, -1)
    ways = {'keras_tensorflow': [(False, False), (True, True), (True, False)], 'keras_jax': [(True, False)]}
    for compiled, unknown in ways.get(framework, [(False, False)]):
        options = dict(spacing=spacing, compiled=compiled, unknown=unknown)
        _, got = worker.call('tests.losses.distance_calls:distances', given, **options)
        assert_same(got['distance'], want, 'float32')


def test_distances_by_edt_where_it_is_installed():
    pytest.importorskip('edt')
    for space, spacing in SPACES:
        for mask in masks(space)[0]:
            assert_same(quick_distance.quick_distance_to(mask, spacing), by_pairs(mask, spacing), 'float32')


def test_distances_without_scipy_and_opencv_are_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'scipy.ndimage', None)
    monkeypatch.setattr(quick_distance.importlib.util, 'find_spec', lambda name: None)
    mask = np.eye(3, dtype=bool)
    for make in (distance.distance_to, quick_distance.quick_distance_to):
        with pytest.raises(ImportError, match=r"pip install 'segparity\[distance\]', or give distance_map"):
            make(mask)


# the losses by hand: labels 0 0 0 1 1, probabilities of class 1
LINE, Q1 = np.array([[0, 0, 0, 1, 1]]), np.array([0.1, 0.2, 0.4, 0.7, 0.8])
Q = np.stack([1 - Q1, Q1])[None]


def loss(name, pred=Q, target=LINE, pixel_weight=None, **params):
    call = dict(distance_map=params.pop('distance_map')) if 'distance_map' in params else {}
    return LOSSES[name](from_logits=False, **params).reference(pred, target, pixel_weight, **call)


def test_surface_by_hand():
    phi1 = np.array([3, 2, 1, 0, -1])  # d outside, -(d - 1) inside
    phi0 = np.array([-2, -1, 0, 1, 2])
    want1, want0 = (Q1 * phi1).mean(), ((1 - Q1) * phi0).mean()
    assert_same(loss('SurfaceLoss', classes=[1]), want1, 'float64')
    assert_same(loss('SurfaceLoss'), (want0 + want1) / 2, 'float64')
    assert_same(loss('SurfaceLoss', classes=[1], spacing=[2]), (Q1 * [6, 4, 2, -1, -3]).mean(), 'float64')
    image_of_one = np.concatenate([LINE, 0 * LINE])  # whose class 1 is absent
    both = np.concatenate([Q, Q])
    assert_same(loss('SurfaceLoss', both, image_of_one, classes=[1]), want1 / 2, 'float64')
    assert_same(loss('SurfaceLoss', both, image_of_one, classes='present'), (want0 + want1) / 3, 'float64')


def test_region_wise_by_hand():
    boundary, rectified = np.array([3, 2, 1, -1, -2]), np.array([1, 1, 1, -0.5, -1])
    assert_same(loss('RegionWiseLoss', classes=[1], map='boundary'), (Q1 * boundary).mean(), 'float64')
    assert_same(loss('RegionWiseLoss', classes=[1]), (Q1 * rectified).mean(), 'float64')
    assert_same(loss('RegionWiseLoss', target=0 * LINE, classes=[1]), Q1.mean(), 'float64')  # absent
    assert_same(loss('RegionWiseLoss', target=0 * LINE, classes=[0]), -(1 - Q1).mean(), 'float64')  # everywhere
    assert loss('RegionWiseLoss', target=0 * LINE, map='boundary') == 0.0


def test_distance_map_cross_entropy_by_hand():
    own = -np.log(np.where(LINE[0], Q1, 1 - Q1))
    phi = np.array([0, 0.5, 1, 1, 0])  # (3 - d) / 2 of the background, (2 - d) / 1 of the foreground
    assert_same(loss('DistanceMapCrossEntropyLoss'), ((1 + phi) * own).mean(), 'float64')
    assert_same(loss('DistanceMapCrossEntropyLoss', target=0 * LINE), -np.log(1 - Q1).mean(), 'float64')  # no border
    three, label = np.full((1, 3, 4), 1 / 3), np.array([[0, 1, 2, 2]])
    for regions, phi in (('foreground', [0, 1, 0.5, 0]), ('classes', [0, 0, 1, 0])):
        got = loss('DistanceMapCrossEntropyLoss', three, label, regions=regions)
        assert_same(got, (1 + np.mean(phi)) * math.log(3), 'float64')
    weight = np.array([[1, 2, 0, 1, 1]])  # the third pixel is on no side of the border: 4 - 1 pixels away is the second
    phi = np.array([0, 1, 9, 1, 0])
    want = (weight[0] * (1 + phi) * own).sum() / 5
    assert_same(loss('DistanceMapCrossEntropyLoss', pixel_weight=weight), want, 'float64')
    assert_same(loss('DistanceMapCrossEntropyLoss', Q[:, 1:]), loss('DistanceMapCrossEntropyLoss'), 'float64')


def test_hausdorff_distance_by_hand():
    """p > 1/2 is the label, so that the two fields are one: 3 2 1 1 2 pixels to the other side."""
    d, y = np.array([3, 2, 1, 1, 2]), LINE[0]
    assert_same(loss('HausdorffDistanceLoss', classes=[1]), ((Q1 - y) ** 2 * 2 * d**2).mean(), 'float64')
    assert_same(
        loss('HausdorffDistanceLoss', classes=[1], alpha=1, spacing=[2]), ((Q1 - y) ** 2 * 4 * d).mean(), 'float64'
    )
    far = np.stack([1 - y, y])[None].astype(float)
    assert loss('HausdorffDistanceLoss', far) == 0.0  # a perfect prediction
    of_prediction = np.array([0.0, 0, 4, 0, 0])[None]  # which the label has no field beside: all foreground
    wrong = np.array([[[0.9, 0.9, 0.2, 0.9, 0.9]]])
    got = loss('HausdorffDistanceLoss', wrong, np.ones((1, 5), int))
    field = np.array([2, 1, 1, 1, 2])
    assert_same(got, ((1 - wrong[0, 0]) ** 2 * field**2).mean(), 'float64')
    given = loss('HausdorffDistanceLoss', wrong, np.ones((1, 5), int), distance_map=of_prediction[:, None])
    assert_same(given - got, 0.8**2 * 16 / 5, 'float64')


@pytest.mark.parametrize('method', ['erosion', 'convolution'])
def test_hausdorff_erosion_and_discs_by_hand(method):
    """Three pixels of a line, all wrong: the means of 3 less 1/2 are 1/6 at the ends and 1/2 between, scaled to 0 1 0."""
    none, label = np.zeros((1, 1, 3)), np.ones((1, 3), int)
    want = {'erosion': 1 / 3, 'convolution': (1 / 3 + 1 + 1 / 3) / 3}[method]
    params = dict(method=method, radii=[1], erosions=4)
    assert_same(loss('HausdorffDistanceLoss', none, label, **params), want, 'float64')
    assert loss('HausdorffDistanceLoss', none + 1, label, **params) == 0.0
    two = np.concatenate([label, [[9]]], 1)  # an ignored pixel beside them is no error and no neighbour
    got = loss('HausdorffDistanceLoss', np.zeros((1, 1, 4)), two, ignore_index=9, **params)
    assert_same(got, want, 'float64')


def test_what_hausdorff_distance_refuses():
    with pytest.raises(ValueError, match="spacing has a meaning for method='distance_transform' alone"):
        LOSSES['HausdorffDistanceLoss'](method='erosion', spacing=[1, 2])
    for method in ('erosion', 'convolution'):
        with pytest.raises(ValueError, match="distance_map belongs to method='distance_transform'"):
            loss('HausdorffDistanceLoss', method=method, radii=[1], distance_map=np.zeros((1, 2, 5)))


def random_inputs(seed=0, space=(7, 6)):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (2, *space))
    label[:, 0] = 9
    return rng.normal(0, 2, (2, 3, *space)), label


def inputs_of(name):
    """``random_inputs``, in areas where a loss needs them."""
    z, y = random_inputs()
    if LOSSES[name].needs_areas:
        y[:, 1:, :2], y[:, 1:, 2:] = 2, 1
    return z, y


def test_a_surface_loss_is_the_region_wise_one_and_the_probability_inside():
    z, y = random_inputs()
    prob = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    inside = sum((prob[:, k] * (y == k)).sum() for k in range(3)) / (3 * (y != 9).sum())
    surface = LOSSES['SurfaceLoss'](ignore_index=9).reference(z, y)
    boundary = LOSSES['RegionWiseLoss'](ignore_index=9, map='boundary').reference(z, y)
    assert_same(surface, boundary + inside, 'float64')


def test_a_region_wise_boundary_map_grows_with_the_spacing_and_the_rectified_does_not():
    z, y = random_inputs()
    for kind, factor in (('boundary', 2.5), ('rectified', 1)):
        one, more = (
            LOSSES['RegionWiseLoss'](ignore_index=9, map=kind, spacing=s).reference(z, y) for s in ([1, 3], [2.5, 7.5])
        )
        assert_same(more, factor * one, 'float64')


def test_a_distance_map_cross_entropy_without_a_map_is_the_weighted_one_and_doubles_under_ones():
    z, y = random_inputs()
    plain = LOSSES['WeightedCrossEntropyLoss'](ignore_index=9).reference(z, y)
    spec = LOSSES['DistanceMapCrossEntropyLoss'](ignore_index=9)
    assert_same(spec.reference(z, y, distance_map=np.zeros(y.shape)), plain, 'float64')
    assert_same(spec.reference(z, y, distance_map=np.ones((2, 1, 7, 6))), 2 * plain, 'float64')


@pytest.mark.parametrize(('name', 'params'), MAPPED)
def test_turned_images_cost_the_same(name, params):
    z, y = random_inputs()
    turned = dict(params, spacing=params['spacing'][::-1]) if 'spacing' in params else params
    want = LOSSES[name](ignore_index=9, **params).reference(z, y)
    got = LOSSES[name](ignore_index=9, **turned).reference(z.swapaxes(2, 3)[..., ::-1], y.swapaxes(1, 2)[..., ::-1])
    assert_same(got, want, 'float64')


@pytest.mark.parametrize(('name', 'params'), [*MAPPED, OF_AREAS])
def test_maps_given_to_the_reference_and_to_pytorch(name, params):
    torch = pytest.importorskip('torch')
    from mmseg_plugin import losses

    z, y = inputs_of(name)
    spec = LOSSES[name](ignore_index=9, **params)
    maps = np.stack([spec.distance_map(one, 3, dtype=np.float64) for one in y])
    wild, wrong = np.where((y == 9)[:, None], np.nan, maps), maps.copy()
    wrong[0, :, -1, -1] = np.nan
    want = spec.reference(z, y)
    assert_same(spec.reference(z, y, distance_map=wild), want, 'float64')
    assert math.isnan(spec.reference(z, y, distance_map=wrong))
    module = getattr(losses, name)(ignore_index=9, **params)
    pred, target = torch.tensor(z, requires_grad=True), torch.tensor(y)
    (made,) = torch.autograd.grad(module(pred, target), pred)
    value = module(pred, target, distance_map=torch.tensor(wild))
    (gradient,) = torch.autograd.grad(value, pred)
    assert_same(value.detach(), want, 'float64')
    assert_same(gradient, made, 'float64')
    assert module(pred, target, distance_map=torch.tensor(wrong)).isnan()
    assert abs(module(pred, target, distance_map=torch.tensor(0 * maps)).item() - want) > 1e-3
    with pytest.raises(ValueError, match=r'distance_map must have shape \(2, [13], 7, 6\), got \(2, [13], 6, 6\)'):
        module(pred, target, distance_map=torch.tensor(maps[:, :, 1:]))
    with pytest.raises(TypeError, match='distance_map must be a tensor of floating point numbers, got torch.int64'):
        module(pred, target, distance_map=torch.tensor(maps).long())
    with pytest.raises(
        ValueError, match=r'spacing must (have 2 entries|be a list of 2 numbers), one for each spatial axis.*, got'
    ):
        getattr(losses, name)(ignore_index=9, spacing=[1, 1, 1])(pred, target)


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
@pytest.mark.parametrize(('name', 'params'), [*MAPPED[1::2], OF_AREAS])
def test_maps_given_to_keras(framework, worker, name, params):
    z, y = inputs_of(name)
    want = LOSSES[name](ignore_index=9, **params).reference(z, y)
    arrays = dict(z=np.moveaxis(z, 1, -1).astype(np.float32), y=y)
    refused, got = worker.call('tests.losses.distance_calls:given', arrays, loss=dict(type=name, **params))
    for way in ('made', 'given', 'wild', 'packed'):
        assert_same(got[way], want, 'float32', way)
    assert np.isnan(got['wrong']) and f'ValueError: {name}: ' in refused['unmarked']
    assert abs(got['zero'] - want) > 1e-3
    assert_same(got['sum_packed'], got['sum'], 'float32')
    assert 'ValueError' in refused['shape'] and 'distance_map must have shape (2, 7, 6, ' in refused['shape']
    assert refused['dtype'] == f'TypeError: {name}: distance_map must be floating point, got int32'
    assert (
        'SpecError: WeightedSumLoss: losses take different maps of distances (gt_distance_map_' in refused['different']
    )


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_packed_surface_maps_of_tf_data_train_as_made_ones(framework, worker):
    z, y = random_inputs()
    shapes, got = worker.call(
        'tests.losses.distance_calls:pipeline', dict(z=np.moveaxis(z, 1, -1).astype(np.float32), y=y)
    )
    assert [list(s) for s in shapes] == [[7, 6, 3], [7, 6, 5]]
    assert_same(got['packed'], got['plain'], 'float32')


def test_a_weighted_sum_hands_the_surface_map_to_whom_it_concerns():
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import WeightedSumLoss

    z, y = random_inputs()
    pred, target = torch.tensor(z), torch.tensor(y)
    surface = dict(type='SurfaceLoss', ignore_index=9)
    module = WeightedSumLoss([dict(type='SoftDiceLoss', ignore_index=9), surface])
    maps = np.stack([LOSSES['SurfaceLoss'](ignore_index=9).distance_map(one, 3) for one in y])
    assert_same(module(pred, target, distance_map=torch.tensor(maps)), module(pred, target), 'float32')
    with pytest.raises(TypeError, match="unexpected argument 'distance_map', for no part takes it"):
        WeightedSumLoss([dict(type='SoftDiceLoss', ignore_index=9)])(pred, target, distance_map=torch.tensor(maps))
    different = WeightedSumLoss([surface, dict(type='RegionWiseLoss', ignore_index=9)])
    with pytest.raises(
        ValueError, match='losses take different maps of distances .gt_distance_map_rectified_ignoring_9, gt_distance'
    ):
        different(pred, target, distance_map=torch.tensor(maps))
    assert torch.isfinite(different(pred, target))


@pytest.mark.parametrize('framework', axis('keras_torch'))
@pytest.mark.parametrize('classes', [3, 4])
def test_one_hot_floats_are_refused_whether_or_not_they_have_the_shape_of_packed_labels(classes, framework, worker):
    """Two channels and the one of the map are three classes."""
    found = worker.call('tests.losses.distance_calls:of_one_hot_floats', classes=classes)[0]
    assert 'takes hard labels alone, class ids or a one-hot array of integers, got float32' in found


@pytest.mark.parametrize('name', [n for n, spec in LOSSES.items() if not getattr(spec, 'has_signed_map', True)])
def test_a_negative_number_in_a_map_of_distances_is_none(name):
    """As one of another loss has it; at an ignored pixel it may stand."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import losses

    z, y = random_inputs()
    spec, module = LOSSES[name](ignore_index=9), getattr(losses, name)(ignore_index=9)
    for at, is_wrong in ((np.argwhere(y != 9)[0], True), (np.argwhere(y == 9)[0], False)):
        maps = np.stack([spec.distance_map(one, z.shape[1], dtype=np.float64) for one in y])
        maps[at[0], :, at[1], at[2]] = -1
        ours = module(torch.tensor(z), torch.tensor(y), distance_map=torch.tensor(maps)).item()
        assert np.isnan([ours, spec.reference(z, y, distance_map=maps)]).tolist() == [is_wrong] * 2
