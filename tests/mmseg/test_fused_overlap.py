"""The fused overlap operator: its gradient, its registration, what it refuses, its accuracy. Parity: tests/parity/test_losses.py."""

import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')
pytest.importorskip('mmseg', reason='needs MMSegmentation')

from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.kernels.overlap import cpu as overlap_cpu
from mmseg_plugin.kernels.overlap import fused as fused_overlap
from mmseg_plugin.kernels.overlap.fused import OverwritesProbabilities
from tests.support.assertions import assert_gradient, assert_same


@pytest.fixture
def fused(monkeypatch):
    """The operator wherever it can run, which is counted."""
    calls = []
    for name in ('forward', 'gradient', 'gradient_'):
        function = getattr(overlap_cpu, name)
        monkeypatch.setattr(overlap_cpu, name, lambda *a, _f=function, _n=name, **k: calls.append(_n) or _f(*a, **k))
    monkeypatch.setattr(choice, 'MODE', 'fused')
    return calls


def inputs(labels='hard', weight=None, classes=5, pixels=23, dtype=torch.float64, seed=0, activation='softmax'):
    """pred (3, C, P), target, weight; what stands at absent pixels is not a number and no class."""
    generator = torch.Generator().manual_seed(seed)
    pred = torch.randn(3, classes, pixels, generator=generator, dtype=torch.float64)
    pred = pred.sigmoid() if activation == 'none' else pred
    if labels == 'hard':
        target = torch.randint(0, classes, (3, pixels), generator=generator)
    else:
        target = torch.randn(3, classes, pixels, generator=generator, dtype=torch.float64).softmax(1)
    if weight is not None:
        w = torch.rand(3, pixels, generator=generator) > 0.3
        pred = pred.where(w[:, None], torch.nan)
        target = target.where(w, 255) if labels == 'hard' else target.where(w[:, None], torch.nan)
        weight = w if weight == 'mask' else w * torch.rand(3, pixels, generator=generator, dtype=torch.float64)
    return pred.to(dtype), target, weight


def overwrite(*call, logs=False):
    return OverwritesProbabilities.apply(*call, logs)


def slow_and_obvious(pred, target, weight, activation, flavour):
    p = {'softmax': lambda z: z.softmax(1), 'sigmoid': torch.sigmoid, 'none': lambda z: z}[activation](pred)
    if target.dim() == 2:
        target = torch.stack([target == c for c in range(pred.shape[1])], 1).to(p.dtype)
    both = torch.minimum(p, target) if flavour == 'metric' else p * target
    terms = dict(
        squared=[both, p**2 - both, target**2 - both],
        errors=[(p - target) ** 2 * target, (p - target) ** 2 * (1 - target), target],
    ).get(flavour, [both, p - both, target - both])
    terms = torch.stack(terms)
    if weight is not None:
        terms = torch.where((weight != 0)[:, None], terms * weight[:, None], 0)
    return terms.sum(3)


class Repeatable(torch.autograd.Function):
    """The operator that overwrites, run anew in every backward: central differences ask for many."""

    @staticmethod
    def forward(ctx, pred, *call):
        ctx.pred, ctx.call = pred, call
        return overwrite(pred.detach(), *call)

    @staticmethod
    def backward(ctx, grad):
        with torch.enable_grad():
            pred = ctx.pred.detach().requires_grad_()
            gradient = torch.autograd.grad(overwrite(pred, *ctx.call), pred, grad)
        return *gradient, None, None, None, None


OPERATORS = {'overwrites': Repeatable.apply, 'operator': fused_overlap.overlap}
CALLS = [
    ('hard', 'softmax', 'product'), ('hard', 'softmax', 'exact'), ('soft', 'softmax', 'product'),
    ('soft', 'softmax', 'metric'), ('hard', 'sigmoid', 'product'), ('soft', 'sigmoid', 'metric'),
    ('soft', 'softmax', 'exact'), ('soft', 'sigmoid', 'exact'), ('hard', 'softmax', 'squared'), ('soft', 'sigmoid', 'squared'),
    ('hard', 'softmax', 'errors'), ('soft', 'sigmoid', 'errors'),
]  # fmt: skip


