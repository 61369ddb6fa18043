"""What maps of distances are made of: one image of class ids, of a loss that takes a map; what their names and marks say."""

import numpy as np
import pytest

from shared_spec import LOSSES, SpecError
from shared_spec.distance_packing import LEAST_MARK, MARK, make_packed, mark_of
from tests.losses.test_distance_maps import random_inputs
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

SURFACE = LOSSES['SurfaceLoss'](ignore_index=9)
Y = random_inputs()[1]
ONE_HOT = np.eye(3, dtype=int)[np.where(Y[0] == 9, 0, Y[0])]
REFUSED = {
    'batch': (
        dict(target=Y),
        r'labels of three axes are those of a volume or of several images, got shape \(2, 7, 6\)',
    ),
    'batch_of_images': (
        dict(target=Y, dimensions=2),
        r'one image with 2 axes, .*got shape \(2, 7, 6\); each image has a map',
    ),
    'one_hot': (dict(target=ONE_HOT, dimensions=2), 'one-hot labels become class ids by argmax'),
    'four_axes': (dict(target=Y[None]), 'class ids of one image with 1, 2 or 3 axes'),
    'number': (dict(target=np.array(1)), 'class ids of one image with 1, 2 or 3 axes'),
    'dimensions': (dict(target=Y, dimensions=4), 'dimensions must be an integer from 1 to 3, or None, got 4'),
    'label': (dict(target=np.where(Y[0] == 2, 3, Y[0])), 'target labels must be below 3, got 3'),
    'negative': (dict(target=np.where(Y[0] == 2, -1, Y[0])), 'must be at least 0, got -1; ignore_index=-1 leaves such'),
    'ignored': (
        dict(target=np.where(Y[0] == 2, 255, Y[0])),
        'below 3, got 255; ignore_index=255 leaves such pixels out',
    ),
    'fraction': (dict(target=Y[0] / 2), 'target labels must be whole numbers, got 4.5'),
    'text': (dict(target=Y[0].astype(str)), 'labels must be an array of class ids, got <U21'),
    'no_classes': (dict(target=Y[0], num_classes=0), 'num_classes must be an integer >= 1, got 0'),
    'half_class': (dict(target=Y[0], num_classes=2.5), 'num_classes must be an integer >= 1, got 2.5'),
    'one_channel': (dict(target=Y[0], num_classes=1), 'target labels must be below 2, got 2'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_a_surface_map_is_not_made_of(case):
    arguments, sentence = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=f'^SurfaceLoss: .*(?:{sentence})'):
        SURFACE.distance_map(**dict(dict(num_classes=3), **arguments))


def test_a_surface_map_of_a_volume_that_dimensions_or_spacing_say_is_one():
    z, y = random_inputs(space=(3, 4, 5))
    spaced = LOSSES['SurfaceLoss'](ignore_index=9, spacing=[1.0, 0.5, 2.0])
    for spec, options in ((SURFACE, dict(dimensions=3)), (spaced, {}), (spaced, dict(dimensions=3))):
        maps = np.stack([spec.distance_map(one, 3, dtype=np.float64, **options) for one in y])
        assert_same(spec.reference(z, y, distance_map=maps), spec.reference(z, y), 'float64')
    with pytest.raises(SpecError, match='SurfaceLoss: dimensions must be 3, the entries of spacing, got 2'):
        spaced.distance_map(y[0], 3, dimensions=2)
    with pytest.raises(ValueError, match='class ids of one image with 3 axes, as dimensions or spacing say'):
        spaced.distance_map(y[0, 0], 3)


def test_a_surface_map_of_bytes_of_which_255_are_ignored_and_of_a_mask():
    labels = np.where(Y[0] == 9, 255, Y[0])
    want = SURFACE.distance_map(Y[0], 3)
    for kind in (np.uint8, np.int64, np.float32):
        assert_same(LOSSES['SurfaceLoss'](ignore_index=255).distance_map(labels.astype(kind), 3), want, 'float32')
        assert_same(LOSSES['SurfaceLoss']().distance_map(labels.astype(kind), 3, ignore_index=255), want, 'float32')
    mask, plain = Y[0] == 1, LOSSES['SurfaceLoss']()
    assert_same(plain.distance_map(mask, 1), plain.distance_map(mask.astype(int), 1), 'float32')


@pytest.mark.parametrize('method', ['erosion', 'convolution'])
def test_hausdorff_methods_without_a_map_make_none(method):
    spec = LOSSES['HausdorffDistanceLoss'](method=method)
    with pytest.raises(ValueError, match=f"distance_map belongs to method='distance_transform', not to '{method}'"):
        spec.distance_map(Y[0], 10)
    assert spec.extras_taken == () and LOSSES['HausdorffDistanceLoss']().extras_taken == ('distance_map',)


def test_the_name_of_a_map_says_kind_and_spacing_to_the_last_digit_and_the_ignored_labels():
    def field(name='SurfaceLoss', beside=None, **params):
        return LOSSES[name](**params).map_field_of(beside)

    assert field() == field(spacing=[1, 1]) == field(spacing=[1.0]) == 'gt_distance_map_signed'
    assert field(spacing=[2, 0.5], ignore_index=255) == 'gt_distance_map_signed_2_0.5_ignoring_255'
    assert field(ignore_index=255) == field(beside=255) == field(ignore_index=255, beside=255)
    assert field(ignore_index=7, beside=255) == field(ignore_index=255, beside=7)
    assert field(spacing=[1, 1.0000001]) != field(spacing=[1, 1.0000002])
    others = [field('RegionWiseLoss', map=m) for m in ('rectified', 'boundary')] + [field('HausdorffDistanceLoss')]
    others += [field('DistanceMapCrossEntropyLoss', regions=r) for r in ('classes', 'foreground')]
    names = {field(), field(ignore_index=7), field(ignore_index=-1), field(ignore_index=7, beside=255), *others}
    assert len(names) == 9


def test_marks_of_surface_maps_are_whole_in_float32_and_differ_with_what_the_map_is():
    specs = [LOSSES['SurfaceLoss'](ignore_index=k) for k in (None, -1, *range(256))]
    specs += [LOSSES['RegionWiseLoss'](map=kind) for kind in ('boundary', 'rectified')]
    marks = [mark_of(spec, axes) for spec in specs for axes in (1, 2, 3)]
    assert len(set(marks)) == len(marks) and all(LEAST_MARK < mark < MARK for mark in marks)
    assert all(float(np.float32(mark)) == mark for mark in marks)
    assert (make_packed(SURFACE, Y[0], 3)[..., 0] == mark_of(SURFACE, 2)).all()
    assert (make_packed(SURFACE, Y, 3)[..., 0] == mark_of(SURFACE, 3)).all()


SENTENCES = {
    'string': "TypeError: DistanceMaps: loss must be one that takes distance_map, got 'SurfaceLoss'",
    'kind': 'TypeError: DistanceMaps: loss must be one that takes distance_map, got the class SurfaceLoss, which is still to',
    'other': 'TypeError: DistanceMaps: loss must be one that takes distance_map, got a JaccardMetricLoss',
    'classes': 'SpecError: DistanceMaps: num_classes must be an integer >= 1, got 0',
    'erosion': "SpecError: DistanceMaps: loss takes no map: HausdorffDistanceLoss: distance_map belongs to method='dist",
    'contradiction': 'SpecError: DistanceMaps: dimensions must be 2, the entries of spacing, got 3',
    'axes': 'SpecError: DistanceMaps: dimensions must be an integer from 1 to 3, or None, got 4',
    'batch': 'ValueError: SurfaceLoss: labels must be class ids of one image with 2 axes, as dimensions or spacing say, got',
    'spaced': 'ValueError: SurfaceLoss: labels must be class ids of one image with 2 axes, as dimensions or spacing say, got',
    'one_hot': 'ValueError: SurfaceLoss: labels must be class ids of one image with 2 axes, as dimensions or spacing say, got',
    'label': 'ValueError: SurfaceLoss: target labels must be below 3, got 255; ignore_class=255 leaves such pixels out',
    'alone': 'TypeError: DistanceMaps: takes elements (image, labels) of a dataset, got one value; of labels alone',
}


@pytest.mark.slow_on('keras_torch')  # on which alone does without TensorFlow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_what_distance_maps_of_a_surface_loss_refuse(framework, worker):
    y = random_inputs()[1]
    y = np.where(y == 9, 2, y)
    found, packed = worker.call('tests.losses.distance_calls:of_packers', dict(y=y))
    for name, sentence in SENTENCES.items():
        assert str(found[name]).startswith(sentence), (name, found[name])
    assert packed['volume'].shape == (2, 7, 6, 5) and packed['thin'].shape == (2, 7, 1, 5)
    assert packed['channel'].shape == (7, 6, 5)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_a_dataset_of_batches_for_a_surface_loss_is_refused_or_nan(framework, worker):
    z, y = random_inputs()
    arrays = dict(z=np.moveaxis(z, 1, -1).astype(np.float32), y=y)
    found, across = worker.call('tests.losses.distance_calls:of_datasets', arrays)
    assert found['right'] == '(7, 6, 5)' and np.isnan(across['across'])
    assert (
        'labels of shape (?, 7, 6) look like batches of images; dataset.map(maps) stands before batch'
        in found['batches']
    )
    assert 'takes elements (image, labels) of a dataset, got one value' in found['alone']
    assert 'labels must have a known number of axes' in found['blind']
    assert 'labels must be class ids of one image with 2 axes' in found['checked']


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow', 'keras_jax'))
def test_sums_of_hausdorff_losses_and_calls_with_a_map_that_nobody_takes(framework, worker):
    z, y = random_inputs()
    arrays = dict(z=np.moveaxis(z, 1, -1).astype(np.float32), y=y)
    found, _ = worker.call('tests.losses.distance_calls:of_sums', arrays)
    for name in ('given', 'packed'):
        assert_same(np.float64(found[name]), found['made'], 'float32', name)
        assert_same(np.float64(found[f'nested_{name}']), found['nested'], 'float32', name)
    unexpected = 'unexpected argument'
    assert found['untaken'] == f"TypeError: WeightedSumLoss: {unexpected} 'distance_map', for no part takes it"
    assert found['jaccard'] == f"TypeError: JaccardMetricLoss: {unexpected} 'distance_map'"
    assert found['misspelt'] == f"TypeError: SurfaceLoss: {unexpected} 'distance_maps'"
    assert found['sum_misspelt'] == f"TypeError: WeightedSumLoss: {unexpected} 'distance_maps'"
    assert (
        'take different maps of distances (gt_distance_map_signed_ignoring_9, gt_distance_map_un' in found['different']
    )
    assert 'SurfaceLoss: distance_map must have shape (2, 7, 6, 3), got (1, 7, 6, 3)' in found['fewer']
    assert (
        "HausdorffDistanceLoss: distance_map belongs to method='distance_transform', not to 'erosion'" in found['alone']
    )


def test_sums_of_hausdorff_losses_in_pytorch_hand_the_map_to_whom_it_concerns():
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import WeightedSumLoss

    z, y = random_inputs()
    pred, target = torch.tensor(z), torch.tensor(y)
    field = dict(type='HausdorffDistanceLoss', ignore_index=9)
    maps = np.stack([LOSSES['HausdorffDistanceLoss'](ignore_index=9).distance_map(one, 3) for one in y])
    module, given = WeightedSumLoss([dict(field, method='erosion'), field]), torch.tensor(maps)
    assert_same(module(pred, target, distance_map=given), module(pred, target), 'float32')
    with pytest.raises(TypeError, match="unexpected argument 'distance_map', for no part takes it"):
        WeightedSumLoss([dict(field, method='erosion')])(pred, target, distance_map=given)
    other = WeightedSumLoss([field, dict(type='HausdorffDistanceLoss')])
    with pytest.raises(
        SpecError, match='different maps of distances .gt_distance_map_unsigned, gt_distance_map_unsigned_ig'
    ):
        other(pred, target, distance_map=given)
    want = other(pred, target, ignore_index=9)
    assert_same(other(pred, target, ignore_index=9, distance_map=given), want, 'float32')
