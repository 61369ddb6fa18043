"""BoundaryAwareLoss by hand: distances, bins and what they cost, labels, bins given, masks of a prediction, refusals."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES, SpecError
from shared_spec.distance_bins import first_distances, limits, masks_of_bins
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

SQUARE = np.pad(np.ones((5, 5), int), 1)  # whose rings are 0, 1 and 2 pixels from its inner boundary
RINGS = np.pad(np.pad([[2]], 1, constant_values=1), 2)
EXACT = dict(num_bins=3, max_distance=2)
NAME = 'BoundaryAwareLoss'


def spec(**params):
    return LOSSES[NAME](**params)


def softplus(x):
    return math.log1p(math.exp(x))


def torch_loss(z, y, weight=None, bins=None, **params):
    """(value, gradient) of PyTorch in float64."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import BoundaryAwareLoss

    pred = torch.tensor(z, requires_grad=True)
    extras = {} if bins is None else dict(distance_bins=torch.tensor(bins))
    weight = None if weight is None else torch.tensor(weight)
    value = BoundaryAwareLoss(**params)(pred, torch.tensor(y), weight, **extras)
    return value.item(), torch.autograd.grad(value, pred)[0].numpy()


def test_boundary_aware_bins_are_distances_to_the_inner_boundary():
    assert_same(spec(**EXACT).distance_bins(SQUARE), RINGS[None], 'exact')
    assert_same(spec(num_bins=2, max_distance=2).distance_bins(SQUARE), (RINGS == 2)[None].astype(int), 'exact')
    line = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])  # which ends with the image, where no boundary is
    distances = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert_same(spec(num_bins=9, max_distance=8).distance_bins(line)[0], distances, 'exact')
    assert_same(spec(num_bins=5, max_distance=4).distance_bins(line)[0], np.minimum(distances, 4), 'exact')
    assert_same(spec(num_bins=3, max_distance=8).distance_bins(line)[0], distances // 3, 'exact')


def test_boundary_aware_distances_are_rounded_up():
    """Only the corner (0, 0) is outside, so the boundary are its two neighbours: (1, 1) is 1 from them, (2, 2) sqrt 5."""
    label = np.ones((3, 3), int)
    label[0, 0] = 0
    want = np.array([[0, 0, 1], [0, 1, 2], [1, 2, 3]])
    assert_same(spec(num_bins=4, max_distance=3).distance_bins(label)[0], want, 'exact')


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('bins', [(2, 1), (5, 4), (5, 14), (3, 20), (7, 100), (256, 1000)])
def test_boundary_aware_bins_of_unrounded_distances_are_those_of_rounded_ones(bins, dtype):
    """Both plugins compare a distance with limits: a root of a whole square may be one digit off."""
    count, largest = bins
    squares = np.arange((largest + 2) ** 2)
    rounded = np.array([math.isqrt(s - 1) + 1 if s else 0 for s in squares])
    want = np.minimum(rounded, largest) * count // (largest + 1)
    d = np.sqrt(squares).astype(dtype)
    for towards in (d, np.inf, 0):
        off = np.where(d > 0, np.nextafter(d, np.array(towards, dtype)), 0)  # nothing is between a pixel and itself
        assert_same(sum(off > limit for limit in limits(*bins)), want, 'exact')
    assert_same(first_distances(*bins), np.array([rounded[want == k].min() for k in range(count)]), 'exact')


@pytest.mark.parametrize('z', [0.0, -1.5, 3.0])
def test_boundary_aware_costs_one_right_bin_and_the_others(z):
    """Every pixel has one of K bins, whatever it is."""
    pred, want = np.full((1, 3, 7, 7), z), (softplus(-z) + 2 * softplus(z)) / 3
    assert_same(spec(**EXACT, loss_weight=0.5).reference(pred, SQUARE[None]), want / 2, 'float64')
    assert_same(spec(**EXACT).reference(pred, SQUARE[None], reduction='sum'), 49 * want, 'float64')
    one_hot = 40.0 * (np.arange(3)[:, None, None] == RINGS) - 20
    assert_same(spec(**EXACT).reference(one_hot[None], SQUARE[None]), softplus(-20), 'float64')


def test_boundary_aware_is_cross_entropy_of_independent_channels_and_the_bins():
    """The law, with weights, ignored pixels and two classes of objects that touch."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.repeat(rng.integers(0, 3, (2, 3, 3)), 4, 1), 3, 2)
    label[:, 5, 2:7] = 255
    z, weight = rng.normal(0, 2, (2, 6, 12, 9)), rng.uniform(0, 2, (2, 12, 9)) * (label != 255)
    weight[0, 0] = 0
    ours = spec(**EXACT, ignore_index=255)
    cut = np.where(weight > 0, label, 255)  # what weighs nothing is ignored too
    bins = np.stack([ours.distance_bins(one, num_objects=2) for one in cut])
    maps = (bins[:, :, None] == np.arange(3)[:, None, None]).reshape(z.shape).astype(float)
    other = LOSSES['WeightedCrossEntropyLoss'](activation='sigmoid')
    want = other.reference(z, maps, weight)
    assert_same(ours.reference(z, label, weight), want, 'float64')
    assert_same(ours.reference(z, label, weight, distance_bins=bins), want, 'float64')
    value, gradient = torch_loss(z, label, weight, **EXACT, ignore_index=255)
    assert_same(value, want, 'float64')
    assert (gradient[np.broadcast_to((weight == 0)[:, None], z.shape)] == 0).all() and abs(gradient).max() > 1e-4
    value, again = torch_loss(z, label, weight, bins.astype(np.uint8), **EXACT, ignore_index=255)
    assert_same(value, want, 'float64')
    assert_same(again, gradient, 'float64')


def test_boundary_aware_sums_and_maps_in_pytorch():
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import BoundaryAwareLoss

    rng = np.random.default_rng(2)
    z, weight = rng.normal(0, 2, (2, 3, 7, 7)), rng.uniform(0.5, 2, (2, 7, 7))
    y = np.stack([SQUARE, 1 - SQUARE])
    y[:, 3, 2:5] = 255
    ours, given = spec(**EXACT, ignore_index=255), [torch.tensor(x) for x in (z, y, weight)]
    loss = BoundaryAwareLoss(**EXACT, ignore_index=255)
    rows = loss(*given, reduction_override='none')
    assert_same(rows, ours.reference(z, y, weight, reduction='none'), 'float64')
    assert (rows[y == 255] == 0).all()
    assert_same(loss(*given, reduction_override='sum'), rows.sum(), 'float64')
    assert_same(loss(*given), rows.sum() / weight[y != 255].sum(), 'float64')
    assert_same(loss(*given, avg_factor=7.0), rows.sum() / 7, 'float64')
    assert_same(loss(*given[:2], torch.tensor([1.0, 3.0])), ours.reference(z, y, [1.0, 3.0]), 'float64')


@pytest.mark.parametrize('align_corners', [False, True])
def test_boundary_aware_resizes_a_smaller_branch_in_pytorch(align_corners):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import BoundaryAwareLoss

    z, y = torch.tensor(np.random.default_rng(3).normal(0, 2, (1, 3, 4, 3))), torch.tensor(SQUARE[None])
    whole = torch.nn.functional.interpolate(z, (7, 7), mode='bilinear', align_corners=align_corners)
    loss = BoundaryAwareLoss(**EXACT)
    assert_same(loss(z, y, align_corners=align_corners), loss(whole, y), 'float64')
    with pytest.raises(ValueError, match=f'{NAME}: target must be class ids .* = .1, 4, 3., got .1, 7, 7.'):
        loss(z, y)


def test_boundary_aware_objects_have_the_classes_that_are_listed():
    rng = np.random.default_rng(1)
    z, label = rng.normal(0, 1, (1, 6, 7, 7)), np.where(SQUARE, 9, 2)[None]
    alone = [spec(**EXACT).reference(z[:, part], SQUARE[None] * 1) for part in (slice(0, 3), slice(3, 6))]
    other = spec(**EXACT).reference(z[:, 3:], 1 - SQUARE[None])
    first = spec(**EXACT, classes=[9, 7]).reference(z, label)
    nothing = spec(**EXACT).reference(z[:, 3:], 0 * label)
    assert_same(first, (alone[0] + nothing) / 2, 'float64')
    both = spec(**EXACT, classes=[9, 2]).reference(z, label)
    assert_same(both, (alone[0] + other) / 2, 'float64')
    assert_same(torch_loss(z, label, **EXACT, classes=[9, 2])[0], both, 'float64')


@pytest.mark.parametrize('space', [(6,), (4, 5), (3, 4, 2)], ids=str)
def test_boundary_aware_without_a_boundary(space):
    """Nothing but the object: the largest distance. No object, or nothing that counts: 0."""
    one, axes = np.ones(space, int), dict(dimensions=len(space))
    ours = spec(num_bins=4, max_distance=9, ignore_index=255)
    assert_same(ours.distance_bins(one, **axes), 3 * one[None], 'exact')
    assert_same(ours.distance_bins(0 * one, **axes), 0 * one[None], 'exact')
    edge = one.copy()
    edge[..., 0] = 255  # which is no boundary
    assert_same(ours.distance_bins(edge, **axes), np.where(edge == 255, 0, 3)[None], 'exact')
    z = np.random.default_rng(0).normal(0, 1, (1, 4, *space))
    assert ours.reference(z, 255 * one[None]) == 0
    value, gradient = torch_loss(z, 255 * one[None], num_bins=4, max_distance=9, ignore_index=255)
    assert value == 0 and not gradient.any()


MASKED = np.where(np.arange(3)[:, None, None] == RINGS, 2.0, -1.0)[None]
MASKS_WRONG = [
    ((MASKED, 0, 8), 'num_bins must be an integer >= 2, got 0'),
    ((MASKED, '3', 8), "num_bins must be an integer >= 2, got '3'"),
    ((MASKED, 3, float('nan')), 'max_distance must be an integer >= 2, got nan'),
    ((MASKED, 3, 1), 'max_distance must be an integer >= 2, got 1'),
    ((MASKED, 3, 14.5), 'max_distance must be an integer >= 2, got 14.5'),
    ((MASKED[0, :, 0], 3, 8), r'pred must be \(N, C, \*space\)'),
    ((MASKED > 0, 3, 8), 'pred must be floating point, got bool'),
]
NO_NUMBER = np.where(np.arange(7) == 3, np.nan, MASKED)
DECODED = np.pad(np.ones((5, 5), bool), 1)
DECODED[[1, 1, 5, 5], [1, 5, 1, 5]] = False  # the corners of the square, which no disc reaches


def test_boundary_aware_masks_are_discs_around_the_pixels_of_higher_bins():
    assert_same(masks_of_bins(MASKED, **EXACT)[0, 0], DECODED, 'exact')
    assert not masks_of_bins(-MASKED[:, ::-1], **EXACT)[:, :, ::6, ::6].any()
    two = masks_of_bins(np.concatenate([MASKED, 0 * MASKED], 1), **EXACT)
    assert_same(two, np.stack([DECODED, np.zeros_like(DECODED)])[None], 'exact')
    line = np.zeros((1, 2, 1, 21))
    line[0, 1, 0, 10] = 1  # the second of two bins begins at ceil(9 / 2)
    want = np.abs(np.arange(21) - 10) <= 5
    assert_same(masks_of_bins(line, 2, 8)[0, 0, 0], want, 'exact')
    with pytest.raises(ValueError, match=r'num_bins = 2 channels for each object class, got 3 channels'):
        masks_of_bins(MASKED, 2, 8)
    for wrong, sentence in MASKS_WRONG:
        with pytest.raises((ValueError, TypeError), match=f'^masks_of_bins: {sentence}'):
            masks_of_bins(*wrong)
    with pytest.raises(ValueError, match='masks_of_bins: pred must be logits or probabilities of bins, got NaN'):
        masks_of_bins(NO_NUMBER, **EXACT)


def test_boundary_aware_masks_in_pytorch():
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import distance_bins

    z = sparse_prediction()
    assert_same(distance_bins.masks_of_bins(torch.tensor(MASKED), **EXACT)[0, 0].numpy(), DECODED, 'exact')
    want = masks_of_bins(z, 3, 6)
    assert 0.2 < want.mean() < 0.8
    assert_same(distance_bins.masks_of_bins(torch.tensor(z), 3, 6).numpy(), want, 'exact')
    for (pred, *sizes), sentence in MASKS_WRONG:
        with pytest.raises(
            (ValueError, TypeError), match=f'^masks_of_bins: {sentence.replace("got bool", "got torch.bool")}'
        ):
            distance_bins.masks_of_bins(torch.tensor(pred), *sizes)
    with pytest.raises(TypeError, match='pred must be a torch.Tensor, got ndarray'):
        distance_bins.masks_of_bins(MASKED, **EXACT)
    with pytest.raises(ValueError, match='got NaN'):
        distance_bins.masks_of_bins(torch.tensor(NO_NUMBER), **EXACT)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_boundary_aware_masks_in_keras(framework, worker):
    z = sparse_prediction()
    _, got = worker.call('tests.losses.boundary_aware_calls:masks', dict(z=np.moveaxis(z, 1, -1)), size=[3, 6])
    assert_same(np.moveaxis(got['masks'], -1, 1), masks_of_bins(z, 3, 6), 'exact')
    said, _ = worker.call(
        'tests.losses.boundary_aware_calls:refused', dict(z=np.full((1, 3, 3, 3), np.nan)), size=[3, 6]
    )
    assert said == 'masks_of_bins: pred must be logits or probabilities of bins, got NaN'


def sparse_prediction():
    """A prediction of two objects, few of whose pixels have a bin above 0."""
    z = np.random.default_rng(0).normal(0, 1, (2, 6, 12, 15))
    z[:, ::3] += 2.5
    return z


def wrong_calls():
    """Name -> (parameters, logits' channels, labels, bins or None, sentence)."""
    y = SQUARE[None]
    high = y.copy()
    high[0, 3, 3] = 2
    bins = RINGS[None]
    outside, above = bins.copy(), bins.copy()
    outside[0, 0, 0], above[0, 3, 3] = 1, 3
    return {
        'channels': (EXACT, 4, y, None, 'num_bins = 3 channels for each object class, got 4 channels'),
        'classes': (dict(EXACT, classes=[1, 2]), 3, y, None, r'num_bins \* len\(classes\) = 3 \* 2 channels, got 3'),
        'maps': (EXACT, 3, np.stack([1 - y, y, y], 1), None, r'target must be class ids \(N, \*space\) = \(1, 7, 7\), got \(1, 3, 7, 7\)'),
        'label': (EXACT, 3, high, None, 'target labels must be below 2, got 2'),
        'negative': (dict(EXACT, classes=[1]), 3, -y, None, 'target labels must be at least 0, got -1'),
        'fraction': (EXACT, 3, y * 0.5, None, 'target labels must be whole numbers, got 0.5'),
        'shape': (EXACT, 3, y, bins[:, :6], r'distance_bins must have shape \(1, 1, 7, 7\), got \(1, 6, 7\)'),
        'dtype': (EXACT, 3, y, bins * 1.0, 'distance_bins must be integers, got .*float'),
        'outside': (EXACT, 3, y, outside, 'distance_bins must be 0 where the label is another class, got 1'),
        'above': (EXACT, 3, y, above, r'distance_bins must lie in \[0, 3\), got 3'),
    }  # fmt: skip


@pytest.mark.parametrize('case', wrong_calls())
def test_boundary_aware_refuses(case):
    params, channels, y, bins, words = wrong_calls()[case]
    z = np.zeros((1, channels, 7, 7))
    error = TypeError if case == 'dtype' else ValueError
    with pytest.raises(error, match=f'{NAME}: .*{words}'):
        spec(**params).reference(z, y, distance_bins=bins)
    with pytest.raises(error, match=f'{NAME}: .*{words}'):
        torch_loss(z, y, bins=bins, **params)


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_boundary_aware_refuses_in_keras(framework, worker):
    for case, (params, channels, y, bins, words) in wrong_calls().items():
        arrays = dict(z=np.zeros((1, 7, 7, channels)), y=np.moveaxis(y, 1, -1) if case == 'maps' else y)
        arrays |= {} if bins is None else dict(bins=bins)
        words = words.replace('1, 3, 7, 7', '1, 7, 7, 3').replace('1, 1, 7, 7', '1, 7, 7, 1')
        with pytest.raises(Exception, match=f'{NAME}: .*{words}'):
            worker.call('tests.losses.boundary_aware_calls:value', arrays, params=params)


@pytest.mark.parametrize('case', ['label', 'negative', 'fraction', 'outside', 'above'])
def test_boundary_aware_of_wrong_labels_and_bins_is_nan_where_nothing_is_looked_at(case, monkeypatch):
    pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import arithmetic, distance, inputs, values

    params, channels, y, bins, _ = wrong_calls()[case]
    z = np.random.default_rng(0).normal(0, 1, (1, channels, 7, 7))
    right = torch_loss(z, SQUARE[None], **EXACT)
    for room in (arithmetic, distance, inputs, values):
        monkeypatch.setattr(room, 'can_look', lambda *tensors: False)
    assert_same(torch_loss(z, SQUARE[None], **EXACT)[0], right[0], 'float64')
    value, gradient = torch_loss(z, y, bins=bins, **params)
    assert math.isnan(value) and np.isnan(gradient).any()


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_boundary_aware_of_wrong_labels_and_bins_is_nan_in_keras_where_nothing_is_looked_at(framework, worker):
    for case in ('label', 'negative', 'fraction', 'outside', 'above'):
        params, channels, y, bins, _ = wrong_calls()[case]
        arrays = dict(z=np.random.default_rng(0).normal(0, 1, (1, 7, 7, channels)), y=y)
        arrays |= {} if bins is None else dict(bins=bins)
        _, got = worker.call('tests.losses.boundary_aware_calls:unseen', arrays, params=params)
        assert np.isnan(got['value']) and np.isnan(got['gradient']).any(), case


def test_boundary_aware_bins_are_made_of_one_image():
    ours = spec(**EXACT)
    with pytest.raises(ValueError, match=f'{NAME}: labels of three axes are those of a volume or of several images'):
        ours.distance_bins(SQUARE[None])
    with pytest.raises(TypeError, match=f'{NAME}: labels must be an array of class ids, got <U'):
        ours.distance_bins(SQUARE.astype(str))
    with pytest.raises(ValueError, match=r'num_bins \* len\(classes\) = 3 \* 2 channels, got 3'):
        spec(**EXACT, classes=[1, 2]).distance_bins(SQUARE, num_objects=1)


def test_boundary_aware_bins_that_would_stay_empty_are_refused():
    with pytest.raises(SpecError, match=r'max_distance must be at least num_bins - 1 = 4, or bins stay empty, got 3'):
        spec(num_bins=5, max_distance=3)
