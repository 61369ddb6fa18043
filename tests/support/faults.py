"""What is wrong with one pixel of an input, or with all: name -> what it does to (pred, target, weight), NumPy.

pred (N, C, H, W) logits, target (N, H, W) class ids; each returns copies. ``refused`` says which of the sentences of
``shared_spec.values`` is due where values can be seen, None where the loss is NaN everywhere.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

AT = (0, 3, 3)  # the pixel


@dataclasses.dataclass(frozen=True)
class Fault:
    change: Callable
    refused: str = None
    sigmoid: bool = True  # whether it is one for sigmoid too
    one_channel: bool = True  # whether it is one for one channel too


def in_pred(value, channel=-1, **options):
    def change(pred, target, weight):
        pred = pred.copy()
        pred[AT[0], channel, *AT[1:]] = value
        return pred, target, weight

    return Fault(change, **options)


def in_target(value, dtype=None, everywhere=False, **options):
    """``value`` is a label, or a number of classes -> label."""

    def change(pred, target, weight):
        target = target.astype(dtype or target.dtype)
        label = value(max(pred.shape[1], 2)) if callable(value) else value
        target[... if everywhere else AT] = label
        return pred, target, weight

    return Fault(change, **options)


def in_weight(value, per_image=False, everywhere=False, **options):
    def change(pred, target, weight):
        weight = np.ones(len(target) if per_image else target.shape)
        weight[... if everywhere else AT[0] if per_image else AT] = value
        return pred, target, weight

    return Fault(change, **options)


LABEL, WEIGHT, WHOLE = 'must be (below|at least)|must lie in', 'a weight must be', 'whole numbers'
FAULTS = {
    'nan': in_pred(np.nan),
    'inf': in_pred(np.inf),
    'nan_in_the_first_class': in_pred(np.nan, channel=0),
    'only_minus_inf': in_pred(-np.inf, channel=slice(None), sigmoid=False, one_channel=False),
    'label_of_no_class': in_target(lambda classes: classes, refused=LABEL),
    'label_255': in_target(255, refused=LABEL),
    'label_below_0': in_target(-1, refused=LABEL),
    'only_labels_of_no_class': in_target(lambda classes: classes + 1, everywhere=True, refused=LABEL),
    'label_between': in_target(0.5, float, refused=WHOLE, one_channel=False),
    'label_nan': in_target(np.nan, float, refused=WHOLE, one_channel=False),
    'weight_nan': in_weight(np.nan, refused=WEIGHT),
    'weight_negative': in_weight(-1.0, refused=WEIGHT),
    'weight_infinite': in_weight(np.inf, refused=WEIGHT),
    'only_negative_weights': in_weight(-1.0, everywhere=True, refused=WEIGHT),
    'image_weight_negative': in_weight(-1.0, per_image=True, refused=WEIGHT),
    'image_weight_nan': in_weight(np.nan, per_image=True, refused=WEIGHT),
}
