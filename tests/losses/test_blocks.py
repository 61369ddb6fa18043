"""Sums over pixels block by block, on worker threads: what they give, and what they leave as it was."""

import multiprocessing
import os
import threading

import pytest

torch = pytest.importorskip('torch')

from mmseg_plugin import losses
from mmseg_plugin.inputs import prepare
from mmseg_plugin.kernels import pixel_sums, workers
from mmseg_plugin.kernels.overlap import choice
from shared_spec import LOSSES
from tests.support.assertions import assert_gradient, assert_same
from tests.support.losses import PLAIN

LARGE = 2, 5, 160, 170  # more numbers than SMALL
SUMS = {
    'WeightedCrossEntropyLoss': dict(label_smoothing=0.1, class_weight=[0.5, 1, 0, 2, 1]),
    'DistillationKLLoss': dict(temperature=2.0),
    'FocalCrossEntropyLoss': dict(gamma=0.5, alpha=[0.5, 1, 0, 2, 1]),
    'TopKCrossEntropyLoss': dict(class_weight=[0.5, 1, 0, 2, 1]),
    'OhemCrossEntropyLoss': dict(thresh=0.1, min_kept=9999, class_weight=[0.5, 1, 0, 2, 1]),
    'ComboLoss': {},
    'ExponentialLogarithmicLoss': {},
    'UnifiedFocalLoss': {},
    'GeneralizedWassersteinDiceLoss': {},
    'RegionMutualInformationLoss': {},
}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def inputs(soft=False, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = 3 * torch.randn(LARGE, generator=generator, dtype=torch.float64)
    y = torch.randint(0, LARGE[1], (LARGE[0], *LARGE[2:]), generator=generator)
    y[0, :20] = 255
    z[0, :, :20] = torch.nan
    if soft:
        y = (3 * torch.randn(LARGE, generator=generator, dtype=torch.float64)).softmax(1)
        z = z.nan_to_num(0.5)
    return z.to(dtype).requires_grad_(), y


def value_and_gradient(loss, z, y):
    z.grad = None
    value = loss(z, y, ignore_index=None if y.is_floating_point() else 255)
    value.backward()
    return value.detach(), z.grad.clone()


def in_mode(mode, monkeypatch, loss, z, y):
    monkeypatch.setattr(choice, 'MODE', mode)
    return value_and_gradient(loss, z, y)


def hard_and_soft(quick):
    """(loss, whether labels are soft) of each loss and kind of labels, slow but for the kinds that are quick for it."""
    return [
        pytest.param(name, kind == 'soft', marks=() if kind in quick.get(name, ()) else pytest.mark.slow)
        for name in SUMS
        for kind in LOSSES[name].labels
    ]


QUICK = dict(
    WeightedCrossEntropyLoss=('hard', 'soft'),
    TopKCrossEntropyLoss=('hard',),
    OhemCrossEntropyLoss=('hard',),
    UnifiedFocalLoss=('soft',),
    RegionMutualInformationLoss=('hard',),
)


@pytest.mark.parametrize(('name', 'soft'), hard_and_soft(QUICK))
def test_large_logits_are_added_in_blocks_by_themselves(name, soft, two_threads, monkeypatch):
    loss, (z, y) = getattr(losses, name)(**SUMS[name]), inputs(soft)
    monkeypatch.setattr(pixel_sums, 'BLOCK', 2**14)
    seen = []
    each = workers.each
    monkeypatch.setattr(workers, 'each', lambda f, p, *rest: seen.append(len(p := list(p))) or each(f, p, *rest))
    value, gradient = in_mode('auto', monkeypatch, loss, z, y)
    assert max(seen) > 5
    plain, slope = in_mode('plain', monkeypatch, loss, z, y)
    assert_same(value, plain, 'float64')
    assert_gradient(gradient, slope, 'float64')


def test_the_threads_of_the_process_stay_as_they_were(two_threads):
    found = list(workers.each(lambda k: (k, torch.get_num_threads(), threading.current_thread().name), range(20)))
    assert [k for k, *_ in found] == list(range(20)) and {n for _, n, _ in found} == {1}
    assert all(name.startswith('segparity') for *_, name in found)
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == 2 and later == [2]
    torch.set_num_threads(1)
    assert {threading.current_thread().name for _ in workers.each(lambda k: k, range(3))} == {'MainThread'}


def test_an_error_of_a_block_is_the_caller_s(two_threads):
    def refuse(k):
        raise ValueError(f'block {k}')

    with pytest.raises(ValueError, match='block 0'):
        list(workers.each(refuse, range(9)))
    assert list(workers.each(lambda k: -k, range(3))) == [0, -1, -2]


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
@pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')
def test_a_forked_process_starts_threads_of_its_own(two_threads):
    list(workers.each(lambda k: k, range(9)))
    context = multiprocessing.get_context('fork')
    answers = context.SimpleQueue()
    process = context.Process(target=lambda: answers.put(sum(workers.each(lambda k: k, range(9)))))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and answers.get() == 36


def test_a_wrong_number_in_one_block(two_threads, monkeypatch):
    monkeypatch.setattr(pixel_sums, 'BLOCK', 2**14)
    loss, (z, y) = losses.WeightedCrossEntropyLoss(), inputs()
    with torch.no_grad():
        z[1, 3, 159, 169] = torch.nan
    value, gradient = value_and_gradient(loss, z, y)
    assert value.isnan() and gradient[1].isnan().all() and gradient[0, :, 20:].isnan().all()
    soft = inputs(soft=True)
    soft[1][1, 0, 159, 0] = 1.5
    with pytest.raises(ValueError, match=r'WeightedCrossEntropyLoss.*1\.5'):
        loss(*soft)


def test_one_sum_can_be_differentiated_again_and_again(two_threads, monkeypatch):
    """The first backward pass scales what the forward pass has written, later ones compute the blocks anew."""
    monkeypatch.setattr(pixel_sums, 'BLOCK', 2**14)
    z, y = inputs()
    value = losses.WeightedCrossEntropyLoss()(z, y, ignore_index=255)
    first, second, third = (torch.autograd.grad(k * value, z, retain_graph=True)[0] for k in (1, 2, 2))
    assert_gradient(second, 2 * first, 'float64')
    assert torch.equal(second, third)
    with pytest.raises(RuntimeError, match='SEGPARITY_OVERLAP=plain'):
        torch.autograd.grad(value, z, create_graph=True)


def test_logits_that_were_changed_are_refused(two_threads):
    z, y = inputs()
    x = 1 * z
    value = losses.UnifiedFocalLoss()(x, y, ignore_index=255)
    with torch.no_grad():
        x.mul_(2)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        value.backward()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_and_other_layouts(dtype, two_threads, monkeypatch):
    monkeypatch.setattr(pixel_sums, 'BLOCK', 2**14)
    (z, y), loss = inputs(dtype=dtype), losses.WeightedCrossEntropyLoss()
    wanted, slope = value_and_gradient(loss, z.detach().float().requires_grad_(), y)
    layouts = (
        z.detach().contiguous(memory_format=torch.channels_last),
        z.detach().transpose(2, 3).contiguous().transpose(2, 3),
    )
    for x in layouts:
        value, gradient = value_and_gradient(loss, x.requires_grad_(), y)
        assert value.dtype == torch.float32 and gradient.dtype == dtype
        assert_same(value, wanted, 'float32')
        assert_gradient(gradient.float(), slope, 'bfloat16')


def test_without_a_gradient_nothing_is_written_for_one(two_threads, monkeypatch):
    z, y = inputs()
    kept = []
    forward = pixel_sums.Call.forward
    monkeypatch.setattr(
        pixel_sums.Call, 'forward', lambda self, k, slopes=None: kept.append(slopes) or forward(self, k, slopes)
    )
    loss = losses.WeightedCrossEntropyLoss()
    with torch.no_grad():
        value = loss(z, y, ignore_index=255)
    assert value.isfinite() and kept and set(kept) == {None}


def test_all_blocks_of_all_shapes_are_all_numbers():
    spec = LOSSES['WeightedCrossEntropyLoss']()
    for n, c, p in ((1, 3, 1), (3, 2, 1000), (7, 4, 10), (2, 600, 3), (5, 1, 7)):
        batch = prepare(spec, torch.zeros(n, c, p, 1), torch.zeros(n, p, 1, dtype=torch.long))
        for call in (pixel_sums.Call(batch, dict), pixel_sums.ClassCall(batch, dict)):
            for size in (1, 10, 100, 10**6):
                seen = torch.zeros(n, c, p)
                for place in call.divide(size, n, c, p):
                    seen[place] += 1
                assert (seen == 1).all()


@pytest.mark.parametrize('name', [n for n in PLAIN if 'Lovasz' not in n and n != 'RobustTLoss'])
def test_second_derivatives_where_everything_is_plain(name, monkeypatch):
    """For them SEGPARITY_OVERLAP=plain is the remedy that refusals name."""
    monkeypatch.setattr(choice, 'MODE', 'plain')
    c = 1 if LOSSES[name].channels == ('one',) else 3
    z = torch.randn(2, c, 30, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    y = torch.arange(2 * 30 * 30).reshape(2, 30, 30) % max(c, 2)
    (slope,) = torch.autograd.grad(getattr(losses, name)()(z, y), z, create_graph=True)
    direction = torch.ones_like(z).cumsum(3).cos()
    (second,) = torch.autograd.grad((slope * direction).sum(), z)
    steps = [k * 1e-3 for k in (1, -1, 2, -2)]
    moved = [(z + h * direction).detach().requires_grad_() for h in steps]
    near, far = (
        torch.stack([torch.autograd.grad(getattr(losses, name)()(x, y), x)[0] for x in pair])
        for pair in (moved[:2], moved[2:])
    )
    numeric = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * steps[0])
    assert_gradient(second, numeric, 'central_difference')
