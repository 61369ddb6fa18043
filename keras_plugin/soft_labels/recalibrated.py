"""A teacher's outputs after ``DirichletRecalibration``, in Keras."""

import math
from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_plugin import values
from keras_plugin.named_outputs import MAIN
from keras_plugin.soft_labels.smoothing import boundary
from keras_plugin.soft_labels.teacher_terms import as_probabilities, counted
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.recalibration import TINY, DirichletRecalibration, rows_at_once

WINDOW = 3  # in which a doubtful pixel sees another class


def taught(
    owner: str,
    name: str,
    recalibration: DirichletRecalibration,
    z: Tensor,
    from_logits: bool,
    y: Tensor | None,
    ignore_class: int | None,
) -> Tensor:
    """The logits of an output's soft labels: recalibrated in all pixels, or in those that the labels y make doubtful."""
    own = values.as_numbers(ops.stop_gradient(z))
    if not from_logits:
        own = as_probabilities(owner, own)
    found = recalibrate_logits(recalibration, own, from_logits)
    if recalibration.pixels == 'all':
        return found
    own = own if from_logits else ops.log(own)
    return ops.where(doubtful(owner, name, y, z, ignore_class)[..., None], found, own)


def recalibrate_logits(recalibration: DirichletRecalibration, z: Tensor, from_logits: bool = True) -> Tensor:
    """Outputs (N, *space, C) of a teacher -> the logarithms of its recalibrated probabilities, float32 or wider.

    ``DirichletRecalibration.recalibrate`` of their softmax, or of the probabilities that they are; NaN stays in its pixel.
    """
    z = values.as_numbers(ops.stop_gradient(z))
    slopes, offsets, labels = (ops.cast(ops.convert_to_tensor(x), z.dtype) for x in recalibration.logarithms)
    log_p = at_least(ops.log_softmax(z, axis=-1), math.log(TINY)) if from_logits else ops.log(at_least(z, TINY))

    def recalibrated(rows: Tensor) -> Tensor:
        return ops.softmax(rows @ slopes + offsets, axis=-1) @ labels

    found = by_parts(recalibrated, ops.reshape(log_p, (-1, z.shape[-1])), rows_at_once(len(recalibration.key_labels)))
    return ops.reshape(ops.log(at_least(found, TINY)), ops.shape(z))


def at_least(x: Tensor, low: float) -> Tensor:
    """x, or ``low`` where it is less; NaN stays."""
    return ops.where(x < low, ops.full_like(x, low), x)


def by_parts(function: Any, rows: Tensor, step: int) -> Tensor:
    """``function`` of rows (R, C), so many at a time."""
    number = rows.shape[0]
    if number is not None and number <= step:
        return function(rows)
    number = ops.shape(rows)[0]
    padded = ops.pad(rows, ((0, -number % step), (0, 0)))
    found = ops.map(function, ops.reshape(padded, (-1, step, rows.shape[-1])))
    return ops.reshape(found, (-1, rows.shape[-1]))[:number]


def doubtful(owner: str, name: str, y: Tensor | None, z: Tensor, ignore_class: int | None) -> Tensor:
    """(N, *space) where the class of the largest output (N, *space, C) is not the label's, and boundaries of labels."""
    if y is None:
        raise ValueError(f"{owner}: recalibration of pixels='doubtful' needs labels of the output {name!r}, got none")
    y, like = values.to_tensor(y), tuple(z.shape)
    counts = counted(owner, y, like, ignore_class, 'softmax')
    kind = shapes.label_kind(owner, like, tuple(y.shape), 'last')
    ids = ops.argmax(y, axis=-1) if kind == 'channels' else y if kind == 'ids' else ops.squeeze(y, axis=-1)
    ids = ops.cast(ids, 'int32')
    counts = ops.ones_like(ids, dtype='bool') if counts is None else counts
    wrong = ops.not_equal(ops.cast(ops.argmax(z, axis=-1), 'int32'), ids)
    return ops.logical_or(boundary(ids, counts, like[-1], WINDOW), wrong)


def by_recalibrated_output(owner: str, given: Any, output: Any) -> dict[str, DirichletRecalibration]:
    """output -> its recalibration; TypeError for what is none, ValueError for outputs that there are not."""
    if given is None:
        return {}
    found = dict(given) if isinstance(given, Mapping) else {MAIN: given}
    names = list(output) if isinstance(output, Mapping) else [MAIN]
    for name, one in found.items():
        if not isinstance(one, DirichletRecalibration):
            raise TypeError(f'{owner}: recalibration must be a DirichletRecalibration, got {type(one).__name__}')
        if output is not None and name not in names:
            raise ValueError(
                f'{owner}: recalibration must be a dictionary by the outputs {", ".join(names)}, got one of {name!r}'
            )
    return found


def check_recalibration(owner: str, found: DirichletRecalibration, name: str, z: Tensor, activation: str) -> None:
    """ValueError where an output has other classes than its keys, or is that of a sigmoid."""
    if activation != 'softmax' or z.shape[-1] == 1:
        raise ValueError(f'{owner}: recalibration is of a softmax over the classes, and output {name!r} has a sigmoid')
    if z.shape[-1] != found.num_classes:
        raise ValueError(
            f'{owner}: recalibration of output {name!r} must have its {z.shape[-1]} classes, its keys have '
            f'{found.num_classes}'
        )