NEEDS_LOGITS = [('soft', 'softmax', 'exact'), ('soft', 'sigmoid', 'exact')]
CHECKED = [(o, *call) for o in OPERATORS for call in CALLS if o == 'operator' or call not in NEEDS_LOGITS]


@pytest.mark.parametrize('weight', [None, 'mask', 'weights'])
@pytest.mark.parametrize(('operator', 'labels', 'activation', 'flavour'), CHECKED)
def test_gradcheck(operator, labels, activation, flavour, weight):
    pred, target, w = inputs(labels, weight, classes=3, pixels=5)
    kept = (labels, activation, flavour) not in NEEDS_LOGITS
    assert choice.overwrites(pred.requires_grad_(), target, activation, flavour) == kept
    # central differences of what is absent are 0 - 0, not of something without a number
    pred = pred.detach().nan_to_num(0.3)
    call = target, w, activation, flavour
    assert torch.autograd.gradcheck(lambda z: OPERATORS[operator](z, *call), pred.requires_grad_(), atol=1e-8)


@pytest.mark.parametrize('share', [20, 2**18], ids=['many_blocks', 'one_block'])
@pytest.mark.parametrize('classes', [3, 4, 13])
@pytest.mark.parametrize('weight', [None, 'mask', 'weights'])
@pytest.mark.parametrize('flavour', ['product', 'exact'])
def test_the_logarithms_beside_the_statistics(flavour, weight, classes, share, monkeypatch):
    monkeypatch.setattr(overlap_cpu, 'BLOCK', share)
    pred, target, w = inputs('hard', weight, classes)
    z, y = pred.nan_to_num(0).requires_grad_(), target.clamp(0, classes - 1)
    surprise = -z.log_softmax(1).gather(1, y[:, None])[:, 0] * (1 if w is None else w)
    of_classes = torch.stack([torch.where(y == c, surprise, 0).sum(1) for c in range(classes)], 1)
    wanted = torch.cat([slow_and_obvious(z, y, w, 'softmax', flavour), of_classes[None]])
    grad = torch.rand(4, 3, classes, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(wanted, z, grad)
    z = pred.clone().requires_grad_()
    got = overwrite(z, target, w, 'softmax', flavour, logs=True)
    assert_same(got.detach(), wanted.detach(), 'float64')
    assert_gradient(torch.autograd.grad(got, z, grad)[0].numpy(), gradient.numpy(), 'float64')


def test_no_logarithm_of_a_probability_that_is_too_small():
    z, y = torch.zeros(1, 5, 7), torch.ones(1, 7, dtype=torch.long)
    z[0, 0, 3] = 90
    found = overwrite(z.requires_grad_(), y, None, 'softmax', 'product', logs=True)
    assert not found[3, 0, 1].isfinite() and found[:3].isfinite().all()


@pytest.mark.parametrize(
    ('share', 'layout'), [(20, 'classes_first'), (2**18, 'classes_last')], ids=['many_blocks', 'classes_last']
)
@pytest.mark.parametrize('classes', [1, 2, 4, 13])
@pytest.mark.parametrize('weight', [None, 'mask', 'weights'])
@pytest.mark.parametrize(('labels', 'activation', 'flavour'), [*CALLS, ('soft', 'none', 'metric'), ('hard', 'none', 'product'), ('soft', 'none', 'exact')])  # fmt: skip
def test_is_what_autograd_gives(labels, activation, flavour, weight, classes, share, layout, monkeypatch):
    monkeypatch.setattr(overlap_cpu, 'BLOCK', share)
    pred, target, w = inputs(labels, weight, classes, activation=activation)
    pred = pred.transpose(1, 2).contiguous().transpose(1, 2) if layout == 'classes_last' else pred
    grad = torch.rand(3, 3, classes, dtype=torch.float64)
    z = pred.nan_to_num(0).requires_grad_()
    y = target.clamp(0, classes - 1) if labels == 'hard' else target.nan_to_num(0)
    wanted = slow_and_obvious(z, y, w, activation, flavour)
    keeps = choice.overwrites(z, target, activation, flavour)
    (gradient,) = torch.autograd.grad(wanted, z, grad)
    for run in (fused_overlap.overlap, *[overwrite] * keeps):
        z = pred.clone().requires_grad_()
        got = run(z, target, w, activation, flavour)
        assert_same(got.detach(), wanted.detach(), 'float64')
        assert_gradient(torch.autograd.grad(got, z, grad)[0].numpy(), gradient.numpy(), 'float64')


@pytest.mark.parametrize(
    ('labels', 'activation', 'flavour', 'dtype'),
    [
        ('hard', 'softmax', 'exact', torch.float32),
        ('soft', 'softmax', 'metric', torch.bfloat16),
        ('hard', 'sigmoid', 'product', torch.float32),
    ],
)
def test_opcheck(labels, activation, flavour, dtype):
    pred, target, w = inputs(labels, 'mask', dtype=dtype)
    # it compares outputs, and what is no number is not itself
    pred, target = pred.nan_to_num(0), target.nan_to_num(0).clamp(0, 4)
    torch.library.opcheck(fused_overlap.overlap, (pred.clone().requires_grad_(), target, w, activation, flavour))
    grad = torch.rand(3, 3, 5, dtype=torch.float64)
    torch.library.opcheck(fused_overlap.overlap_gradient, (pred, target, w, grad, activation, flavour))


@pytest.mark.parametrize(
    ('config', 'labels'),
    [(dict(type='JaccardMetricLoss', granularity=dict(I=0.5, C=0.5)), 'soft'), (dict(type='FocalTverskyLoss'), 'hard')],
)
def test_compiles_without_a_break(config, labels, fused):
    torch._dynamo.reset()
    loss = MODELS.build(dict(config, ignore_index=255))
    z, y, _ = inputs(labels, dtype=torch.float32)
    if labels == 'hard':
        y[:, :2] = 255
    z, again = z.clone().requires_grad_(), z.clone().requires_grad_()
    loss(z, y).backward()
    del fused[:]
    value = torch.compile(loss, fullgraph=True, backend='aot_eager')(again, y)
    value.backward()
    assert fused == ['forward', 'gradient']
    assert_same(value.detach(), loss(z, y).detach(), 'float32')
    assert_gradient(again.grad.numpy(), z.grad.numpy(), 'float32_gradient')


def test_a_second_backward_and_second_derivatives_are_refused(fused):
    z, y, _ = inputs()
    loss, z = MODELS.build(dict(type='SoftDiceLoss')), z.requires_grad_()
    value = loss(z, y)
    value.backward(retain_graph=True)
    with pytest.raises(
        RuntimeError, match='^the gradient .* cannot be taken twice, .* SEGPARITY_OVERLAP=plain'
    ) as caught:
        value.backward()
    assert '\n' not in str(caught.value)
    with pytest.raises(RuntimeError, match='^the gradient .* cannot be differentiated again: .*plain'):
        torch.autograd.grad(loss(z, y), z, create_graph=True)
    half = z.detach().bfloat16().requires_grad_()
    (first,) = torch.autograd.grad(loss(half, y), half, create_graph=True)
    with pytest.raises(RuntimeError, match='^the gradient .* cannot be differentiated again: .*plain'):
        first.sum().backward()


def test_plain_path_has_second_derivatives_and_takes_what_the_operator_does_not(fused, monkeypatch):
    z, y, _ = inputs()
    loss = MODELS.build(dict(type='JaccardMetricLoss'))
    assert torch.func.grad(lambda x: loss(x, y))(z).shape == z.shape
    teacher = torch.rand(z.shape, dtype=z.dtype).requires_grad_()
    loss(z, teacher).backward()
    assert teacher.grad.abs().sum() > 0
    monkeypatch.setattr(choice, 'MODE', 'plain')
    z.requires_grad_()
    (first,) = torch.autograd.grad(loss(z, y), z, create_graph=True)
    first.square().sum().backward()
    assert not fused


def test_small_logits_take_the_plain_path_and_large_ones_do_not(fused, monkeypatch):
    monkeypatch.setattr(choice, 'MODE', 'auto')
    loss = MODELS.build(dict(type='SoftDiceLoss'))
    loss(torch.zeros(1, 2, 31, 33), torch.zeros(1, 31, 33, dtype=torch.long))
    assert fused == []
    loss(torch.zeros(1, 2, 32, 32), torch.zeros(1, 32, 32, dtype=torch.long))
    assert fused.pop() == 'forward' and not fused
    z = torch.zeros(1, 4, 256, 256, requires_grad=True)
    with torch.no_grad():
        loss(z, torch.zeros(1, 256, 256, dtype=torch.long))
    loss(z, torch.zeros(1, 256, 256, dtype=torch.long)).backward()
    assert fused == ['forward', 'forward', 'gradient_']


def test_logits_without_gaps_are_not_copied(monkeypatch):
    """Whether the classes are the first axis in memory or the last."""
    seen, forward = [], overlap_cpu.forward
    monkeypatch.setattr(choice, 'MODE', 'fused')
    monkeypatch.setattr(overlap_cpu, 'forward', lambda pred, *a, **k: seen.append(pred) or forward(pred, *a, **k))
    z, y, _ = inputs()
    last = z.transpose(1, 2).contiguous().transpose(1, 2)
    first_of_images, gaps = z.transpose(0, 1).contiguous().transpose(0, 1), z.repeat_interleave(2, 2)[:, :, ::2]
    for pred, taken_as_it_is in ((z, True), (last, True), (first_of_images, False), (gaps, False)):
        for given in (pred, pred.detach().requires_grad_()):
            fused_overlap.fused_overlap(given, y, None, 'softmax', 'product')
            got = seen.pop()
            assert torch.equal(got, z) and (got.data_ptr() == given.data_ptr()) == taken_as_it_is
            assert taken_as_it_is or got.is_contiguous()


def test_an_unknown_mode_is_refused_by_name():
    assert choice.mode_of('') == 'auto'
    with pytest.raises(ValueError, match="^SEGPARITY_OVERLAP must be one of auto, fused, plain, got 'fast'$"):
        choice.mode_of('fast')


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('labels', ['hard', 'soft'])
def test_amp(labels, dtype, fused):
    """Forward and backward inside autocast; the gradient is float64's for the same rounded logits, in pred's dtype."""
    z, y, _ = inputs(labels, classes=13, dtype=dtype)
    loss, z = MODELS.build(dict(type='JaccardMetricLoss')), z.requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(z, y)
        value.backward()
    exact = z.detach().double().requires_grad_()
    wanted = loss(exact, y)
    wanted.backward()
    assert value.dtype == torch.float32 and z.grad.dtype == dtype
    assert_same(value.detach(), wanted.detach(), 'float32')
    name = str(dtype).removeprefix('torch.')
    assert_gradient(z.grad.double().numpy(), exact.grad.numpy(), 'float32_gradient' if name == 'float32' else name)


@pytest.mark.parametrize('labels', ['uint8', 'int32', 'float32', 'past_int16'])
def test_label_dtypes(labels, fused):
    z, y, _ = inputs(classes=13)
    ignore = 2**40 if labels == 'past_int16' else 255
    y[:, :3] = ignore
    loss = MODELS.build(dict(type='JaccardMetricLoss', ignore_index=ignore))
    wanted = MODELS.build(dict(type='JaccardMetricLoss'))(z[:, :, 3:], y[:, 3:])
    y = y if labels == 'past_int16' else y.to(getattr(torch, labels))
    assert_same(loss(z, y), wanted, 'float64')


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int64])
def test_a_wrong_label_is_named(dtype, fused):
    z, y, _ = inputs()
    y[1, 7], y[0, 0] = 6, 255
    with pytest.raises(ValueError, match='target labels must be below 5, got 6'):
        MODELS.build(dict(type='JaccardMetricLoss', ignore_index=255))(z, y.to(dtype))


