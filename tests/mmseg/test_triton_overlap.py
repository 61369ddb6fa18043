"""The Triton kernels: in Triton's interpreter and compiled without a GPU, and on a CUDA device; and their plain stand-in."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

# isort: split
from mmseg.registry import MODELS

from mmseg_plugin.kernels import overlap as kernels
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.kernels.overlap import triton_launch as triton_overlap
from segparity.parity import replay
from shared_spec import overlap
from shared_spec.inputs import Batch
from tests.mmseg import triton_losses
from tests.mmseg.triton_cases import CASES, FAULTS, QUICK, SLOW, Case
from tests.support.assertions import assert_gradient, assert_same

ROOT = Path(__file__).resolve().parents[2]
ABSENT = 'triton is not installed: it comes with the CUDA builds of PyTorch, and from the package index for the others'
needs_triton = pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason=ABSENT)
one_worker = pytest.mark.xdist_group('triton')  # for which each fixture runs once


def expected(case):
    """Statistics of the float64 reference, and the gradient that autograd finds for them in float64."""
    pred, target, weight, grads = case.inputs
    counts = (weight != 0)[:, None]
    if case.hard:
        target = target[:, None] == torch.arange(case.classes)[:, None]
    target, weight = torch.where(counts, target.double(), 0), weight.double()
    leaf = pred.double().clone().requires_grad_()
    logits = torch.where(counts, leaf, 0)
    prob = {'softmax': lambda z: z.softmax(1), 'sigmoid': torch.sigmoid, 'none': lambda z: z}[case.activation](logits)
    both = torch.minimum(prob, target) if case.flavour == 'metric' else prob * target
    squares = (prob - target) ** 2
    parts = {
        'squared': (both, prob**2 - both, target**2 - both),
        'errors': (squares * target, squares * (1 - target), target + 0 * prob),
    }.get(case.flavour, (both, prob - both, target - both))
    parts = [(weight[:, None] * x).sum(2) for x in parts]
    gradient = torch.autograd.grad(parts, leaf, list(grads))[0]
    if case.flavour in ('squared', 'errors'):
        return torch.stack(parts).detach().numpy(), gradient.numpy()

    softmax = case.activation == 'softmax'
    logits, prob, target = (x.detach().numpy() for x in (logits, prob, target))
    given = None if case.activation == 'none' or not np.isfinite(logits).all() or case.classes == 1 else logits
    batch = Batch(given, prob, target, weight.numpy(), np.ones(2), case.hard, softmax, (case.pixels,))
    with np.errstate(divide='ignore', invalid='ignore'):
        statistics = getattr(overlap, 'metric_overlap' if case.flavour == 'metric' else 'product_overlap')(batch)
    return np.stack(statistics), gradient.numpy()


def compare(case, got):
    (statistics, gradient), (want, slope) = got, expected(case)
    assert not gradient[np.broadcast_to((case.inputs[2] == 0)[:, None], gradient.shape)].any()
    if case.special == 'infinite_gradient':
        assert not np.isfinite(gradient).all()
        return
    if case.special in FAULTS:  # it shows, in its class or in those of the whole pixel, and stays in its image
        of_all = 'class' in case.special or (case.special.endswith('inf') and case.activation == 'softmax')
        assert np.isnan(statistics[:, 0]).any(0)[slice(None) if of_all else 1].all(), case.name
        # without a softmax or sigmoid the slope knows nothing of the prediction: there the incoming gradient is NaN
        assert case.activation == 'none' or np.isnan(gradient[0, :, 5]).any(), case.name
        assert_same(statistics[:, 1], want[:, 1], 'float32', case.name)
        assert_gradient(gradient[1], slope[1], 'float32_gradient', case.name)
        return
    double = case.dtype == torch.float64
    scale = want.max(axis=(1, 2)) if case.special == 'almost_right' else [None] * 3
    for k in range(3):
        assert_same(statistics[k], want[k], 'float64' if double else 'float32', f'{case.name} {k}', scale=scale[k])
    tol = {torch.float64: 'float64', torch.float32: 'float32_gradient'}.get(case.dtype, str(case.dtype)[6:])
    smallest = {'smallest': 1e-30} if case.special == 'almost_right' else {}
    assert_gradient(gradient, slope, tol, case.name, **smallest)


def child(tmp_path, *arguments, interpret):
    """Runs a fresh Python, whose Triton interprets or compiles."""
    environment = dict(os.environ, TRITON_INTERPRET=str(interpret), TRITON_CACHE_DIR=str(tmp_path), OMP_NUM_THREADS='1')
    environment['PYTHONPATH'] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    environment['SEGPARITY_OVERLAP'] = 'fused'
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope='module')
def quick(tmp_path_factory):
    return interpreted(tmp_path_factory.mktemp('triton'), 'quick')


@pytest.fixture(scope='module')
def slow(tmp_path_factory):
    return interpreted(tmp_path_factory.mktemp('triton'), 'slow')


def interpreted(folder, part):
    """What the interpreter makes of all cases of a part."""
    child(folder, '-m', 'tests.mmseg.triton_interpreted', part, str(folder / 'found.npz'), interpret=1)
    with np.load(folder / 'found.npz', allow_pickle=False) as found:
        return dict(found)


@needs_triton
@one_worker
@pytest.mark.parametrize('case', QUICK, ids=lambda case: case.name)
def test_interpreter(case, quick):
    compare(case, (quick[f'{case.name}/statistics'], quick[f'{case.name}/gradient']))


@needs_triton
@pytest.mark.slow
@one_worker
@pytest.mark.parametrize('case', SLOW, ids=lambda case: case.name)
def test_interpreter_on_more(case, slow):
    compare(case, (slow[f'{case.name}/statistics'], slow[f'{case.name}/gradient']))


@pytest.mark.slow
@needs_triton
@one_worker
@pytest.mark.parametrize('call', triton_losses.QUICK, ids='-'.join)
def test_losses_in_the_interpreter(call, quick):
    compare_loss(call, {name: quick[f'{"-".join(call)}/{name}'] for name in ('value', 'gradient', 'launches')})


@needs_triton
@pytest.mark.slow
@one_worker
@pytest.mark.parametrize('call', triton_losses.SLOW, ids='-'.join)
def test_more_losses_in_the_interpreter(call, slow):
    compare_loss(call, {name: slow[f'{"-".join(call)}/{name}'] for name in ('value', 'gradient', 'launches')})


def compare_loss(call, got):
    spec, inputs = triton_losses.spec_and_case(*call)
    value, gradient = replay.reference(spec, inputs)
    dtype = call[-1]
    assert got['launches'] == 2 or getattr(spec, 'norm', 1) != 1
    assert_same(got['value'], value, 'float64' if dtype == 'float64' else 'float32', call)
    if gradient is not None:
        assert_gradient(got['gradient'], gradient, 'bfloat16' if dtype == 'bfloat16' else f'{dtype}_gradient', call)


@pytest.mark.gpu
@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_cuda(case):
    assert triton_overlap.is_available(torch.empty(1, device='cuda'))
    compare(case, case.run('cuda'))
    assert not triton_overlap.refusals


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('classes, pixels', [(19, 512 * 1024), (150, 65536), (2, 300001), (1000, 9999), (1500, 4096)])
def test_cuda_large(classes, pixels, dtype):
    case = Case(classes, pixels, dtype)
    compare(case, case.run('cuda'))
    again, first = case.run('cuda'), case.run('cuda')
    assert all(np.array_equal(a, b) for a, b in zip(again, first))


@pytest.mark.gpu
def test_cuda_past_2_31_numbers():
    """One image of 2^31 numbers and some more; the last pixels alone have another class."""
    pixels = 2**30 + 64
    pred = torch.zeros(1, 2, pixels, dtype=torch.bfloat16, device='cuda')
    target = torch.zeros(1, pixels, dtype=torch.uint8, device='cuda')
    pred[0, 1, -64:], target[0, -64:] = 200, 1
    half = (pixels - 64) / 2
    want = [[[half, 64]], [[0, half]], [[half, 0]]]
    assert triton_overlap.forward(pred, target, None, 'softmax', 'product').tolist() == want
    gradient = triton_overlap.backward(
        pred, target, None, torch.ones(3, 1, 2, device='cuda'), 'softmax', 'product'
    )  # d (tp + fp + fn) / d p is 1 off and 0 at the true class
    assert gradient[0, 0, 0].item() == -0.25 and gradient[0, 1, -65].item() == 0.25 and not gradient[0, :, -64:].any()


LOSSES = [('JaccardMetricLoss', dict(granularity=dict(I=0.5, C=0.5))), ('FocalTverskyLoss', {}), ('SoftDiceLoss', {})]


@pytest.mark.gpu
@pytest.mark.parametrize('way', ['eager', 'autocast', 'compile', 'channels_last'])
@pytest.mark.parametrize('labels', ['hard', 'soft', 'one_channel'])
@pytest.mark.parametrize('name, parameters', LOSSES)
def test_cuda_losses_are_those_of_the_plain_path(name, parameters, labels, way, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 1 if labels == 'one_channel' else 19, 120, 200)
    z = torch.randn(shape, generator=generator).mul(3).cuda()
    if labels == 'soft':
        y = torch.randn(shape, generator=generator).softmax(1).cuda()
    else:
        y = torch.randint(max(shape[1], 2), (2, 120, 200), generator=generator).cuda()
        y[:, :9] = 255
        z[:, :, :5] = torch.nan
    z = z.contiguous(memory_format=torch.channels_last) if way == 'channels_last' else z
    z = z.bfloat16() if way == 'autocast' else z
    loss = MODELS.build(dict(type=name, ignore_index=255, **parameters))
    exact = z.double().requires_grad_()
    monkeypatch.setattr(choice, 'MODE', 'plain')
    want = loss(exact, y.double() if labels == 'soft' else y)
    want.backward()
    monkeypatch.setattr(choice, 'MODE', 'fused')
    launches, launched = [], triton_overlap.launch
    monkeypatch.setattr(triton_overlap, 'launch', lambda *a: launches.append(a) or launched(*a))
    z.requires_grad_()
    run = torch.compile(loss, fullgraph=True) if way == 'compile' else loss
    with torch.autocast('cuda', enabled=way == 'autocast', dtype=torch.bfloat16):
        value = run(z, y)
        value.backward()
    assert len(launches) in (2, 4) and not triton_overlap.refusals  # two more where a small batch was tried before
    assert_same(value.detach().cpu(), want.detach().cpu(), 'float32', name)
    tol = 'bfloat16' if way == 'autocast' else 'float32_gradient'
    assert_gradient(z.grad.double().cpu().numpy(), exact.grad.cpu().numpy(), tol, name)


PLAIN = [case for case in QUICK if not case.largest and not case.steps and case.special != 'almost_right']


@pytest.mark.parametrize('case', PLAIN, ids=lambda case: case.name)
def test_plain_stand_in(case, monkeypatch):
    """Where a launch fails: the same numbers, with one warning for the process."""
    monkeypatch.setattr(triton_overlap, 'refusals', [])
    monkeypatch.setattr(kernels, 'triton_kernels', Broken(), raising=False)
    with pytest.warns(
        UserWarning, match='^no overlap kernels by Triton, plain PyTorch goes on: RuntimeError: no '
    ) as caught:
        got = case.run('cpu')
    assert len(caught) == 1
    compare(case, got)
    assert not triton_overlap.is_available(torch.empty(1))


class Broken:
    """A module whose kernels do not compile."""

    def __getattr__(self, name):
        raise RuntimeError(f'no {name} for this device\nand much more')


@pytest.fixture
def broken(monkeypatch):
    """Triton that takes CPU tensors, until its kernels do not compile."""
    monkeypatch.setattr(triton_overlap, 'refusals', [])
    monkeypatch.setattr(triton_overlap, 'INSTALLED', True)
    monkeypatch.setattr(triton_overlap, 'INTERPRETED', True)
    monkeypatch.setattr(choice, 'MODE', 'fused')
    monkeypatch.setattr(kernels, 'triton_kernels', Broken(), raising=False)


@pytest.mark.parametrize('name', ['JaccardMetricLoss', 'FocalTverskyLoss'])
def test_a_loss_goes_on_where_the_kernels_fail(name, broken):
    z, y = torch.randn(2, 5, 7, 6, dtype=torch.float64), torch.randint(5, (2, 7, 6))
    loss, leaf, other = MODELS.build(dict(type=name)), z.clone().requires_grad_(), z.clone().requires_grad_()
    with pytest.warns(UserWarning, match='^no overlap kernels by Triton') as caught:
        value = loss(leaf, y)
        value.backward()
    again = loss(other, y)  # no word, on the path for tensors that no kernel takes
    again.backward()
    assert len(caught) == 1
    assert_same(value.detach(), again.detach(), 'float64')
    assert_gradient(leaf.grad.numpy(), other.grad.numpy(), 'float64')


@pytest.fixture
def stand_ins(broken, monkeypatch):
    """Kernels that are PyTorch's operators, of a GPU to try them on; factor: by which they are wrong."""

    def install(wrong, factor):
        monkeypatch.setattr(triton_overlap, 'tried', set())
        monkeypatch.setattr(triton_overlap, 'checks', lambda pred: True)
        calls = []
        for name in ('forward', 'backward'):
            plain, by = getattr(triton_overlap, f'unfused_{name}'), factor if wrong == name else 1
            kernel = lambda *a, f=plain, by=by, n=name: calls.append(n) or f(*a) * by  # noqa: E731
            monkeypatch.setattr(triton_overlap, f'kernel_{name}', kernel)
        return calls

    return install


