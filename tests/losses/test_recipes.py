"""JDTLosses' training recipes with the public losses: the values and gradients of its own code."""

import pytest

from shared_spec import LOSSES
from tests.losses.recipes import CASES, Recipe

PER_CASE = pytest.mark.parametrize('case_id', CASES)


@PER_CASE
def test_reference(case_id):
    recipe = Recipe(case_id, lambda name, **params: LOSSES[name](**params).reference)
    recipe.assert_terms(*recipe.terms(recipe.arrays['logits'], recipe.arrays['aux_logits']))


@PER_CASE
def test_labels(case_id):
    recipe = Recipe(case_id, lambda name, **params: None)
    if recipe.params['kind'] == 'ls':
        recipe.assert_close(recipe.soft(), 'soft')
        assert 0 < (recipe.soft().max(1) == 1).mean() < 1
    if recipe.params['kind'] == 'kd':
        recipe.assert_close(recipe.teacher(), 'prob_teacher')


@PER_CASE
def test_value_and_gradients_in_mmsegmentation(case_id):
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401  registers the losses

    def build(name, **params):
        module = MODELS.build(dict(type=name, **params))

        def called(logits, target, weight=None):
            weight = None if weight is None else torch.tensor(weight)
            return module(logits, torch.tensor(target), weight=weight)

        return called

    recipe = Recipe(case_id, build)
    logits, aux = (torch.tensor(recipe.arrays[k], requires_grad=True) for k in ('logits', 'aux_logits'))
    pixels, regions = recipe.terms(logits, aux)
    recipe.assert_terms(pixels.detach(), regions.detach())
    (pixels + regions).backward()
    recipe.assert_close(logits.grad.numpy(), 'grad_logits')
    recipe.assert_close(torch.zeros_like(aux) if aux.grad is None else aux.grad.numpy(), 'grad_aux_logits')


def test_every_kind_is_there():
    assert {CASES[case_id]['params']['kind'] for case_id in CASES} == {'hard', 'ls', 'kd'}
    assert all(CASES[case_id]['target'] for case_id in CASES)
