"""What is PyTorch's and MMSegmentation's own: construction, the heads' call, precision, reductions."""

import copy
import inspect
import pickle

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')
pytest.importorskip('mmseg', reason='needs MMSegmentation')

from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from mmseg_plugin import overlap
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.losses.base import Loss
from shared_spec import LOSSES, SpecError
from tests.support.assertions import assert_same
from tests.support.losses import PLAIN

HOST = {'loss_name', 'reduction'}
Z = torch.tensor(np.random.default_rng(0).normal(0, 1, (2, 3, 4, 5)), dtype=torch.float32)
Y = torch.tensor(np.random.default_rng(1).integers(0, 3, (2, 4, 5)))


def inputs(name):
    """Logits and class ids that every definition takes: one channel for a binary loss, a region for regions."""
    if LOSSES[name].channels == ('one',):
        return Z[:, :1], (Y == 1).long()
    if LOSSES[name].needs_region:
        return Z.tile(1, 1, 2, 2), Y.tile(1, 2, 2)
    return Z, Y


def build(name, **params):
    return MODELS.build(dict(type=name, **params))


@pytest.mark.parametrize('name', PLAIN)
def test_the_fused_operator_takes_losses_of_overlap_statistics(name, monkeypatch):
    taken = []
    monkeypatch.setattr(overlap, 'fused_overlap', lambda *given, **how: taken.append(given))
    build(name)(*inputs(name))
    assert bool(taken) == (LOSSES[name].of_overlap or name == 'RobustTLoss')  # which takes its squared errors from it


def test_weighted_sum_takes_its_losses_without_their_name():
    parts = [dict(type='JaccardMetricLoss'), dict(type='SoftDiceLoss')]
    unnamed, named = MODELS.get('WeightedSumLoss')(parts), build('WeightedSumLoss', losses=parts)
    assert unnamed(Z, Y) == named(Z, Y)


@pytest.mark.parametrize('name', list(LOSSES))
def test_signature_is_the_spec_s(name):
    signature = inspect.signature(MODELS.get(name).__init__).parameters
    given = {k: p.default for k, p in signature.items() if k != 'self' and k not in HOST}
    assert given == {k: f.default for k, f in LOSSES[name].parameters().items()}
    assert inspect.signature(MODELS.get(name)).parameters.keys() == signature.keys() - {'self'}
    members = {'losses'}  # of WeightedSumLoss alone, where they may stand first
    assert all(p.kind is p.KEYWORD_ONLY for k, p in signature.items() if k not in {'self', *members})


@pytest.mark.parametrize('name', list(LOSSES))
def test_name_is_one_that_mmsegmentation_trains_on(name):
    loss = build(name)
    snake = ''.join('_' + c.lower() if c.isupper() else c for c in name.removesuffix('Loss')).lstrip('_')
    assert loss.loss_name == f'loss_{snake}'
    assert build(name, loss_name='aux_loss').loss_name == 'aux_loss'
    with pytest.raises(SpecError, match="loss_name must contain 'loss'"):
        build(name, loss_name='dice')


@pytest.mark.parametrize('name', PLAIN)
def test_copies_and_keeps_no_state_but_what_it_learns(name):
    loss, (z, y) = build(name, loss_weight=0.3), inputs(name)
    assert list(loss.state_dict()) == list(LOSSES[name].learnt)
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert again.spec == loss.spec
        assert torch.equal(again(z, y), loss(z, y))
    assert 'loss_weight=0.3' in repr(loss)


def test_a_typo_is_refused_by_name():
    with pytest.raises(SpecError, match="unknown parameter 'smoth', did you mean 'smooth'"):
        build('JaccardMetricLoss', smoth=1)
    with pytest.raises(SpecError, match='smooth must be a number >= 0'):
        build('JaccardMetricLoss', smooth='1')
    with pytest.raises(TypeError, match="unexpected argument 'wieght'"):
        build('JaccardMetricLoss')(Z, Y, wieght=3)