ACCURATE = {
    'hard': dict(type='JaccardMetricLoss'), 'hard_squared': dict(type='SoftDiceLoss', norm=2),
    'hard_exact': dict(type='FocalTverskyLoss'), 'hard_sigmoid': dict(type='SoftDiceLoss', activation='sigmoid'),
    # the metric overlap's gradient jumps where p = y, on whichever side the rounding of p puts it
    'soft': dict(type='SoftDiceLoss'), 'soft_exact': dict(type='FocalTverskyLoss'),
    'soft_errors': dict(type='SensitivitySpecificityLoss'),
}  # fmt: skip


def large_inputs(shape, labels):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator).mul_(3)
    if labels == 'soft':
        return z, torch.randn(shape, generator=generator).softmax(1)
    y = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    return z, y.masked_fill(torch.rand(y.shape, generator=generator) < 0.05, 255)


def against_float64(config, z, y):
    """The loss of logits as they are and in float64: value, gradient, value, gradient."""
    loss, results = MODELS.build(dict(config, ignore_index=255)), []
    for dtype in (z.dtype, torch.float64):
        leaf = z.to(dtype, copy=True).requires_grad_()
        value = loss(leaf, y.double() if y.is_floating_point() and dtype == torch.float64 else y)
        value.backward()
        results += [value.item(), leaf.grad]
    return results


