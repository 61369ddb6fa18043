"""The Lovasz losses of Keras on more pixels than they sort: values and gradients from bins beside the reference, in float64.

The reference sorts (``shared_spec.losses.region.lovasz``); the gradient here is its increments times the slope of softmax,
sigmoid or hinge, which the reference itself holds along a direction.
"""

import functools

import numpy as np
import pytest

from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import LOSSES
from shared_spec.granularity import mean_over_cells
from shared_spec.inputs import prepare
from tests.support.frameworks import axis

SIDE = 264  # of the square pictures, of more than 2**16 pixels
CLASSES = 4
CALL = 'segparity.parity.keras_side:value_and_gradient'
KERAS = tuple(name for name in FRAMEWORKS if name.startswith('keras') and name != 'keras_jax_x64')
VALUE, GRADIENT = 1e-6, 1e-3  # what counting in bins may cost: of the value, of the largest gradient


def labels(rng, kind, shape):
    """Classes of unequal size: of 'tiny' ones the last has one pixel; the last but one is absent from 'absent'."""
    shares = dict(tiny=[0.7, 0.2999, 0.0001, 0], absent=[0.6, 0.3, 0, 0.1]).get(kind, [0.6, 0.3, 0.09, 0.01])
    y = rng.choice(CLASSES, shape, p=shares)
    if kind == 'tiny':
        y[:, 100, 100] = CLASSES - 1
    return y


def logits(rng, kind, y):
    """(N, C, *space) float32."""
    one = np.moveaxis(np.eye(CLASSES)[y], -1, 1)
    noise = rng.normal(size=one.shape)
    z = dict(
        random=3 * noise,
        trained=2 * noise + 5 * one,
        nearly_perfect=noise / 2 + 14 * one,
        untrained=noise / 1000,
        equal=0 * noise,
        rounded=np.round(2 * noise),
        regions=np.round(noise) + noise / 1e3,
    )
    return z[kind].astype(np.float32)


# name -> (kind of logits, of labels, parameters, weighted, images)
GIVEN = dict(from_logits=False)  # where errors near 0 are what is asked: of logits float32 does not know 1 - p so well
SOFTMAX = {
    'random': ('random', '', {}, False, 1),
    'trained': ('trained', '', {}, False, 1),
    'untrained': ('untrained', '', {}, False, 1),
    'equal': ('equal', '', {}, False, 1),
    'rounded': ('rounded', '', {}, False, 1),
    'tiny': ('trained', 'tiny', {}, False, 1),
    'nearly_perfect': ('nearly_perfect', '', GIVEN, False, 1),
    'nearly_perfect_tiny': ('nearly_perfect', 'tiny', GIVEN, False, 1),
    'regions': ('regions', '', GIVEN, False, 1),
    'weighted': ('trained', '', {}, True, 1),
    'weighted_equal': ('equal', '', {}, True, 1),
    'weighted_tiny': ('trained', 'tiny', {}, True, 1),
    'all': ('trained', 'absent', dict(classes='all'), False, 1),
    'per_image': ('trained', '', dict(per_image=True, class_weight=[1.0, 2.0, 3.0, 0.5]), True, 2),
    'sigmoid': ('trained', '', dict(activation='sigmoid', classes=[3, 1]), True, 2),
}
HINGE = ('trained', 'absent', 'batch')
TIED = ('equal', 'weighted_equal', 'rounded')  # the order of equal errors decides the gradient
IGNORED = 255


@functools.lru_cache
def softmax_case(name):
    """(spec, prediction, labels, weights or None)."""
    kind, sizes, parameters, weighted, images = SOFTMAX[name]
    rng = np.random.default_rng(sorted(SOFTMAX).index(name))
    y = labels(rng, sizes, (images, SIDE, SIDE))
    z = logits(rng, kind, y)
    if not parameters.get('from_logits', True):  # of which 1 - p in float32 is 1 - p
        z = np.exp(z.astype(np.float64))
        z = (z / z.sum(1, keepdims=True)).astype(np.float32)
    y[:, :4] = IGNORED
    w = rng.uniform(0.1, 2, y.shape).astype(np.float32) if weighted else None
    return LOSSES['LovaszSoftmaxLoss'](ignore_index=IGNORED, **parameters), z, y, w


@functools.lru_cache
def hinge_case(name):
    rng = np.random.default_rng(0)
    y = rng.choice(2, (2, SIDE, SIDE), p=[0.8, 0.2])
    if name == 'absent':
        y[1] = 0
    margin = dict(trained=3.0, absent=3.0, batch=0.5)[name]
    z = (margin * (2 * y - 1) + 2 * rng.normal(size=y.shape)).astype(np.float32)[:, None]
    y[:, :4] = IGNORED
    return LOSSES['LovaszHingeLoss'](ignore_index=IGNORED, per_image=name != 'batch'), z, y, None