@pytest.mark.parametrize('name', ['JaccardMetricLoss', 'WeightedCrossEntropyLoss', 'GeneralizedDiceLoss'])
@pytest.mark.parametrize(
    ('call', 'error', 'words'),
    [
        (dict(target=Y[:, :3]), ValueError, 'target must be (N, *space) = (2, 4, 5) to match pred (N, C, *space) = (2, 3, 4, 5), got (2, 3, 5)'),
        (dict(target=torch.zeros(2, 4, 4, 5)), ValueError, 'target must be (N, C, *space) = (2, 3, 4, 5)'),
        (dict(pred=Z.long()), TypeError, 'pred must be floating point, got torch.int64'),
        (dict(pred=Z[0, 0, 0]), ValueError, 'pred must be (N, C, *space) with 0 or 1 or 2 or 3 spatial axes, got shape (5,)'),
        (dict(pred=Z[0, 0]), ValueError, 'target must be (N, *space) = (4,) to match pred (N, C, *space) = (4, 5), got (2, 4, 5)'),
        (dict(target=Y + 1), ValueError, 'target labels must be below 3, got 3'),
        (dict(target=Y - 1), ValueError, 'target labels must be at least 0, got -1'),
        (dict(weight=torch.ones(3)), ValueError, 'weight must be one number per pixel (2, 4, 5) or per image (2,), got shape (3,)'),
        (dict(ignore_index=1), ValueError, 'ignore_index=1 given at the call is one of the 3 classes'),
    ],
)  # fmt: skip
def test_wrong_inputs_get_one_sentence(name, call, error, words):
    with pytest.raises(error) as caught:
        build(name)(**{'pred': Z, 'target': Y, **call})
    assert words in str(caught.value) and str(caught.value).startswith(name) and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', PLAIN)
def test_what_is_no_tensor_gets_one_sentence(name):
    z, y = inputs(name)
    for call, words in ((dict(pred=z.numpy(), target=y), 'pred must be a torch.Tensor, got ndarray'),
                        (dict(pred=z, target=None), 'target must be a torch.Tensor, got NoneType'),
                        (dict(pred=z, target=y, weight=[1.0, 2.0]), 'weight must be a torch.Tensor, got list')):  # fmt: skip
        with pytest.raises(TypeError, match=words):
            build(name)(**call)


def test_a_weighted_sum_of_losses_that_are_made():
    made = [build('JaccardMetricLoss', smooth=2.0), dict(type='SoftDiceLoss')]
    total = build('WeightedSumLoss', losses=made, weights=[0.3, 0.7])
    assert total.parts[0] is made[0] and total.spec.losses[0].smooth == 2.0
    assert_same(total(Z, Y), 0.3 * made[0](Z, Y) + 0.7 * build('SoftDiceLoss')(Z, Y), 'float32')
    assert build('WeightedSumLoss', losses=[dict(type=MODELS.get('SoftDiceLoss'))]).spec.losses[0].title
    with pytest.raises(SpecError, match='losses must be'):
        build('WeightedSumLoss', losses=3)


def test_wrong_lengths_get_one_sentence():
    with pytest.raises(ValueError, match='class_weight must have 3 entries, one for each class, got 2'):
        build('SoftDiceLoss', class_weight=[1, 2])(Z, Y)
    with pytest.raises(ValueError, match='classes must be below the 3 channels of pred, got 7'):
        build('SoftDiceLoss', classes=[1, 7])(Z, Y)
    with pytest.raises(ValueError, match=r'a one-channel target must lie in \[0, 1\], got \d'):
        build('SoftDiceLoss')(Z[:, :1], Y + 2)


def test_ignore_label_of_the_constructor_may_be_a_class():
    loss = build('JaccardMetricLoss', ignore_index=1)
    changed = Z.clone()
    changed[(Y == 1)[:, None].expand_as(Z)] += 5
    assert torch.equal(loss(changed, Y, ignore_index=1), loss(Z, Y, ignore_index=255))


@pytest.mark.parametrize('name', [n for n in PLAIN if 'sum' in PLAIN[n].reductions])
def test_reductions_of_losses_that_have_them(name):
    every = dict(k=100) if name == 'TopKCrossEntropyLoss' else {}  # pixel is in
    loss, weight = build(name, ignore_index=0, **every), torch.rand(2, 4, 5)
    rows = loss(Z, Y, weight, reduction_override='none')
    assert rows.shape == Y.shape and (rows[Y == 0] == 0).all()
    total = loss(Z, Y, weight, reduction_override='sum')
    assert_same(rows.sum(), total, 'float32')
    assert_same(loss(Z, Y, weight), total / weight[Y != 0].sum(), 'float32')
    assert_same(loss(Z, Y, weight, avg_factor=7.0), total / 7, 'float32')
    assert_same(build(name, ignore_index=0, **every, reduction='sum')(Z, Y, weight), total, 'float32')
    for call in (dict(reduction_override='sum'), {}):
        with pytest.raises(ValueError, match="avg_factor does not go with reduction 'sum'"):
            build(name, reduction='mean' if call else 'sum')(Z, Y, avg_factor=7.0, **call)
    with pytest.raises(SpecError, match='reduction must be one of'):
        build(name, reduction='median')
    with pytest.raises(ValueError, match='reduction_override must be one of'):
        loss(Z, Y, reduction_override='median')


