"""``loss(logits, labels, align_corners=...)`` is ``interpolate`` followed by the loss, block by block."""

import functools

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.support.assertions import assert_gradient, assert_same

torch = pytest.importorskip('torch', reason='needs PyTorch')

from torch.nn import functional

from mmseg_plugin import resized, values
from mmseg_plugin.kernels import pixel_sums, workers
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.kernels.resize import Resized
from mmseg_plugin.registry import build
from tests.support.losses import PLAIN

# which take all pixels at once: sort, erode, or look at neighbours
WHOLE = ('LovaszSoftmaxLoss', 'LovaszHingeLoss', 'CenterlineDiceLoss', 'ActiveBoundaryLoss', 'TopologyAwareFocalLoss')
IGNORED = 255
VALUE = {torch.float64: 'float64', torch.float32: 'float32'}
GRADIENT = {torch.float64: 'float64', torch.float32: 'float32_gradient'}


@pytest.fixture
def blocks(monkeypatch):
    """Small inputs are taken block by block as large ones are; returns how many blocks each call had."""
    found, divide = [], pixel_sums.Call.divide

    def count(call, *size):
        places = divide(call, *size)
        found.append(len(places))
        return places

    monkeypatch.setattr(pixel_sums, 'SMALL', 10)
    monkeypatch.setattr(pixel_sums, 'BLOCK', 1500)
    monkeypatch.setattr(pixel_sums.Call, 'divide', count)
    return found


@pytest.fixture
def never_whole(monkeypatch):
    def whole(self):
        raise AssertionError('the logits of every pixel were made')

    monkeypatch.setattr(Resized, 'whole', whole)


def inputs(classes=5, labels='hard', dtype=torch.float64, size=(33, 26), small=(9, 7), seed=0):
    """(logits (2, C, *small), target of the size), the first lines ignored."""
    generator = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(2, classes, *small, generator=generator, dtype=torch.float64)
    if labels == 'hard':
        y = torch.randint(max(classes, 2), (2, *size), generator=generator)
        y[:, :4] = IGNORED
    else:
        y = torch.rand(2, classes, *size, generator=generator, dtype=torch.float64)
        y = y / y.sum(1, keepdim=True) if classes > 1 else y
        y = y.to(dtype)
    return z.to(dtype), y


def host(z, y, align_corners, **call):
    """The (logits of every pixel) as a head makes them."""
    return functional.interpolate(z, y.shape[-2:], mode='bilinear', align_corners=align_corners)


def value_and_gradient(call, z):
    z = z.clone().requires_grad_()
    loss = call(z)
    loss.backward()
    return loss.detach().numpy(), z.grad.numpy()


def check(loss, z, y, align_corners, tolerances=('float64', 'float64'), **call):
    got, slope = value_and_gradient(lambda z: loss(z, y, align_corners=align_corners, **call), z)
    want, wanted = value_and_gradient(lambda z: loss(host(z, y, align_corners), y, **call), z)
    assert got.dtype == want.dtype
    assert_same(got, want, tolerances[0], scale=max(1, abs(want)))
    assert_gradient(slope, wanted, tolerances[1])
    return got


def cases():
    for name, spec in PLAIN.items():
        for channels in ('one', 'many'):
            for labels in ('hard', 'soft'):
                if channels in spec.channels and labels in spec.labels:
                    yield name, 1 if channels == 'one' else 5, labels


def quick_cases():
    """The cases as parameters, of which those of soft labels are slow where hard ones are taken too."""
    for name, classes, labels in cases():
        again = labels == 'soft' and 'hard' in PLAIN[name].labels
        yield pytest.param(name, classes, labels, marks=pytest.mark.slow if again else ())


