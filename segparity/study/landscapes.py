"""The reason itself: losses of one pixel over the predicted probability p, whose soft label is y = 0.5."""

import numpy as np
import torch

from mmseg_plugin import losses

LABEL = 0.5
SHOWN = {
    'SoftJaccardLoss': 'SoftJaccard',
    'JaccardMetricLoss': 'JaccardMetric',
    'SoftDiceLoss': 'SoftDice',
    'DiceSemimetricLoss': 'DiceSemimetric',
}


def landscape(loss: str, p: np.ndarray, label: float = LABEL) -> np.ndarray:
    """The loss at every p (P,) in [0, 1] of one pixel of one channel, without smoothing: float64 (P,)."""
    made = getattr(losses, loss)(activation='sigmoid', from_logits=False, smooth=0.0)
    target = torch.full((1, 1, 1, 1), label, dtype=torch.float64)
    values = [made(torch.full((1, 1, 1, 1), x, dtype=torch.float64), target).item() for x in p.tolist()]
    return np.array(values)


def landscapes(points: int = 101) -> dict[str, np.ndarray]:
    """'p' and every loss of ``SHOWN`` -> (points,)."""
    p = np.linspace(0, 1, points)
    return {'p': p, **{loss: landscape(loss, p) for loss in SHOWN}}


def lowest(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Loss -> the p at which it is lowest."""
    return {loss: float(found['p'][found[loss].argmin()]) for loss in SHOWN}
