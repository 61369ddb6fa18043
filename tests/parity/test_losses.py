"""Every implementation of every loss beside the reference: values and gradients, float32 and float64."""

import dataclasses
import functools

import numpy as np
import pytest

from segparity.parity import cases, check
from segparity.parity.check import side
from segparity.parity.frameworks import BOTH
from segparity.parity.ways import FEW_ONE, OF_AREAS, WAYS, averages_images, large_plan, plan, precisions, replays
from shared_spec import LOSSES
from tests.support.assertions import assert_gradient, assert_same
from tests.support.expected import assert_expected_gradient, expected_result, first_example
from tests.support.frameworks import KERAS, axis, axis_of_ways
from tests.support.selection import wants


def is_taken(name, example):
    """Whether a kernel takes the overlap statistics of an example."""
    return LOSSES[name].of_overlap and LOSSES[name].examples[example].params.get('norm', 1) in (1, 2)


def works_in_blocks(name, example):
    """Whether an operator on the CPU takes the sums over pixels of an example; Lovasz losses sort pixels, erosions and
    discs of HausdorffDistanceLoss and the neighbours of ActiveBoundaryLoss take whole maps, and some losses no maps.
    """
    whole = (
        LOSSES[name].examples[example].params.get('method') in ('erosion', 'convolution') or LOSSES[name].needs_areas
    )
    takes_maps = LOSSES[name].is_plain() or LOSSES[name].of_features()
    sums = 'Lovasz' not in name and not LOSSES[name].of_overlap and not whole and takes_maps
    return sums or is_taken(name, example)


# The reference and PyTorch meet the cases with a loss's first example, and the labels and channels that parameters act on
# with the others. What a loss receives in all its forms one piece of code prepares for all losses of a world: two meet
# every form, on TensorFlow one. In Keras the first example of a loss meets on PyTorch what tries its rounding and what has no number, on
# TensorFlow less of it, each other example one case on PyTorch, of soft labels where it takes them. JAX compiles for every
# loss, form of labels and shape, so the first example of a loss compiles once there, in float32. The rest with -m slow, but
# for what compiles longest (`is_tried`); `segparity check` replays all.
ROUNDING = {
    'keras_torch': {
        'soft_label_at_target', 'absent_class', 'large_logits_soft', 'ignored_border', 'not_a_number', 'huge_logits',
        'huge_where_right', 'all_ignored', 'one_channel', 'one_channel_not_a_number', 'one_channel_huge_logits',
        *OF_AREAS[:2], 'features', 'features_equal', 'features_huge', 'features_infinite', 'features_of_pixels',
    },
    'keras_tensorflow': {
        'ignored_border', 'not_a_number', OF_AREAS[1], 'features_infinite',
    },
}  # fmt: skip
FUSED = {'hard_label', 'soft_label', 'pixel_weight', 'infinite', *ROUNDING['keras_torch']} - {
    'all_ignored', 'one_channel', 'absent_class', *OF_AREAS[:2]
}  # fmt: skip
EVERY_FORM = ('JaccardMetricLoss', 'WeightedCrossEntropyLoss')
HALF = (*EVERY_FORM, 'ExponentialLogarithmicLoss', 'LovaszSoftmaxLoss')
FORMS = {
    'trailing_axis_uint8', 'float_ids', 'one_channel_bool', 'ignored_by_the_call', 'one_image', 'image_weight_zero', 'line',
}  # fmt: skip
IN_BOTH = ('ignored_border', 'one_channel', 'features_weighted')
LONG_ON_JAX = ('ActiveBoundaryLoss', 'CenterlineDiceLoss', 'ConditionalBoundaryLoss', 'PixelTripletLoss')  # to compile
LARGE = ('large_weighted', 'large_many_classes', 'large_soft', 'large_not_a_number')
ONCE = ('pixel_weight_soft', 'one_image_ignored', 'one_channel', 'features_weighted')
OF_IMAGES = ('pixel_weight_soft', 'one_image_ignored', 'image_weight')


