"""The mean cross-entropy of few logits, which PyTorch's operator takes: the numbers and sentences are those of the blocks."""

import math

import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')

from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.losses import WeightedCrossEntropyLoss
from mmseg_plugin.losses.pixel import small_mean, weighted_cross_entropy
from shared_spec import LOSSES
from tests.support.assertions import assert_same


@pytest.fixture
def taken(monkeypatch):
    """How many calls PyTorch's operator took, beside those it was asked to take."""
    found, own = [], weighted_cross_entropy.small_mean

    def counted(*given):
        loss = own(*given)
        found.append(loss is not None)
        return loss

    monkeypatch.setattr(weighted_cross_entropy, 'small_mean', counted)
    monkeypatch.setattr(choice, 'MODE', 'auto')
    return found


def logits(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0)).mul_(3).requires_grad_()


def ids(*shape, classes=3, dtype=torch.int64):
    labels = torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(1))
    labels[0, 0] = 255
    return labels.to(dtype)


@pytest.mark.parametrize(
    'more', [{}, dict(label_smoothing=0.1), dict(class_weight=[0.5, 2.0, 1.0], label_smoothing=0.1)], ids=str
)
@pytest.mark.parametrize('space', [(7,), (5, 6), (3, 4, 5)], ids=str)
@pytest.mark.parametrize('dtype', [torch.int64, torch.int32, torch.uint8], ids=str)
def test_small_mean_is_what_the_blocks_give(space, dtype, more, taken, monkeypatch):
    params = dict(ignore_index=255, loss_weight=0.7, **more)
    z, y, results = logits(2, 3, *space), ids(2, *space, dtype=dtype), []
    for mode in ('auto', 'plain'):
        monkeypatch.setattr(choice, 'MODE', mode)
        loss = WeightedCrossEntropyLoss(**params)(z, y)
        (gradient,) = torch.autograd.grad(loss, z)
        results.append((loss.detach(), gradient))
    assert taken == [True, False]
    for quick, blocks in zip(*results):
        assert_same(quick, blocks, 'float64')
    assert_same(results[0][0], LOSSES['WeightedCrossEntropyLoss'](**params).reference(z.detach(), y), 'float64')


def test_small_mean_reads_the_label_that_a_head_ignores(taken):
    z, y = logits(2, 3, 5, 6), ids(2, 5, 6)
    want = WeightedCrossEntropyLoss(ignore_index=255)(z, y)
    assert torch.equal(WeightedCrossEntropyLoss()(z, y, ignore_index=255, reduction_override='mean'), want)
    y[0, 1] = 7
    assert not torch.equal(WeightedCrossEntropyLoss(ignore_index=7)(z, y, ignore_index=255), want)
    assert taken == [True, True, False]


@pytest.mark.parametrize(
    ('labels', 'sentence'),
    [
        (3, 'must be below 3, got 3'),
        (-1, 'must be at least 0, got -1; ignore_index=-1'),
        (-100, 'must be at least 0, got -100'),
        (torch.iinfo(torch.int64).min, 'must be at least 0'),
    ],
)
@pytest.mark.parametrize('ignore_index', [None, 255])
def test_labels_of_no_class_are_refused_in_our_sentence(labels, sentence, ignore_index, taken):
    y = ids(2, 5, 6)
    y[0, 0] = 255 if ignore_index else 0
    y[1, 2, 3] = labels
    with pytest.raises(ValueError, match=f'^WeightedCrossEntropyLoss: target labels {sentence}'):
        WeightedCrossEntropyLoss(ignore_index=ignore_index)(logits(2, 3, 5, 6), y)
    assert taken == [False]


def test_what_an_ignored_pixel_holds_has_no_gradient(taken):
    z, y = logits(2, 3, 5, 6).detach(), ids(2, 5, 6)
    loss, clean = WeightedCrossEntropyLoss(ignore_index=255), z.clone().requires_grad_()
    want = loss(clean, y)
    want.backward()
    for garbage in (math.nan, math.inf, -math.inf):
        wild = z.clone()
        wild[0, :, 0] = garbage
        wild.requires_grad_()
        value = loss(wild, y)
        value.backward()
        assert_same(value.detach(), want.detach(), 'float64')
        assert_same(wild.grad, clean.grad, 'float64')
    assert taken == [True, False, False, False]


def test_small_mean_leaves_the_rest_to_the_blocks(taken, monkeypatch):
    """Weights, other means, soft labels, channels that are no distribution, nothing that counts, many logits."""
    z, y = logits(2, 3, 5, 6), ids(2, 5, 6)
    own = dict(ignore_index=255)
    others = [
        dict(class_weight=[1.0, 0, 3]),
        dict(class_weight=[1.0, 2, 3], divisor='pixels'),
        dict(divisor='all'),
        dict(reduction='sum'),
        dict(activation='sigmoid'),
    ]
    for params in others:
        assert WeightedCrossEntropyLoss(**own, **params)(z, y).isfinite()
    loss = WeightedCrossEntropyLoss(**own)
    for given in (dict(weight=torch.ones(2, 5, 6)), dict(avg_factor=3.0), dict(reduction_override='none')):
        assert loss(z, y, **given).isfinite().all()
    assert loss(z, torch.full_like(y, 255)) == 0
    assert loss(z, z.softmax(1)).isfinite()
    assert loss(z.half(), y).isfinite()
    assert math.isnan(loss(z * torch.nan, y))
    assert torch.func.vmap(lambda a, b: loss(a[None], b[None]))(z, y).isfinite().all()
    with pytest.raises(TypeError, match="unexpected argument 'weights'"):
        loss(z, y, weights=None)
    monkeypatch.setattr(small_mean, 'FEW_LOGITS', 10)
    assert loss(z, y).isfinite()
    assert not any(taken)
