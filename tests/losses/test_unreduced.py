"""Losses of images and of classes in place of their mean (``reduction='none'``), and class weights with a mean of 1."""

import re

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')

from mmseg_plugin import losses
from shared_spec import LOSSES, SpecError
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

WITH_CELLS = [name for name in LOSSES if LOSSES[name].reductions == ('mean', 'none')]
WEIGHTS = [0.5, 2.0, 1.0, 3.0]
KERAS = ('keras_tensorflow', 'keras_jax', 'keras_torch')
BACKENDS = pytest.mark.parametrize('framework', axis(*KERAS))


def arrays(dtype='float64'):
    """Three images, of which one is ignored and one has two classes; weights of pixels and of images."""
    rng = np.random.default_rng(5)
    z = rng.normal(0, 1, (3, 4, 6, 7)).astype(dtype)
    y = rng.integers(0, 4, (3, 6, 7))
    y[0], y[1] = 255, y[1] % 2
    return z, y, [None, rng.uniform(0.5, 2, (3, 6, 7)).astype(dtype), np.array([1, 2, 0.5], dtype)]


def options(name, level, **more):
    """Arguments of a loss whose only mean is that of a level; None where it has no such mean."""
    parameters = LOSSES[name].parameters()
    given = dict(more, ignore_index=255)
    if 'granularity' in parameters:
        given['granularity'] = level
    elif 'per_image' in parameters:
        given['per_image'] = level == 'I'
    if level not in (LOSSES[name](**given).granularity if 'granularity' not in parameters else level):
        return None
    if 'class_weight' in parameters:
        given['class_weight'] = WEIGHTS
    return given


def inputs(name, z, y):
    """Logits and labels as a loss takes them."""
    return (z, y) if 'many' in LOSSES[name].channels else (z[:, :1], np.where(y == 255, 255, y == 1))


@pytest.mark.parametrize('name', WITH_CELLS)
def test_pytorch_gives_what_the_reference_gives(name):
    z, y, weights = arrays()
    compared = 0
    for level in 'DIC':
        for normalize in (False, True):
            given = options(name, level)
            if given is None or (normalize and 'class_weight' not in given):
                continue
            given |= dict(normalize_class_weight=True) if normalize else {}
            for weight in weights:
                for reduction in ('mean', 'none'):
                    pred, target = inputs(name, z, y)
                    want = LOSSES[name](**given).reference(pred, target, weight, reduction=reduction)
                    call = torch.tensor(pred), torch.tensor(target), None if weight is None else torch.tensor(weight)
                    got = getattr(losses, name)(**given, reduction=reduction)(*call)
                    assert np.shape(got) == np.shape(want)
                    assert_same(got, want, 'float64')
                    assert_same(getattr(losses, name)(**given)(*call, reduction_override=reduction), want, 'float64')
                    compared += 1
    assert compared >= 6


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_keras_gives_what_the_reference_gives(framework, worker):
    """One loss of them is compiled."""
    z, y, weights = arrays('float32')
    calls, want = [], []
    for name in WITH_CELLS if framework == 'keras_torch' else ['JaccardMetricLoss', 'LovaszSoftmaxLoss']:
        for level in 'DIC':
            given = options(name, level)
            if given is not None:
                given |= dict(normalize_class_weight=level != 'D') if 'class_weight' in given else {}
                pred, target = inputs(name, z, y)
                want.append(LOSSES[name](**given).reference(pred, target, weights[1], reduction='none'))
                given['ignore_class'] = given.pop('ignore_index')
                calls.append((name, dict(given, from_logits=True, reduction=None)))
    given = dict(y_true=y, y_pred=np.moveaxis(z, 1, -1), weight=weights[1])
    found, _ = worker.call('tests.losses.unreduced_calls:unreduced', given, calls=calls, names=['JaccardMetricLoss'])
    assert len(found) == len(want) > 3
    for one, (name, _), loss in zip(want, calls, found):
        assert np.shape(loss) == np.shape(one), name
        assert_same(loss, one, 'float32', name)


def test_losses_of_images_by_hand():
    """An image without a valid pixel is 0; the others are what each is alone, times its weight."""
    z, y, weights = arrays()
    spec = LOSSES['SoftDiceLoss'](granularity='I', ignore_index=255, smooth=0)
    got = spec.reference(z, y, weights[2], reduction='none')
    alone = [spec.reference(z[i : i + 1], y[i : i + 1]) for i in range(3)]
    assert_same(got, [0, 2 * alone[1], 0.5 * alone[2]], 'float64')
    assert_same(got.sum() / 2.5, spec.reference(z, y, weights[2]), 'float64')