def marks(framework, way, name, example, case):
    if way == 'kernels':
        return (pytest.mark.gpu,)
    if (
        way in ('graph', 'xla', 'eager')
        and framework in ('keras_tensorflow', 'keras_jax')
        and way != WAYS[framework][0]
    ):
        return () if name == EVERY_FORM[0] and case == 'ignored_border' and way == 'graph' else (pytest.mark.slow,)
    if way == 'fused':
        return () if case in ONCE or (example == first_example(name) and case in FUSED) else (pytest.mark.slow,)
    first = example == first_example(name)
    if framework == 'torch':
        of_images = case == OF_IMAGES[0] or (case in OF_IMAGES and averages_images(LOSSES[name].examples[example]))
        every = (
            name in EVERY_FORM or not LOSSES[name].is_plain()
        )  # of which some prepare what they receive by themselves
        quick = case in (*IN_BOTH, *OF_AREAS[:2]) or of_images or (first and (case not in FORMS or every))
    elif not first:
        quick = framework == 'keras_torch' and case == next(c for c in ONCE if (example, c) in plan(name))
    elif framework in ('keras_tensorflow', 'keras_torch'):
        quick = case in ROUNDING[framework] or name in EVERY_FORM[framework == 'keras_tensorflow' :]
    elif framework == 'keras_jax':
        one = LOSSES[name].channels == ('one',) and case == FEW_ONE[0]
        quick = one or (case in ('ignored_border', 'not_a_number') and name not in LONG_ON_JAX)
    else:
        quick = name in EVERY_FORM and case in IN_BOTH
    return (pytest.mark.quick_on(*KERAS),) if quick else (pytest.mark.slow,)


def is_tried(framework, way, name, example, case):
    """Whether a combination is tried at all, of those that ``segparity check`` replays: what compiles for seconds and says of
    every loss the same, few losses say."""
    every = name in EVERY_FORM or not LOSSES[name].is_plain()
    if way in ('graph', 'xla', 'eager') and way != WAYS[framework][0]:
        return name in HALF
    if framework == 'keras_jax':
        return every or case not in FORMS
    if framework == 'keras_jax_x64':
        return (every or case not in FORMS) and (example == first_example(name) or case == 'ignored_border')
    return True


COMBINATIONS = [
    pytest.param(name, example, case, *f.values, id=f'{name}-{example}-{case}-{f.id}', marks=(*f.marks, *of_case))
    for f in axis_of_ways()
    for name in LOSSES
    for example, case in plan(name)
    if replays(*f.values, name, example, case)
    and is_tried(*f.values, name, example, case)
    and (f.values[1] != 'kernels' or is_taken(name, example))
    and (f.values[1] != 'fused' or works_in_blocks(name, example))
    and wants(of_case := marks(*f.values, name, example, case))
]  # fmt: skip


def ask(worker, spec, case, function='value_and_gradient', **options):
    return worker.call(
        f'{side(worker.framework)}:{function}',
        case.arrays,
        loss=spec.to_dict(),
        ignore_index=case.call_ignore_index,
        **options,
    )


def compare(got, case, value, gradient, precision, label):
    assert_same(got['value'], value, precision, label)
    if gradient is None and np.isnan(value):  # of a loss that takes more: where it is NaN depends on what it took
        assert np.isnan(got['gradient']).any(), label
    elif gradient is None:
        assert np.isfinite(got['gradient']).all(), label
    else:
        assert_expected_gradient(got['gradient'], gradient, f'{precision}_gradient', label)


@pytest.mark.parametrize(('name', 'example', 'case', 'framework', 'way'), COMBINATIONS)
def test_value_and_gradient(name, example, case, framework, way, worker):
    spec, inputs, value, gradient = expected_result(name, example, case)
    needs = ask_ways(framework, worker)[way]
    if needs:
        pytest.skip(f'{framework} {way} needs {needs}')
    for precision in precisions(framework, way):
        dtype, got = ask(worker, spec, inputs, dtype=precision, way=way)
        assert dtype == precision
        compare(got, inputs, value, gradient, precision, f'{name}, {example}, {case}, {framework}, {way}, {precision}')


