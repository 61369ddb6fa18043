"""Losses with a part whose factor is 0, and predictions of which that part is infinite."""

import numpy as np

from shared_spec import LOSSES
from tests.support.losses import PLAIN

CROSS_ENTROPY, DICE = dict(type='WeightedCrossEntropyLoss'), dict(type='SoftDiceLoss')
# each with its name, parameters and number of channels
CASES = [
    *((name, dict(loss_weight=0.0), 1 if 'many' not in LOSSES[name].channels else 3) for name in PLAIN),
    ('WeightedCrossEntropyLoss', dict(loss_weight=0.0), 1),
    ('WeightedCrossEntropyLoss', dict(class_weight=[1.0, 0.0, 2.0]), 3),
    ('WeightedCrossEntropyLoss', dict(class_weight=[1.0, 0.0, 2.0], activation='sigmoid'), 3),
    ('WeightedCrossEntropyLoss', dict(class_weight=[1.0, 0.0]), 1),
    ('FocalCrossEntropyLoss', dict(loss_weight=0.0), 1),
    ('FocalCrossEntropyLoss', dict(alpha=0.0), 3),
    ('FocalCrossEntropyLoss', dict(alpha=0.0), 1),
    ('FocalCrossEntropyLoss', dict(alpha=0.0, activation='sigmoid', gamma=0.5), 3),
    ('FocalCrossEntropyLoss', dict(alpha=[1.0, 0.0, 2.0]), 3),
    ('FocalCrossEntropyLoss', dict(alpha=[1.0, 0.0], gamma=5.0), 1),
    ('WeightedCrossEntropyLoss', dict(pos_weight=0.0), 1),
    ('TopKCrossEntropyLoss', dict(class_weight=[1.0, 0.0, 2.0], k=100), 3),
    ('TopKCrossEntropyLoss', dict(class_weight=[1.0, 0.0], k=100), 1),
    ('OhemCrossEntropyLoss', dict(class_weight=[1.0, 0.0, 2.0], thresh=1), 3),
    ('OhemCrossEntropyLoss', dict(class_weight=[1.0, 0.0], min_kept=0, thresh=1), 1),
    ('ComboLoss', dict(alpha=0.0), 3),
    ('ComboLoss', dict(beta=0.0), 3),
    ('ComboLoss', dict(beta=0.0), 1),
    ('ComboLoss', dict(beta=0.0, activation='sigmoid'), 3),
    ('ComboLoss', dict(alpha=0.0, beta=1.0), 1),
    ('RegionMutualInformationLoss', dict(ce_weight=0.0, pool='none'), 3),
    ('ExponentialLogarithmicLoss', dict(ce_weight=0.0), 3),
    ('ExponentialLogarithmicLoss', dict(dice_weight=0.0), 3),
    ('ExponentialLogarithmicLoss', dict(class_weight=[1.0, 0.0, 2.0]), 3),
    ('UnifiedFocalLoss', dict(weight=0.0), 3),
    ('UnifiedFocalLoss', dict(delta=0.0), 3),
    ('UnifiedFocalLoss', dict(weight=1.0, delta=1.0), 3),
    ('JaccardMetricLoss', dict(class_weight=[1.0, 0.0, 2.0], log_loss=True, smooth=0.0), 3),
    ('CompatibleTverskyLoss', dict(alpha=0.0, beta=0.0, smooth=0.0), 3),
    ('FocalTverskyLoss', dict(alpha=0.0), 3),
    ('SoftTverskyLoss', dict(beta=0.0), 3),
    ('WeightedSumLoss', dict(losses=[CROSS_ENTROPY, DICE], weights=[0.0, 0.5]), 3),
    ('WeightedSumLoss', dict(losses=[CROSS_ENTROPY, DICE], weights=[0.0, 0.0]), 3),
    ('WeightedSumLoss', dict(losses=[dict(CROSS_ENTROPY, loss_weight=0.0), DICE], weights=[0.7, 0.5]), 3),
    (
        'WeightedSumLoss',
        dict(losses=[dict(type='WeightedSumLoss', losses=[CROSS_ENTROPY]), DICE], weights=[0.0, 0.5]),
        3,
    ),
]
IDS = [f'{k}-{name}' for k, (name, _, _) in enumerate(CASES)]
LOW = -1e4  # as good as -inf where no part is infinite


def inputs(channels, low, shape=(8, 9), seed=5):
    """pred (2, C, *shape), labels; class 1 is predicted nowhere that has it in the first line: its logit there is ``low``."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, max(channels, 2), (2, *shape))
    target[:, 0] = 1
    pred = rng.normal(0, 1.5, (2, channels, *shape))
    pred[:, -1 if channels == 1 else 1, 0] = low
    return pred, target
