"""Scores -> how far confidence is from the pixels that are right, in every bin of every image, in keras.ops.

A gap is the number of hits less the sum of confidences. Both are added as integers in units of 2^-24, so that no number
of pixels makes a sum drift; each confidence is off by half a unit at most, and so is an error: 3e-8.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from keras import backend, ops

from keras_plugin.metrics.label_maps import LabelMaps
from keras_plugin.metrics.scores import at_least, at_most, mean_of_counted
from keras_plugin.metrics.segments import segment_sum
from keras_plugin.metrics.wrong_pixels import is_probability
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.metrics.calibration import Calibration

HALF = 1 << 12  # gaps are added in two halves of 12 bits
UNIT = HALF * HALF
PART = 1 << 18  # pixels in a segment: its sums of halves stay within 2^30


def probabilities(owner: str, from_logits: bool, scores: Tensor | None, given: Tensor) -> Tensor:
    """(N, *space, C) in float32 or wider; one channel p becomes 1 - p and p. Refuses class ids (``scores`` None)."""
    if scores is None:
        raise ValueError(
            f'{owner}: calibration needs scores (N, *space, C), class ids have no confidence, '
            f'got {backend.standardize_dtype(given.dtype)} {shapes.as_text(given.shape)}'
        )
    if backend.standardize_dtype(scores.dtype) != 'float64':
        scores = ops.cast(scores, 'float32')
    if scores.shape[-1] > 1:
        return ops.softmax(scores, axis=-1) if from_logits else scores
    p = ops.sigmoid(scores) if from_logits else scores
    return ops.concatenate([1 - p, p], axis=-1)


def image_gaps(spec: Calibration, maps: LabelMaps, prob: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gaps of every image, and (N, P) the pixels that count and have a number that is no probability.

    spec: ``Calibration``; maps: ``LabelMaps``; prob (N, *space, C). A gap (N, rows, bins) is whole + part / UNIT, two
    int32, 0 <= part < UNIT. The rows are the classes (class 1 alone if ``binary``) where the spec has SCE, then the
    most probable class where it has ECE.
    """
    n, p = ops.shape(maps.target)
    prob = ops.reshape(prob, (n, p, prob.shape[-1]))
    fine, predicted = is_probability(prob), ops.expand_dims(maps.pred < spec.num_classes, 2)
    strange = ops.any(predicted & ~fine, axis=2)
    prob = ops.where(predicted & fine, prob, 0.0)  # what does not count has no confidence and, being C, no hit
    right = ops.expand_dims(maps.pred == maps.target, 2)

    confidence, hit = [], []
    if 'SCE' in spec.metrics:
        first = 1 if spec.binary else 0
        labelled = ops.expand_dims(maps.target, 2) == ops.arange(first, spec.num_classes, dtype='int32')
        confidence.append(prob[..., first:])
        hit.append(labelled if spec.hit == 'label' else ops.logical_and(labelled, right))
    if 'ECE' in spec.metrics:
        lowest = -1.0 if backend.backend() == 'tensorflow' else None  # or Keras asserts there that a pixel exists
        confidence.append(ops.max(prob, axis=2, keepdims=True, initial=lowest))
        hit.append(ops.logical_and(right, ops.expand_dims(maps.target < spec.num_classes, 2)))
    if len(hit) > 1:
        confidence, hit = [ops.concatenate(confidence, axis=2)], [ops.concatenate(hit, axis=2)]
    return (*_summed(confidence[0], hit[0], spec.bins), strange)