@functools.cache
def ask_ways(framework, worker):
    return worker.call(f'{side(framework)}:ways')[0]


@pytest.mark.parametrize(('framework', 'way'), [f for f in axis_of_ways() if f.values[1] == 'fused'])
@pytest.mark.parametrize(
    ('name', 'example', 'case'),
    [
        pytest.param(n, e, c, marks=() if e == first_example(n) and c in LARGE else pytest.mark.slow)
        for n in LOSSES
        for e, c in large_plan(n)
        if works_in_blocks(n, e)
    ],
)
def test_large_logits_in_blocks(name, example, case, framework, way, worker):
    """By themselves, as users' logits are; what each row is compared with: ``segparity.parity.large_cases``."""
    job = next(job for job in check._large_jobs(name) if (job.example, job.case_name) == (example, case))
    rows = list(check._rows(worker, way, job, {}))
    assert len(rows) == 2 and all(row.ok for row in rows), rows


@pytest.mark.gpu
@pytest.mark.parametrize(('name', 'example', 'case'), [(n, e, c) for n in LOSSES for e, c in plan(n)])
def test_value_and_gradient_on_a_gpu(name, example, case):
    """In this process: workers see no GPU unless the environment names one."""
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    from segparity.parity import torch_side

    spec, inputs, value, gradient = expected_result(name, example, case)
    arrays = {k: array for k, array in inputs.arrays.items() if array is not None}
    about = dict(loss=spec.to_dict(), ignore_index=inputs.call_ignore_index)
    for precision in BOTH:
        dtype, got = torch_side.value_and_gradient(arrays, **about, dtype=precision, device='cuda')
        assert dtype == precision
        compare(got, inputs, value, gradient, precision, f'{name}, {example}, {case}, cuda, {precision}')


# What a loss receives in Keras, row by row of the table, through a compiled model: jitted fit and evaluate. The slow
# rows hold other numbers in arrays of shapes and dtypes that a row above has. Every loss: tests/losses/test_compiled.py,
# but for the one that takes one channel.
TABLE = [
    'hard_label', 'trailing_axis_uint8', 'float_ids', 'one_hot', 'soft_label', 'one_channel', 'one_channel_bool',
    'one_channel_soft', 'pixel_weight', 'image_weight', 'all_ignored', 'volume', 'probabilities', 'samples', 'samples_soft',
]  # fmt: skip
SLOW_ROWS = ['ignored_border', 'one_channel_ignored', 'pixel_weight_soft', 'one_image_ignored']
THROUGH_FIT = [
    pytest.param('JaccardMetricLoss', 'image_class', case, marks=pytest.mark.slow_on('keras_tensorflow'))
    for case in TABLE
] + [
    pytest.param(name, first_example(name), 'one_channel', marks=pytest.mark.slow_on('keras_tensorflow'))
    for name in LOSSES
    if LOSSES[name].channels == ('one',)
]
MORE = [('JaccardMetricLoss', 'image_class', case) for case in SLOW_ROWS] + [
    (name, first_example(name), case)
    for name in LOSSES
    for case in ('pixel_weight_soft', 'one_channel')
    if LOSSES[name].is_plain()
    if (first_example(name), case) in plan(name)
]
KNOWN = [row.values if hasattr(row, 'values') else row for row in THROUGH_FIT]
THROUGH_FIT += [pytest.param(*row, marks=pytest.mark.slow) for row in MORE if row not in KNOWN]