@pytest.mark.parametrize('name', ACCURATE)
@pytest.mark.parametrize(
    'shape',
    [(2, 19, 64, 256), (1, 3, 512, 512), (1, 2, 512, 512), pytest.param((2, 19, 512, 1024), marks=pytest.mark.slow)],
    ids=lambda shape: 'x'.join(map(str, shape)),
)
def test_float32_is_float64_to_its_precision(shape, name):
    value, gradient, wanted, exact = against_float64(ACCURATE[name], *large_inputs(shape, name[:4]))
    assert value == pytest.approx(wanted, rel=1e-6)
    assert (gradient - exact).abs().max() <= 1e-5 * exact.abs().max()


@pytest.mark.parametrize('name', ['hard', 'soft', 'soft_exact'])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('classes', [2, 3, 19])
def test_half_precision_logits_of_whole_images(classes, dtype, name):
    z, y = large_inputs((1, classes, 128, 256), name[:4])
    value, gradient, wanted, exact = against_float64(ACCURATE[name], z.to(dtype), y)
    assert value == pytest.approx(wanted, rel=1e-6)
    info = torch.finfo(dtype)
    smallest = info.smallest_normal * info.eps  # the step between the smallest numbers of the dtype
    allowed = info.eps * exact.abs().max() + smallest
    assert gradient.dtype == dtype and (gradient.double() - exact).abs().max() <= allowed