def _summed(confidence: Tensor, hit: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """(whole, part) of the gaps (N, rows, bins) of (N, P, rows) confidences and hits."""
    n, p, rows = ops.shape(confidence)
    parts = (p + PART - 1) // PART
    gap = ops.cast(hit, 'int32') * UNIT - ops.cast(ops.round(confidence * UNIT), 'int32')
    place = ops.reshape(ops.arange(n, dtype='int32'), (n, 1, 1)) * parts
    place = place + ops.reshape(ops.arange(p, dtype='int32') // PART, (1, p, 1))
    cell = bin_of(confidence, bins) + ops.arange(rows, dtype='int32') * bins + place * (rows * bins)
    cell, gap = ops.reshape(cell, (-1,)), ops.reshape(gap, (-1,))
    high = gap // HALF
    low, high = (
        ops.reshape(segment_sum(x, cell, n * parts * rows * bins), (n, parts, rows, bins))
        for x in (gap - high * HALF, high)
    )

    def total(x: Tensor) -> Tensor:
        return ops.cast(ops.sum(x, axis=1), 'int32')

    low_carry, high_carry = low // HALF, high // HALF
    return carry_over(
        total(high_carry), total(low_carry) + total(high - high_carry * HALF), total(low - low_carry * HALF)
    )


def carry_over(whole: Tensor, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """(whole, part) of whole + high / 2^12 + low / 2^24."""
    high = high + low // HALF
    return whole + high // HALF, high % HALF * HALF + low % HALF


def bin_of(confidence: Tensor, bins: int) -> Tensor:
    """int32 min(floor(confidence * bins), bins - 1) of the exact product, which float32 may round up to an edge."""
    found = at_most(ops.cast(confidence * bins, 'int32'), bins - 1)  # ops.floor would make float64 float32
    if backend.standardize_dtype(confidence.dtype) == 'float64':
        return found
    edges = ops.convert_to_tensor(np.array([edge(b, bins) for b in range(bins)], np.float32))
    return at_least(found - ops.cast(confidence < ops.take(edges, found), 'int32'), 0)


def edge(b: int, bins: int) -> np.float32:
    """The smallest float32 that belongs to bin b."""
    found = np.float32(b / bins)
    while Fraction(float(found)) * bins < b:
        found = np.nextafter(found, np.float32(2))
    while b and Fraction(float(np.nextafter(found, np.float32(0)))) * bins >= b:
        found = np.nextafter(found, np.float32(0))
    return found


def errors(
    spec: Calibration, whole: Tensor, part: Tensor, labelled: Tensor, dtype: str
) -> dict[str, tuple[Tensor, Tensor]]:
    """Metric -> (its error, whether it is defined), both (...), of gaps (..., rows, bins), two numbers each.

    labelled (..., C + 1): the pixels labelled with each class, and then all that count. ``whole`` is int32 or float.
    """
    error, counted, pixels = _of_rows(spec, whole, part, labelled, dtype)
    found = {}
    if 'SCE' in spec.metrics:
        found['SCE'] = mean_of_counted(error[..., : counted.shape[-1]], counted), ops.any(counted, axis=-1)
    if 'ECE' in spec.metrics:
        found['ECE'] = error[..., -1], pixels > 0
    return found


def class_errors(spec: Calibration, whole: Tensor, part: Tensor, labelled: Tensor, dtype: str) -> Tensor:
    """(C,) the terms of SCE, NaN where a class does not count; ``binary`` counts class 1 alone."""
    error, counted, _ = _of_rows(spec, whole, part, labelled, dtype)
    terms = ops.where(counted, error[..., : counted.shape[-1]], float('nan'))
    return ops.pad(terms, [[1, 0]], constant_values=float('nan')) if spec.binary else terms


def _of_rows(
    spec: Calibration, whole: Tensor, part: Tensor, labelled: Tensor, dtype: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Errors (..., rows), which of the first of them count as classes, and how many pixels count."""
    labelled = ops.cast(labelled, dtype)
    pixels = labelled[..., -1:]
    gap = ops.cast(whole, dtype) + ops.cast(part, dtype) / UNIT
    error = ops.sum(ops.abs(gap), axis=-1) / ops.where(pixels > 0, pixels, 1.0)
    return error, pixels > 0 if spec.binary else labelled[..., :-1] > 0, pixels[..., 0]