CROSS_ENTROPIES = {
    'weights': dict(class_weight=[0.5, 2, 3]),
    'frequencies': dict(class_weight='inverse_frequency'),
    'frequencies_of_channels': dict(class_weight='inverse_frequency', activation='sigmoid'),
    'balanced': dict(class_weight='balanced', activation='sigmoid'),
}


@pytest.mark.parametrize('params', CROSS_ENTROPIES.values(), ids=CROSS_ENTROPIES)
def test_reductions_of_weighted_cross_entropy_have_the_weights_of_the_whole_batch(params):
    loss, weight = build('WeightedCrossEntropyLoss', label_smoothing=0.1, **params), torch.rand(2, 4, 5)
    arrays = [x.double().numpy() if x is not Y else x.numpy() for x in (Z, Y, weight)]
    rows = loss.spec.reference(*arrays, reduction='none')
    assert_same(loss(Z, Y, weight, reduction_override='none'), rows, 'float32')
    assert_same(loss(Z, Y, weight, reduction_override='sum'), rows.sum(), 'float32')
    assert_same(loss(Z, Y, weight, avg_factor=7.0), rows.sum() / 7, 'float32')


def test_reductions_without_meaning_are_refused():
    for name, call in (
        ('JaccardMetricLoss', dict(avg_factor=3)),
        ('JaccardMetricLoss', dict(reduction_override='sum')),
        ('ComboLoss', dict(reduction_override='none')),
    ):
        with pytest.raises(ValueError, match='has no meaning'):
            build(name)(Z, Y, **call)


@pytest.mark.parametrize('name', PLAIN)
def test_autocast_computes_in_float32(name):
    loss, (z, y) = build(name), inputs(name)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(z, y)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(z, y))


@pytest.mark.parametrize('name', PLAIN)
def test_all_ignored_keeps_the_graph(name):
    z, y = inputs(name)
    z = z.clone().requires_grad_()
    value = build(name)(z, torch.full_like(y, 255), ignore_index=255)
    value.backward()
    assert value.item() == 0 and torch.equal(z.grad, torch.zeros_like(z))


def test_a_label_to_ignore_that_the_labels_cannot_hold_ignores_nothing():
    """PyTorch would compare bytes with 300 as with 44, and with -1 as with 255."""
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(2, 50, 6, generator=generator), torch.randint(50, (2, 6), generator=generator)
    y[0, :3] = 44
    want = MODELS.build(dict(type='SoftDiceLoss'))(z, y)
    for label in (300, -212, 44 + 2**32):
        value = MODELS.build(dict(type='SoftDiceLoss', ignore_index=label))(z, y.to(torch.uint8))
        torch.testing.assert_close(value, want, msg=str(label))


def test_a_loss_that_says_nothing_of_its_value_is_named():
    class Unfinished(Loss):
        spec_class = LOSSES['SoftDiceLoss']

        def __init__(self):
            super().__init__(dict(loss_name='loss_unfinished'))

    with pytest.raises(NotImplementedError, match='Unfinished'):
        Unfinished()(torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.long))


@pytest.mark.parametrize('mode', ['plain', 'fused'])
def test_the_overlap_of_a_tiny_probability_is_not_lost_beside_its_label(mode, monkeypatch):
    """(|p| + |y| - |p - y|) / 2 in float32 would be 0 there, and the loss infinite."""
    monkeypatch.setattr(choice, 'MODE', mode)
    z = torch.zeros(1, 2, 64)
    z[:, 0] = 20.0  # 2e-9 for the other class
    y = torch.zeros(1, 2, 64)
    y[:, 1] = 1.0
    config = dict(type='JaccardMetricLoss', log_loss=True, smooth=0.0, classes=[1])
    value = MODELS.build(config)(z, y)
    torch.testing.assert_close(value, MODELS.build(config)(z.double(), y.double()).float(), rtol=1e-5, atol=0)
    assert 19.9 < value < 20.1


def test_a_subclass_may_hand_on_its_arguments():
    class Mine(type(build('SoftDiceLoss'))):
        def __init__(self, **kwargs):
            super().__init__(**{'smooth': 1.0, **kwargs})

    assert Mine(ignore_index=255).spec == LOSSES['SoftDiceLoss'](smooth=1.0, ignore_index=255)
    with pytest.raises(SpecError, match="^Mine: unknown parameter 'smoth', did you mean 'smooth'"):
        Mine(smoth=1)
