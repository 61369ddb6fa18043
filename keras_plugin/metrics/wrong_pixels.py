"""What makes a result of the metrics wrong: which pixels, how many of each kind, and the sentence that says so.

The masks are written with operators alone, so that tensors of every backend and NumPy arrays share them.
"""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.scores import count_true
from keras_plugin.typing import Tensor
from keras_plugin.values import can_look
from shared_spec.values import TOLERANCE

KINDS = (
    'scores',  # predictions that are NaN or +inf, or -inf for every class
    'ids',  # predicted ids that are no class
    'labels',  # labels that are no class, and how many of these are
    'labels_of_255',
    'labels_of_c',  # the number of classes
    'labels_of_fractions',  # no whole numbers, NaN among them
    'maps',  # one-hot or soft labels outside [0, 1]
    'weights',  # negative, NaN or infinite
    'probabilities',  # outside [0, 1]
)
NEVER_REFUSED = 'scores', 'ids'  # a wrong prediction makes a result NaN and raises nothing
NO_NUMBERS = 'predictions must be numbers'
MANY = 1 << 20  # counters stop here, so that none wraps, nor the sum of those of many replicas


def is_probability(x: Tensor) -> Tensor:
    """Where x lies in [0, 1], but for rounding; NaN does not."""
    return (x >= -TOLERANCE) & (x <= 1 + TOLERANCE)


def is_out_of_range(x: Tensor) -> Tensor:
    """Where x is a number outside [0, 1]; NaN and +inf are no number."""
    return ((x < -TOLERANCE) | (x > 1 + TOLERANCE)) & (x < float('inf'))


def is_valid_weight(weight: Tensor) -> Tensor:
    """Where a weight of a floating point type is finite and not negative."""
    return (weight >= 0) & (weight < float('inf'))


def wrong_labels(ids: Tensor, known: Tensor, fraction: Tensor | None, c: int) -> dict[str, Tensor]:
    """Kind -> mask of the labels that are no class; ``fraction`` None where ids are integers."""
    wrong = ~known
    found = {'labels': wrong, 'labels_of_255': wrong & (ids == 255), 'labels_of_c': wrong & (ids == c)}
    return found if fraction is None else {**found, 'labels_of_fractions': fraction}


def count_by_kind(masks: Mapping[str, Tensor]) -> Tensor:
    """int32 (KINDS,): how many pixels each mask has; ``masks`` is kind -> mask."""
    none = ops.zeros((), dtype='int32')
    return ops.stack([count_true(masks[kind]) if kind in masks else none for kind in KINDS])


class WrongPixels:
    """How many pixels of each kind a metric has met, as one int32 variable; it makes every result NaN.

    Labels, weights and probabilities are refused at once where their values can be seen without waiting for a device:
    outside traced functions, on a CPU.
    """

    def __init__(self, metric: keras.metrics.Metric, name: str = 'wrong_pixels') -> None:
        self.owner = type(metric).__name__
        self.counts = metric.add_variable((len(KINDS),), 'zeros', dtype='int32', name=name)

    def update(self, num_classes: int, counts: Tensor) -> None:
        """Adds int32 (KINDS,) of a batch; ValueError with the sentence where they can be seen."""
        if can_look(counts):
            seen = counts_by_kind(counts)
            if must_raise(seen):
                raise ValueError(f'{self.owner}: {sentence(num_classes, seen)}')
        old = ops.convert_to_tensor(self.counts.value)
        self.counts.assign(old + ops.minimum(counts, MANY - old))

    def nan_if_wrong(self, value: Tensor) -> Tensor:
        """The value, NaN once a pixel was wrong."""
        return ops.where(ops.any(self.counts.value > 0), float('nan'), value)

    def complaint(self, num_classes: int) -> str | None:
        """The sentence about what was met, or None."""
        seen = counts_by_kind(self.counts)
        return f'{self.owner}: {sentence(num_classes, seen)}' if any(seen.values()) else None


def counts_by_kind(counts: Tensor) -> dict[str, int]:
    """Kind -> number, of int32 (KINDS,)."""
    return dict(zip(KINDS, np.array(ops.convert_to_numpy(counts)).tolist()))


def must_raise(seen: Mapping[str, int]) -> bool:
    """Whether there is anything to raise at once."""
    return any(n for kind, n in seen.items() if kind not in NEVER_REFUSED)


def sentence(c: int, seen: Mapping[str, int]) -> str:
    """What is wrong and what is likely meant, all kinds after each other; ``seen`` is kind -> number of pixels."""
    parts = []
    if seen['labels']:
        parts.append(f'labels must be class ids from 0 to {c - 1}, got others {_in(seen["labels"])}{_hint(c, seen)}')
    if seen['maps']:
        parts.append(
            f'one-hot or soft labels must be in [0, 1], got others {_in(seen["maps"])}; '
            'an RGB picture is no label map, masks of 0 and 255 need dividing by 255'
        )
    if seen['weights']:
        parts.append(f'weights must be finite and >= 0, got others {_in(seen["weights"])}')
    if seen['probabilities']:
        parts.append(
            f'probabilities must be in [0, 1], got others {_in(seen["probabilities"])}; '
            'for logits give from_logits=True'
        )
    if seen['ids']:
        parts.append(f'integer predictions must be class ids below {c}, got others {_in(seen["ids"])}')
    if seen['scores']:
        parts.append(f'{NO_NUMBERS}, got NaN or infinity {_in(seen["scores"])}')
    return '; '.join(parts)


def _in(n: int) -> str:
    return f'in {n}{" or more" if n >= MANY else ""} pixel{"" if n == 1 else "s"}'


def _hint(c: int, seen: Mapping[str, int]) -> str:
    hints = []
    if seen['labels_of_255']:
        divide = ', or divide masks of 0 and 255 by 255' if c == 2 else ''
        hints.append(f'{seen["labels_of_255"]} of 255: give ignore_class=255 if these count nowhere{divide}')
    if seen['labels_of_c'] and c != 255:
        hints.append(f'{seen["labels_of_c"]} of {c}: labels start at 0, so subtract 1 from labels 1 to {c}')
    if seen['labels_of_fractions']:
        hints.append(f'{seen["labels_of_fractions"]} fractional or NaN: resize label maps to the nearest neighbour')
    return f' ({"; ".join(hints)})' if hints else ''