@pytest.mark.parametrize('level', ['D', 'C'])
def test_losses_of_classes_by_hand(level):
    """Each is that of a loss of this class alone, times its weight; a class that nothing shows is 0."""
    z, y, _ = arrays()
    y[y == 3] = 1
    spec = LOSSES['SoftDiceLoss'](granularity=level, class_weight=WEIGHTS, ignore_index=255)
    alone = []
    for k in range(3):
        first = 2 if level == 'C' and k == 2 else 1  # the images that show the class
        own = LOSSES['SoftDiceLoss'](granularity=level, classes=[k])
        alone.append(own.reference(z[first:], y[first:]))
    assert_same(spec.reference(z, y, reduction='none'), [0.5 * alone[0], 2 * alone[1], alone[2], 0], 'float64')


@pytest.mark.parametrize('level', 'DIC')
def test_normalised_weights_are_a_weighted_mean(level):
    """For classes 'all' a factor C / sum of the weights; whatever the scale of the weights; and of equal ones nothing."""
    z, y, _ = arrays()
    known = dict(granularity=level, ignore_index=255, classes='all')

    def loss(**more):
        return LOSSES['JaccardMetricLoss'](**known | more).reference(z, y)

    normalized = loss(class_weight=WEIGHTS, normalize_class_weight=True)
    assert_same(normalized, loss(class_weight=WEIGHTS) * 4 / sum(WEIGHTS), 'float64')
    assert_same(loss(class_weight=[7 * w for w in WEIGHTS], normalize_class_weight=True), normalized, 'float64')
    assert_same(loss(class_weight=[3.0] * 4, normalize_class_weight=True), loss(), 'float64')


def test_normalised_weights_of_present_classes_count_those_alone():
    z, y, _ = arrays()
    spec = LOSSES['JaccardMetricLoss'](
        granularity='I', class_weight=WEIGHTS, normalize_class_weight=True, ignore_index=255
    )
    own = [LOSSES['JaccardMetricLoss'](granularity='I', classes=[k]).reference(z[1:2], y[1:2]) for k in range(2)]
    assert_same(spec.reference(z[:2], y[:2]), (0.5 * own[0] + 2 * own[1]) / 2.5, 'float64')


@pytest.mark.parametrize('level', ['D', 'I'])
def test_pooled_losses_without_a_mean(level):
    z, y, weights = arrays()
    spec = LOSSES['SoftDiceLoss'](pooled=True, granularity=level, ignore_index=255)
    want = spec.reference(z, y, weights[2], reduction='none')
    module = losses.SoftDiceLoss(pooled=True, granularity=level, ignore_index=255, reduction='none')
    assert_same(module(*map(torch.tensor, (z, y, weights[2]))), want, 'float64')
    assert_same(want.sum() / (2.5 if level == 'I' else 1), spec.reference(z, y, weights[2]), 'float64')
    assert want.shape == ((3,) if level == 'I' else (1,))


@pytest.mark.parametrize('loss_weight', [1.0, 0.0])
@pytest.mark.parametrize('level', 'DIC')
def test_a_prediction_that_is_no_number(level, loss_weight):
    """It spoils its image, or all classes; in the gradient too."""
    z, y, _ = arrays()
    z[1, 2, 3, 4] = np.nan
    for activation in ('softmax', 'sigmoid'):
        given = dict(granularity=level, ignore_index=255, loss_weight=loss_weight, activation=activation)
        want = LOSSES['SoftDiceLoss'](**given).reference(z, y, reduction='none')
        assert np.isnan(want).tolist() == ([False, True, False] if level == 'I' else [True] * 4)
        pred = torch.tensor(z, requires_grad=True)
        got = losses.SoftDiceLoss(**given, reduction='none')(pred, torch.tensor(y))
        assert_same(got.detach(), want, 'float64')
        got.sum().backward()
        assert pred.grad[1].isnan().any()