CALLS = [
    (flavour, activation, labels, dtype)
    for flavour in triton_overlap.FLAVOURS
    for activation in ('softmax', 'sigmoid', 'none')
    for labels in ('ids', 'soft')
    for dtype in (torch.float32, torch.bfloat16)
]


@pytest.mark.parametrize(('flavour', 'activation', 'labels', 'dtype'), CALLS)
def test_each_kind_of_input_is_tried_once(flavour, activation, labels, dtype, stand_ins):
    calls = stand_ins('nothing', 1)
    pred, soft = torch.rand(2, 3, 7).to(dtype), torch.randn(2, 3, 7).softmax(1)
    call = pred, soft.argmax(1) if labels == 'ids' else soft, None
    for _ in range(2):
        triton_overlap.forward(*call, activation, flavour)
        triton_overlap.backward(*call, torch.ones(3, 2, 3), activation, flavour)
    assert calls == ['forward', 'backward'] * 3 and not triton_overlap.refusals


@pytest.mark.parametrize('wrong', ['forward', 'backward'])
def test_kernels_that_compute_something_else_are_not_used(wrong, stand_ins):
    stand_ins(wrong, 1.001)
    call = torch.rand(2, 3, 7), torch.randint(3, (2, 7)), torch.ones(2, 7), 'softmax', 'product'
    with pytest.warns(UserWarning, match=r'product of 3 classes in torch.float32 is off by 1.0e-03 on cpu') as caught:
        found = triton_overlap.forward(*call)
    assert len(caught) == 1 and torch.equal(found, triton_overlap.unfused_forward(*call))
    assert not triton_overlap.is_available(call[0])


