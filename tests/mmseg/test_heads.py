"""Our losses inside MMSegmentation's decode heads: the value is the spec's, whatever way a head calls the loss."""

import numpy as np
import pytest
import torch

import shared_spec
from tests.mmseg.heads import (
    IGNORED,
    MANY_CHANNEL_LOSSES,
    ONE_CHANNEL,
    ONE_CHANNEL_LOSSES,
    build,
    features,
    head_config,
    label,
    label_for,
    named_gradients,
    only_loss,
    parameter_names,
    samples,
)
from tests.support.losses import PLAIN


def head(loss_decode, **changes):
    return build(head_config(loss_decode=loss_decode, **changes))


def reference(name, logits, target, weight=None, **parameters):
    weight = None if weight is None else weight.numpy()
    spec = shared_spec.LOSSES[name](**parameters)
    return spec.reference(logits.detach().numpy(), target.numpy(), weight, ignore_index=IGNORED)


@pytest.mark.parametrize('name', MANY_CHANNEL_LOSSES)
def test_value_in_a_head(name):
    built, target = head(dict(type=name)), label_for(name)
    ours = only_loss(built.loss(features(), samples(target), {}))
    assert ours.item() == pytest.approx(reference(name, built(features()), target), rel=1e-9)
    ours.backward()
    gradients = named_gradients(built)
    assert set(gradients) == parameter_names(name)
    assert all(torch.isfinite(grad).all() and grad.any() for grad in gradients.values())


@pytest.mark.parametrize('name', ONE_CHANNEL_LOSSES)
def test_one_channel_head(name):
    areas = shared_spec.LOSSES[name].needs_areas
    built, target = head(dict(type=name), **ONE_CHANNEL), label(2, areas=areas)
    ours = only_loss(built.loss(features(), samples(target), {}))
    assert ours.item() == pytest.approx(reference(name, built(features()), target), rel=1e-9)
    ours.backward()
    gradients = named_gradients(built)
    assert set(gradients) == parameter_names(name)
    assert all(torch.isfinite(grad).all() and grad.any() for grad in gradients.values())


def test_every_loss_is_in_one_of_these_heads():
    assert {*MANY_CHANNEL_LOSSES, *ONE_CHANNEL_LOSSES} == set(PLAIN)


def test_a_loss_for_one_channel_is_refused_in_a_head_of_four():
    built = head(dict(type='LovaszHingeLoss'))
    sentence = 'LovaszHingeLoss: pred must have one channel, got 4; in a decode head of two classes: out_channels=1, threshold=0.5'
    with pytest.raises(ValueError, match=f'^{sentence}$'):
        built.loss(features(), samples(label()), {})


class TestRobustT:
    """The degrees of freedom are a parameter of the loss, so the head hands them to the optimizer."""

    def test_a_step_learns_nu(self):
        built, target = head(dict(type='RobustTLoss', nu=2.0)), label()
        nu = built.loss_decode.log_nu.exp().item()
        assert nu == pytest.approx(2, rel=1e-7)  # its logarithm was stored in float32
        before = only_loss(built.loss(features(), samples(target), {}))
        before.backward()
        torch.optim.SGD(built.parameters(), lr=1e-4).step()
        learnt = built.loss_decode.log_nu.exp().item()
        assert learnt != nu
        after = only_loss(built.loss(features(), samples(target), {}))
        assert after < before
        assert after.item() == pytest.approx(reference('RobustTLoss', built(features()), target, nu=learnt), rel=1e-9)

    def test_a_fixed_nu_is_no_parameter(self):
        built, target = head(dict(type='RobustTLoss', nu=2.0, learn_nu=False)), label()
        assert {name for name, _ in built.named_parameters()} == {'conv_seg.weight', 'conv_seg.bias'}
        ours = only_loss(built.loss(features(), samples(target), {}))
        assert ours.item() == pytest.approx(reference('RobustTLoss', built(features()), target, nu=2.0), rel=1e-9)

    def test_nu_is_stored_with_the_head(self):
        built, other = head(dict(type='RobustTLoss', nu=2.0)), head(dict(type='RobustTLoss', nu=5.0))
        other.load_state_dict(built.state_dict())
        assert torch.equal(other.loss_decode.log_nu, built.loss_decode.log_nu)

    def test_in_a_list(self):
        built = head([dict(type='SoftDiceLoss'), dict(type='RobustTLoss', loss_weight=1e-3)])
        losses = built.loss(features(), samples(label()), {})
        (losses['loss_soft_dice'] + losses['loss_robust_t']).backward()
        gradients = named_gradients(built)
        assert set(gradients) == parameter_names('RobustTLoss', owner='loss_decode.1')
        assert all(torch.isfinite(grad).all() and grad.any() for grad in gradients.values())


