"""What is compared: losses, each with soft or with hard labels. Everything else of a training is the same."""

import dataclasses

import torch
from torch import Tensor, nn

from mmseg_plugin import losses

PIXELS, REGIONS = 0.25, 0.75  # the shares of JDTLosses


@dataclasses.dataclass(frozen=True)
class Condition:
    """``region``: the class of the loss over regions, None for cross-entropy alone; ``pixels``: its share of the sum."""

    title: str
    soft: bool
    region: str | None = None
    pixels: float = PIXELS


OURS = 'jaccard-metric-soft'
CONDITIONS = {
    OURS: Condition('JaccardMetric + CE, soft', True, 'JaccardMetricLoss'),
    'jaccard-metric-hard': Condition('JaccardMetric + CE, hard', False, 'JaccardMetricLoss'),
    'soft-jaccard-soft': Condition('SoftJaccard + CE, soft', True, 'SoftJaccardLoss'),
    'cross-entropy-soft': Condition('CE, soft', True),
    'cross-entropy-hard': Condition('CE, hard', False),
    'dice-semimetric-soft': Condition('DiceSemimetric alone, soft', True, 'DiceSemimetricLoss', 0.0),
    'soft-dice-soft': Condition('SoftDice alone, soft', True, 'SoftDiceLoss', 0.0),
}
PAIRS = {other: (OURS, other) for other in CONDITIONS if other not in (OURS, 'dice-semimetric-soft', 'soft-dice-soft')}
PAIRS['soft-dice-soft'] = ('dice-semimetric-soft', 'soft-dice-soft')  # without cross-entropy, which holds both back


class StudyLoss(nn.Module):
    """The loss of a condition: logits (N, C, H, W), soft labels (N, C, H, W) -> a scalar.

    A condition with hard labels takes the class with the largest share.
    """

    def __init__(self, condition: Condition) -> None:
        super().__init__()
        self.soft = condition.soft
        self.shares = [(condition.pixels, losses.WeightedCrossEntropyLoss())] if condition.pixels else []
        if condition.region is not None:
            region = getattr(losses, condition.region)(smooth=1.0)
            self.shares.append((1 - condition.pixels, region))
        else:
            self.shares = [(1.0, losses.WeightedCrossEntropyLoss())]

    def forward(self, logits: Tensor, soft: Tensor) -> Tensor:
        labels = soft if self.soft else soft.argmax(1)
        return torch.stack([share * loss(logits, labels) for share, loss in self.shares]).sum()