@pytest.mark.slow
def test_the_kernels_are_in_a_whole_graph(broken):
    """What decides for them breaks no graph; that they fail here is of no matter."""
    torch._dynamo.reset()
    z, y = torch.randn(2, 5, 7, 6, requires_grad=True), torch.randint(5, (2, 7, 6))
    loss = MODELS.build(dict(type='JaccardMetricLoss'))
    with pytest.warns(UserWarning, match='^no overlap kernels by Triton'):
        value = torch.compile(loss, fullgraph=True, backend='aot_eager')(z, y)
    assert_same(value.detach(), loss(z.detach(), y), 'float32')


def test_not_available_for_what_triton_cannot_read():
    assert not triton_overlap.is_available(torch.empty(1))  # the CPU, without the interpreter
    assert not triton_overlap.is_available(torch.empty(1, dtype=torch.complex64))


def test_available_for_what_the_kernels_know(broken):
    assert triton_overlap.is_available(torch.empty(1), 'exact')
    assert not triton_overlap.is_available(torch.empty(1), 'another')
    assert not triton_overlap.is_available(torch.empty(1, dtype=torch.complex64))
    assert not triton_overlap.is_available(torch.empty(1, device='meta'))
    triton_overlap.refusals.append('once')
    assert not triton_overlap.is_available(torch.empty(1))