@pytest.mark.parametrize('align_corners', [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(('name', 'classes', 'labels'), list(quick_cases()))
def test_every_loss(name, classes, labels, align_corners, blocks):
    ignored = IGNORED if labels == 'hard' else None
    for dtype in (torch.float64, torch.float32):
        z, y = inputs(classes, labels, dtype)
        check(build(dict(type=name)), z, y, align_corners, (VALUE[dtype], GRADIENT[dtype]), ignore_index=ignored)
    assert name in WHOLE or max(blocks) > 1


@pytest.mark.parametrize(('name', 'classes', 'labels'), [c for c in cases() if c[0] not in WHOLE])
def test_the_logits_of_every_pixel_never_exist(name, classes, labels, blocks, never_whole):
    z, y = inputs(classes, labels)
    loss = build(dict(type=name))(z.requires_grad_(), y, align_corners=False, ignore_index=IGNORED)
    loss.backward()
    assert loss.isfinite() and z.grad.any()


@pytest.mark.parametrize('small', [(1, 1), (2, 1), (33, 26), (40, 50), (66, 52), (16, 13), (5, 26), (33, 7)])
@pytest.mark.parametrize('align_corners', [False, True])
def test_sizes(small, align_corners, blocks):
    """Larger, smaller, equal, along one axis alone; one line."""
    z, y = inputs(small=small)
    for name in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss'):
        check(build(dict(type=name)), z, y, align_corners, ignore_index=IGNORED)


def test_columns_beyond_a_tile(blocks):
    """Rows are so long that the gradient takes several products of matrices."""
    z, y = inputs(3, size=(5, 700), small=(3, 130))
    check(build(dict(type='WeightedCrossEntropyLoss')), z, y, False, ignore_index=IGNORED)


@pytest.mark.parametrize('layout', ['channels_last', 'transposed', 'slices'])
def test_memory_layouts(layout, blocks):
    z, y = inputs(small=(8, 8))
    for_layout = dict(
        channels_last=lambda z: z.contiguous(memory_format=torch.channels_last),
        transposed=lambda z: z.transpose(2, 3),
        slices=lambda z: z.repeat_interleave(2, 3)[..., ::2],
    )[layout]
    got, slope = value_and_gradient(
        lambda z: build(dict(type='UnifiedFocalLoss'))(z, y, align_corners=False, ignore_index=255), for_layout(z)
    )
    want, wanted = value_and_gradient(
        lambda z: build(dict(type='UnifiedFocalLoss'))(host(z, y, False), y, ignore_index=255), for_layout(z)
    )
    assert_same(got, want, 'float64')
    assert_gradient(slope, wanted, 'float64')


@pytest.mark.parametrize(
    'config',
    [
        dict(type='WeightedCrossEntropyLoss', class_weight='inverse_frequency', label_smoothing=0.1),
        dict(type='WeightedCrossEntropyLoss', activation='sigmoid', class_weight='balanced'),
        dict(type='WeightedCrossEntropyLoss', reduction='sum'),
        dict(type='JaccardMetricLoss', granularity={'I': 0.5, 'C': 0.5}, classes='present', norm=3),
        dict(type='JaccardMetricLoss', loss_weight=0),
        dict(type='SoftDiceLoss', norm=2, activation='sigmoid'),
        dict(type='GeneralizedDiceLoss', overlap='metric'),
        dict(type='UnifiedFocalLoss', activation='sigmoid'),
        dict(type='WeightedSumLoss', loss_weight=0),
    ],
    ids=lambda config: '-'.join(str(v) for v in config.values()),
)
@pytest.mark.parametrize('labels', ['hard', 'soft'])
def test_parameters(config, labels, blocks):
    z, y = inputs(labels=labels)
    check(build(config), z, y, False, ignore_index=IGNORED)
    assert blocks


def test_maps_of_losses_and_factors():
    z, y = inputs()
    loss = build(dict(type='WeightedCrossEntropyLoss', reduction='none'))
    got, want = loss(z, y, align_corners=True, ignore_index=255), loss(host(z, y, True), y, ignore_index=255)
    assert_same(got.numpy(), want.numpy(), 'float64')
    check(build(dict(type='WeightedCrossEntropyLoss')), z, y, True, ignore_index=255, avg_factor=100)


@pytest.mark.parametrize('name', ['WeightedCrossEntropyLoss', 'SoftDiceLoss', 'ComboLoss'])
def test_weights_of_pixels_and_images(name, blocks):
    z, y = inputs()
    weight = torch.rand(2, 33, 26, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    check(build(dict(type=name)), z, y, False, ignore_index=IGNORED, weight=weight * (weight > 0.2))
    check(build(dict(type=name)), z, y, False, ignore_index=IGNORED, weight=torch.tensor([0.5, 2.0]))


@pytest.mark.parametrize('name', ['WeightedCrossEntropyLoss', 'SoftDiceLoss', 'UnifiedFocalLoss'])
def test_probabilities(name, blocks):
    z, y = inputs()
    loss = build(dict(type=name, from_logits=False))
    check(loss, z.softmax(1), y, False, ignore_index=IGNORED)
    with pytest.raises(ValueError, match=f'^{name}: a prediction of probabilities must lie in'):
        loss(2 * z.softmax(1), y, align_corners=False, ignore_index=IGNORED)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_interpolated_in_float32(dtype, blocks):
    z, y = inputs(dtype=dtype)
    for name in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss'):
        loss = build(dict(type=name))
        a, b = z.clone().requires_grad_(), z.float().requires_grad_()
        with torch.autocast('cpu', dtype=torch.bfloat16):
            got = loss(a, y, align_corners=False, ignore_index=IGNORED)
        want = loss(host(b, y, False), y, ignore_index=IGNORED)
        assert_same(got.detach().numpy(), want.detach().numpy(), 'float32')
        got.backward()
        want.backward()
        assert a.grad.dtype == dtype
        assert_gradient(a.grad.float().numpy(), b.grad.to(dtype).float().numpy(), 'bfloat16')


@pytest.mark.parametrize('visible', [True, False])
@pytest.mark.parametrize('wrong', [torch.nan, torch.inf])
@pytest.mark.parametrize('name', ['WeightedCrossEntropyLoss', 'JaccardMetricLoss', 'UnifiedFocalLoss'])
def test_what_is_no_number_makes_the_loss_none(name, wrong, visible, blocks, monkeypatch):
    """Wherever values can be seen or not; not where all pixels that it reaches are ignored."""
    monkeypatch.setattr(resized.values, 'can_look', lambda *x: visible)
    monkeypatch.setattr('mmseg_plugin.inputs.can_look', lambda *x: visible)
    z, y = inputs(size=(36, 28))
    z[0, 1, 8, 3] = wrong
    loss = build(dict(type=name))
    got, slope = value_and_gradient(lambda z: loss(z, y, align_corners=False, ignore_index=IGNORED), z)
    assert np.isnan(got) and np.isnan(slope).all()
    y[0, 26:] = IGNORED
    got, _ = value_and_gradient(lambda z: loss(z, y, align_corners=False, ignore_index=IGNORED), z)
    want, _ = value_and_gradient(lambda z: loss(host(z, y, False), y, ignore_index=IGNORED), z)
    assert np.isfinite(got)
    assert_same(got, want, 'float64')


@pytest.mark.parametrize('labels', ['hard', 'soft'])
@pytest.mark.parametrize('name', ['WeightedCrossEntropyLoss', 'JaccardMetricLoss'])
def test_labels_that_are_none(name, labels, blocks, monkeypatch):
    z, y = inputs(labels=labels)
    if labels == 'hard':
        y[1, 9, 9] = 7
    else:
        y[1, 2, 9, 9] = 1.5
    loss = build(dict(type=name))
    with pytest.raises(ValueError, match=f'^{name}: (target|label|soft labels must lie)'):
        loss(z, y, align_corners=False, ignore_index=IGNORED)
    monkeypatch.setattr('mmseg_plugin.inputs.can_look', lambda *x: False)
    assert loss(z, y, align_corners=False, ignore_index=IGNORED).isnan()


def test_soft_labels_that_cannot_be_looked_at(blocks, never_whole, monkeypatch):
    """As on a GPU: which classes are present needs the pixels' weights, which are found block by block."""
    monkeypatch.setattr('mmseg_plugin.inputs.can_look', lambda *x: False)
    z, y = inputs(labels='soft')
    loss = build(dict(type='JaccardMetricLoss', classes='present'))
    got = loss(z, y, align_corners=False)
    monkeypatch.undo()
    assert_same(got.numpy(), loss(host(z, y, False), y).numpy(), 'float64')


def test_every_run_gives_the_same_bits(blocks):
    """Neighbouring blocks share input rows, to which their gradients are added in order."""
    z, y = inputs(dtype=torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert workers.number() == 2
        for name in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss'):
            call = functools.partial(build(dict(type=name)), target=y, align_corners=False, ignore_index=IGNORED)
            runs = [value_and_gradient(call, z) for _ in range(5)]
            assert all(np.array_equal(runs[0][1], slope) and value == runs[0][0] for value, slope in runs)
    finally:
        torch.set_num_threads(threads)


def test_plain_operators_allow_second_derivatives(monkeypatch):
    monkeypatch.setattr(choice, 'MODE', 'plain')
    z, y = inputs(2, size=(4, 4), small=(2, 2))
    loss = build(dict(type='JaccardMetricLoss'))
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y % 2, align_corners=False), z.requires_grad_())


class TestRefusals:
    @pytest.fixture
    def loss(self):
        return build(dict(type='WeightedCrossEntropyLoss'))

    def test_sizes_must_agree_without_the_argument(self, loss):
        z, y = inputs()
        with pytest.raises(ValueError, match=r'target must be \(N, \*space\) = \(2, 9, 7\)'):
            loss(z, y)

    def test_no_truth_value(self, loss):
        with pytest.raises(TypeError, match="align_corners must be True, False or None, got 'no'"):
            loss(*inputs(), align_corners='no')

    def test_volumes(self, loss):
        z, y = torch.zeros(1, 3, 4, 4, 4), torch.zeros(1, 8, 8, 8, dtype=torch.long)
        with pytest.raises(
            ValueError, match=r'align_corners resizes pred \(N, C, h, w\) alone, got shape \(1, 3, 4, 4, 4\); resize'
        ):
            loss(z, y, align_corners=False)

    def test_nothing_to_resize(self, loss):
        with pytest.raises(ValueError, match=r'pred \(1, 3, 0, 4\) cannot be resized to \(8, 8\)'):
            loss(torch.zeros(1, 3, 0, 4), torch.zeros(1, 8, 8, dtype=torch.long), align_corners=False)

    def test_batches_that_differ(self, loss):
        z, y = inputs()
        with pytest.raises(ValueError, match='target must be'):
            loss(z, y[:1], align_corners=False)

    def test_labels_without_a_size(self, loss):
        with pytest.raises(ValueError, match='target must be'):
            loss(inputs()[0], torch.zeros(2, dtype=torch.long), align_corners=False)


def test_reads_nothing_of_the_stand_in():
    """The rules about shapes are asked of a tensor that takes no memory."""
    z, y = inputs(dtype=torch.float32)
    batch = resized.prepare_at_size(LOSSES['SoftDiceLoss'](), z, y, None, IGNORED, False)
    assert 'given' not in vars(batch) and batch.shape == (2, 5, 33 * 26) and batch.dtype == torch.float32
    assert values.can_look(z)