def test_a_list_of_losses_adds_up_under_its_names():
    parts = [
        dict(type='CrossEntropyLoss', loss_weight=0.25),
        dict(type='JaccardMetricLoss', loss_weight=0.75, granularity={'I': 0.5, 'C': 0.5}),
        dict(type='SoftDiceLoss', loss_name='loss_mine'),
        dict(type='SoftDiceLoss', loss_name='loss_mine'),
    ]
    built, target = head(parts), label()
    losses = built.loss(features(), samples(target), {})
    logits = built(features())
    assert set(losses) == {'loss_ce', 'loss_jaccard_metric', 'loss_mine', 'acc_seg'}
    assert losses['loss_jaccard_metric'].item() == pytest.approx(
        reference('JaccardMetricLoss', logits, target, loss_weight=0.75, granularity={'I': 0.5, 'C': 0.5}), rel=1e-9
    )
    assert losses['loss_mine'].item() == pytest.approx(2 * reference('SoftDiceLoss', logits, target), rel=1e-9)


class TestOhemSampler:
    """Online hard example mining hands its choice of pixels to the loss as a weight of 0 or 1."""

    def test_by_threshold(self):
        built = head(dict(type='JaccardMetricLoss'), sampler=dict(type='OHEMPixelSampler', thresh=0.3, min_kept=20))
        self.check(built, 'JaccardMetricLoss')

    def test_by_loss(self):
        built = head(dict(type='WeightedCrossEntropyLoss'), sampler=dict(type='OHEMPixelSampler', min_kept=20))
        weight = self.check(built, 'WeightedCrossEntropyLoss')
        assert weight.sum() == 2 * 20  # min_kept is per image

    @staticmethod
    def check(built, name):
        target = label()
        logits = built(features())
        weight = built.sampler.sample(logits, target[:, None])
        assert 0 < weight.sum() < (target != IGNORED).sum()
        losses = built.loss_by_feat(logits, samples(target))
        ours = only_loss(losses)
        assert ours.item() == pytest.approx(reference(name, logits, target, weight), rel=1e-9)
        (grad,) = torch.autograd.grad(ours, logits)
        assert not grad.movedim(1, -1)[weight == 0].any()
        return weight


@pytest.mark.parametrize('name', PLAIN)
def test_a_batch_without_a_valid_pixel_gives_zero_and_a_graph(name):
    built = head(dict(type=name), **({} if name in MANY_CHANNEL_LOSSES else ONE_CHANNEL))
    ours = only_loss(built.loss(features(), samples(torch.full((2, 16, 16), IGNORED)), {}))
    ours.backward()
    assert ours == 0
    gradients = named_gradients(built)
    assert set(gradients) == parameter_names(name)
    assert all(np.array_equal(grad, np.zeros_like(grad)) for grad in gradients.values())


def test_a_misspelt_parameter_is_refused_when_the_head_is_built():
    with pytest.raises(ValueError, match="unknown parameter 'smoth', did you mean 'smooth'"):
        head(dict(type='JaccardMetricLoss', smoth=1.0))