@pytest.mark.parametrize('labels', ['hard', 'soft'])
@pytest.mark.parametrize('loss', ['SoftDiceLoss', 'FocalTverskyLoss', 'SensitivitySpecificityLoss'])
@pytest.mark.parametrize('classes', [2, 4, 13])
def test_few_wrong_pixels_among_many_confident_ones(classes, loss, labels):
    """Three wrong of 65536, the others at 1e-13 from right; focal Tversky's gradient is exact at each of these by itself."""
    y = torch.arange(2**16).remainder(classes).reshape(1, 256, 256)
    z = torch.nn.functional.one_hot(y, classes).movedim(3, 1) * 30.0
    z[:, :, 0, :3] = z[:, :, 0, :3].roll(1, 1)
    y = y if labels == 'hard' else torch.nn.functional.one_hot(y, classes).movedim(3, 1).float()
    value, gradient, wanted, exact = against_float64(dict(type=loss), z, y)
    assert value == pytest.approx(wanted, rel=1e-6)
    if loss == 'FocalTverskyLoss':
        torch.testing.assert_close(gradient[:, :, 1:].double(), exact[:, :, 1:], rtol=1e-4, atol=0)


@pytest.mark.parametrize('right', [True, False], ids=['right', 'wrong'])
@pytest.mark.parametrize('labels', ['hard', 'soft'])
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('classes', [2, 4, 13])
def test_exact_statistics_are_so_where_they_are_small(classes, activation, labels, right):
    y = torch.arange(1024).remainder(classes)[None]
    one_hot = torch.nn.functional.one_hot(y, classes).mT.float()
    z = (one_hot if right else one_hot.roll(1, 1)) * 24 - 12
    call = y if labels == 'hard' else one_hot, None, activation, 'exact'
    got, want = fused_overlap.overlap(z, *call), slow_and_obvious(z.double(), *call)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=0)