def test_what_has_no_losses_of_cells_is_refused():
    z, y, _ = arrays()
    pred, target = torch.tensor(z), torch.tensor(y)
    with pytest.raises(SpecError, match="granularity must be one of 'D', 'I' and 'C' with reduction 'none'"):
        losses.SoftDiceLoss(granularity={'D': 0.5, 'I': 0.5}, reduction='none')
    with pytest.raises(ValueError, match="granularity must be one of 'D', 'I' and 'C' with reduction 'none'"):
        losses.SoftDiceLoss(granularity={'D': 0.5, 'I': 0.5}, ignore_index=255)(pred, target, reduction_override='none')
    with pytest.raises(ValueError, match="granularity must be one of 'D', 'I' and 'C' with reduction 'none'"):
        LOSSES['SoftDiceLoss'](granularity={'D': 0.5, 'I': 0.5}, ignore_index=255).reference(z, y, reduction='none')
    with pytest.raises(SpecError, match=r"reduction must be one of \('mean', 'none'\), got 'sum'"):
        losses.SoftDiceLoss(reduction='sum')
    with pytest.raises(ValueError, match="reduction_override='none' has no meaning"):
        losses.LogCoshDiceLoss(ignore_index=255)(pred, target, reduction_override='none')
    for name, allowed in (('LogCoshDiceLoss', "('mean',)"), ('WeightedCrossEntropyLoss', "('mean', 'sum', 'none')")):
        with pytest.raises(ValueError) as caught:
            LOSSES[name](ignore_index=255).reference(z, y, reduction='median')
        assert str(caught.value) == f"{name}: reduction must be one of {allowed}, got 'median'"


def test_parts_of_a_sum_agree_in_what_they_give():
    """Losses of images are not stretched over a map of pixels."""
    z, y, _ = arrays()
    call = torch.tensor(z), torch.tensor(y)
    parts = [losses.SoftDiceLoss(granularity='I', reduction='none'), losses.WeightedCrossEntropyLoss(reduction='none')]
    sentence = 'must all give losses of pixels, of images or of classes, got those of {} and those of {}'
    with pytest.raises(ValueError, match=re.escape(sentence.format('images (3,)', 'pixels (3, 6, 7)'))):
        losses.WeightedSumLoss(parts)(*call, ignore_index=255)
    classes = losses.SoftDiceLoss(granularity='C', reduction='none')
    as_many = call[0][:, :3], call[1].where(call[1] != 3, 0)  # classes as images
    with pytest.raises(ValueError, match=re.escape(sentence.format('classes (3,)', 'images (3,)'))):
        losses.WeightedSumLoss([parts[0], classes])(*as_many, ignore_index=255)
    both = losses.WeightedSumLoss([parts[0], losses.SoftJaccardLoss(granularity='I', reduction='none')], weights=[1, 2])
    want = parts[0](*call, ignore_index=255) + 2 * losses.SoftJaccardLoss(granularity='I', reduction='none')(
        *call, ignore_index=255
    )
    assert_same(both(*call, ignore_index=255), want, 'float64')


@pytest.mark.slow_on('keras_tensorflow')
@BACKENDS
def test_keras_refuses_the_same(framework, worker):
    z, y, _ = arrays('float32')
    calls = [
        ('SoftDiceLoss', dict(granularity={'D': 0.5, 'I': 0.5}, reduction=None)),
        ('SoftDiceLoss', dict(reduction='sum')),
        ('LogCoshDiceLoss', dict(reduction='none')),
    ]
    parts = [('SoftDiceLoss', dict(granularity='I', reduction=None, from_logits=True, ignore_class=255))]
    parts.append(('WeightedCrossEntropyLoss', dict(reduction=None, from_logits=True, ignore_class=255)))
    calls.append(('WeightedSumLoss', dict(losses=[dict(type=name, **given) for name, given in parts])))
    given = dict(y_true=y, y_pred=np.moveaxis(z, 1, -1))
    said, _ = worker.call('tests.losses.unreduced_calls:refusals', given, calls=calls)
    assert "granularity must be one of 'D', 'I' and 'C' with reduction 'none'" in said[0]
    assert "reduction must be one of ('sum_over_batch_size', 'mean', 'none'), got 'sum'" in said[1]
    assert "reduction must be one of ('sum_over_batch_size', 'mean'), got 'none'" in said[2]
    assert 'got those of images (3,) and those of pixels (3, 6, 7)' in said[3]


@pytest.mark.parametrize('level', 'DIC')
@pytest.mark.parametrize('name', ['JaccardMetricLoss', 'SensitivitySpecificityLoss'])
def test_classes_of_no_weight_hide_no_wrong_prediction(name, level):
    """NaN in value and gradient where all classes that count weigh nothing, in blocks and without."""
    for side in (6, 60):
        z, y = torch.randn(2, 4, side, side), torch.randint(3, (2, side, side))
        z[1, 0, 0, 0] = torch.nan
        z.requires_grad_()
        given = dict(granularity=level, class_weight=[0, 0, 0, 1.0], normalize_class_weight=True)
        value = getattr(losses, name)(**given)(z, y)
        value.backward()
        assert value.isnan() and z.grad[:, :3].isnan().all()