@pytest.mark.parametrize('shape', [(0, 3, 4), (2, 3, 0)])
def test_nothing_at_all(shape):
    n, c, p = shape
    pred, target, weight = torch.zeros(shape), torch.zeros(n, p, dtype=torch.long), torch.zeros(n, p)
    assert triton_overlap.forward(pred, target, weight, 'softmax', 'product').tolist() == [[[0] * c] * n] * 3
    grads = torch.ones(3, n, c)
    assert triton_overlap.backward(pred, target, weight, grads, 'softmax', 'product').shape == shape


@pytest.mark.parametrize('softmax', [True, False])
@pytest.mark.parametrize('classes', [1, 2, 3, 19, 21, 64, 65, 150, 171, 512, 513, 1000, 1024, 1025, 4000])
def test_every_pixel_and_class_is_in_one_tile(classes, softmax):
    for n, p in ((1, 1), (2, 512 * 1024), (3, 333), (70000, 9)):
        how = triton_overlap.plan((n, classes, p), softmax)
        tile = how.chunks * how.chunk
        assert how.rows * how.pixels >= p > (how.rows - 1) * how.pixels
        assert how.blocks * how.steps >= how.rows > (how.blocks - 1) * how.steps
        assert how.tiles * tile >= classes > (how.tiles - 1) * tile
        assert how.fit == (softmax and classes <= 1024)
        assert 8 <= tile * how.pixels / (32 * how.warps) <= triton_overlap.HELD
        assert {how.chunk, how.pixels, how.fold, how.warps} <= {2**k for k in range(9)} and how.warps <= 16


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize(
    'part, kernels',
    [
        ('one', {'sums', 'gradient'}),
        pytest.param('all', {'sums', 'gradient', 'normalise', 'share'}, marks=pytest.mark.slow),
    ],
)
def test_compiles_without_a_gpu(part, kernels, tmp_path):
    """The interpreter takes much that the compiler refuses: here it compiles for two generations of GPUs."""
    pytest.importorskip('triton.backends.nvidia')
    assert set(child(tmp_path, str(ROOT / 'tests/mmseg/triton_compiled.py'), part, interpret=0).split()) == kernels