@pytest.mark.parametrize('framework', axis(*(f for f in KERAS if f != 'keras_jax_x64')))
@pytest.mark.parametrize(('name', 'example', 'case'), THROUGH_FIT)
def test_through_compiled_fit_and_evaluate(name, example, case, framework, worker):
    spec, inputs, value, gradient = expected_result(name, example, case)
    fitted, got = ask(worker, spec, inputs, 'fit', jit=framework != 'keras_torch')
    label = f'{name}, {example}, {case}, {framework}, fit'
    assert_same(fitted, value, 'float32', label)
    compare(got, inputs, value, gradient, 'float32', label)


def large_case():
    """512 x 1024 pixels, five classes, the last with three pixels and hardly any predicted mass; ignored corner."""
    rng = np.random.default_rng(7)
    target = np.zeros((1, 512, 1024), np.int64)
    target[:, :, 256:] = 1
    target[:, 200:300, 300:700] = 2
    target[:, 50:90, 50:250] = 3
    target[0, 400, 900:903] = 4
    pred = rng.normal(0, 2, (1, 5, 512, 1024))
    pred += 3 * (target[:, None] == np.arange(5)[None, :, None, None])
    pred[:, 4] -= 18
    target[:, :20, :20] = 255
    return cases.Case(pred.astype(np.float32).astype(np.float64), target, ignore_index=255)


@functools.lru_cache(maxsize=1)
def large_expected(name, log_loss):
    pytest.importorskip(
        'torch', reason='the gradient of the large case is PyTorch in float64, checked on the small ones'
    )
    from segparity.parity.torch_side import value_and_gradient

    case = large_case()
    spec = LOSSES[name](ignore_index=255, **(dict(log_loss=True) if log_loss else {}))
    _, got = value_and_gradient(dict(pred=case.pred, target=case.target), spec.to_dict(), dtype='float64')
    return spec, case, spec.reference(case.pred, case.target), got['gradient']


@pytest.mark.parametrize('framework', axis(*(f for f in ('torch', *KERAS) if f != 'keras_jax_x64')))
@pytest.mark.parametrize(
    ('name', 'log_loss'), [('JaccardMetricLoss', True), ('SoftDiceLoss', False), ('WeightedCrossEntropyLoss', False)]
)
def test_three_pixels_in_half_a_million(name, log_loss, framework, worker):
    spec, case, value, gradient = large_expected(name, log_loss)
    label = f'{name}, large, {framework}'
    _, got = ask(worker, spec, case, dtype='float32')
    assert_same(got['value'], value, 'float32', label)
    assert_gradient(got['gradient'], gradient, 'float32_gradient', label, smallest=1e-9)


def of_some(name):
    """A parameter: in Keras a few say what PyTorch says of every loss."""
    return pytest.param(name, marks=() if name in HALF else pytest.mark.slow_on('keras_torch', 'keras_tensorflow'))


def largest_logits(case):
    """The case with predictions as large as float16 holds, right and wrong."""
    return dataclasses.replace(case, pred=np.where(case.pred > 0, 65504.0, 0.0 if case.of_features else -65504.0))


@pytest.mark.parametrize('precision', [pytest.param('bfloat16', marks=pytest.mark.slow), 'float16'])
@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax', 'keras_torch'))
@pytest.mark.parametrize('name', [of_some(name) for name in LOSSES])
def test_half_precision_in_float32_inside(name, framework, precision, worker):
    """The value is that of the rounded predictions as if they were float32; the gradient comes in half precision."""
    example = first_example(name)
    case = next(case for case in IN_BOTH if (example, case) in plan(name))
    spec, inputs, value, gradient = expected_result(name, example, case, precision)
    dtype, got = ask(worker, spec, inputs, dtype=precision)
    assert dtype == 'float32'
    assert_same(got['value'], value, 'float32', f'{name}, {framework}')
    assert_expected_gradient(got['gradient'], gradient, precision, f'{name}, {framework}')
    if precision == 'float16':
        _, got = ask(worker, spec, largest_logits(inputs), dtype=precision)
        assert np.isfinite(got['value']) and np.isfinite(got['gradient']).all(), f'{name}, {framework}, largest logits'
