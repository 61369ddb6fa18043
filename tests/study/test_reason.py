"""Why soft labels need other losses: where the losses are lowest, and where a descent along them ends."""

import numpy as np
import pytest
import torch

from mmseg_plugin import losses
from segparity.study.landscapes import SHOWN, landscape, landscapes, lowest

P = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
BY_HAND = {  # at y = 1/2
    'SoftJaccardLoss': 1 - (P / 2) / (P + 1 / 2 - P / 2),
    'SoftDiceLoss': 1 - 2 * (P / 2) / (P + 1 / 2),
    'JaccardMetricLoss': 1 - np.minimum(P, 1 / 2) / np.maximum(P, 1 / 2),
    'DiceSemimetricLoss': np.abs(P - 1 / 2) / (P + 1 / 2),
}


@pytest.mark.parametrize('loss', SHOWN)
def test_a_landscape_is_its_formula(loss):
    np.testing.assert_allclose(landscape(loss, P), BY_HAND[loss], rtol=0, atol=1e-12)


def test_classic_losses_are_lowest_at_1_and_metric_losses_at_the_label():
    assert lowest(landscapes()) == {
        'SoftJaccardLoss': 1.0,
        'SoftDiceLoss': 1.0,
        'JaccardMetricLoss': 0.5,
        'DiceSemimetricLoss': 0.5,
    }


@pytest.mark.parametrize('loss', SHOWN)
def test_a_descent_ends_there(loss):
    """From p = 0.73 with ever smaller steps; the metric losses have a kink at the label, around which a step stays."""
    logit = torch.ones(1, 1, 1, 1, dtype=torch.float64, requires_grad=True)
    made = getattr(losses, loss)(activation='sigmoid', smooth=0.0)
    for step in range(300):
        (slope,) = torch.autograd.grad(made(logit, torch.full_like(logit, 0.5)), logit)
        with torch.no_grad():
            logit -= 4 / (1 + step / 20) * slope
    p = logit.sigmoid().item()
    assert p > 0.95 if loss.startswith('Soft') else abs(p - 0.5) < 0.05