def reference(spec, z, y, w):
    """Value and gradient in float64 from the increments of the reference."""
    z = z.astype(np.float64)
    batch = prepare(spec, z, y, w)
    increments, errors = spec.increments(batch), spec.errors(batch)
    factors = np.zeros(errors.shape[:2])  # of the sums in the mean, which is linear in them
    for cell in np.ndindex(factors.shape):
        sums = np.zeros(factors.shape)
        sums[cell] = 1
        factors[cell] = mean_over_cells(spec, batch, [sums], lambda loss: loss, spec.class_weight)
    slope = spec.loss_weight * spec.slope(errors) * increments * factors[..., None] * (1 - 2 * batch.target)
    if spec.from_logits and not spec.needs_logits:
        p = batch.prob
        slope = p * (slope - (slope * p).sum(1, keepdims=True)) if batch.softmax else p * (1 - p) * slope
    return spec.reference(z, y, w), slope.reshape(z.shape)


@functools.lru_cache
def expected(kind, name):
    return reference(*(softmax_case if kind == 'softmax' else hinge_case)(name))


def ask(worker, case, way=None, **changes):
    spec, z, y, w = case
    given = dict(pred=z, target=y, **({} if w is None else dict(weight=w)))
    return worker.call(CALL, given, loss=spec.to_dict(), way=way, **changes)[1]


def compare(found, want, label, gradient=True):
    assert abs(float(found['value']) - want[0]) < VALUE, label
    difference = np.abs(found['gradient'] - want[1]).max() / np.abs(want[1]).max()
    assert not gradient or difference < GRADIENT, f'{label}: {difference:.1e}'
    assert difference < np.inf  # of ties too a gradient is a number


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis(*KERAS))
@pytest.mark.parametrize('name', SOFTMAX)
def test_softmax_is_the_reference_s(name, framework, worker):
    found = ask(worker, softmax_case(name))
    compare(found, expected('softmax', name), f'{name}, {framework}', gradient=name not in TIED)


@pytest.mark.parametrize('framework', axis(*KERAS))
@pytest.mark.parametrize('name', HINGE)
def test_hinge_is_the_reference_s(name, framework, worker):
    compare(ask(worker, hinge_case(name)), expected('hinge', name), f'{name}, {framework}')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('framework', 'way'),
    [
        pytest.param('keras_tensorflow', 'xla', marks=pytest.mark.xdist_group('keras_tensorflow')),
        pytest.param(
            'keras_tensorflow', 'graph', marks=[pytest.mark.xdist_group('keras_tensorflow'), pytest.mark.slow]
        ),
        pytest.param('keras_jax', 'eager', marks=[pytest.mark.xdist_group('keras_jax'), pytest.mark.slow]),
    ],
)
def test_other_ways_of_a_framework_count_the_same(framework, way, worker):
    """Those above: eager on TensorFlow and PyTorch, compiled on JAX."""
    names = ('trained', 'weighted_tiny', 'equal') if way == 'xla' else ('trained',)
    for name in names:
        compare(ask(worker, softmax_case(name), way), expected('softmax', name), f'{name}, {way}', name not in TIED)


@pytest.mark.parametrize('framework', axis(*KERAS))
def test_nan_of_one_pixel_is_in_value_and_gradient(framework, worker):
    spec, z, y, w = softmax_case('trained')
    z = z.copy()
    z[0, 1, 100, 7] = np.nan
    found = ask(worker, (spec, z, y, w))
    assert np.isnan(found['value']) and np.isnan(found['gradient'][:, :, 4:]).all()


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_float64_is_sorted(framework, worker):
    found = ask(worker, softmax_case('trained'), dtype='float64')
    value, gradient = expected('softmax', 'trained')
    assert abs(float(found['value']) - value) < 1e-12
    assert np.abs(found['gradient'] - gradient).max() < 1e-10 * np.abs(gradient).max()


@pytest.mark.parametrize('name', ['trained', 'per_image'])
def test_the_gradient_of_these_tests_is_the_reference_s_along_a_direction(name):
    spec, z, y, w = softmax_case(name)
    z = z.astype(np.float64)
    direction = np.random.default_rng(0).choice([-1.0, 1.0], z.shape)
    near = spec.reference_near(z, y, w)
    slope = (near(z + 1e-4 * direction) - near(z - 1e-4 * direction)) / 2e-4
    gradient = expected('softmax', name)[1]
    assert abs(slope - (gradient * direction).sum()) < 1e-6 * np.linalg.norm(gradient)
