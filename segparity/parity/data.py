"""A user's own tensors from a .npz file, as one ``Case`` of the parity check."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segparity.parity.cases import Case
from segparity.parity.extras import IN_PARTS, is_several, mapped, of_file
from segparity.parity.layout import channels_first, layout_of
from segparity.saved import Array, SavedError, choose_array, open_arrays, read_integer
from shared_spec import shapes, values
from shared_spec.checks import nearest
from shared_spec.extras import EXTRAS

PRED, TARGET, WEIGHT, IGNORE = ('pred', 'logits'), ('target', 'labels'), 'weight', 'ignore_index'
OF_DATA = [name for name in EXTRAS if name not in ('distance_map', 'distance_bins')]  # which losses make, each its own
LARGEST = 2**22  # numbers of a prediction that one check compares: seconds and less than a gigabyte for each loss


def read_case(
    path: str | Path,
    layout: str | None = None,
    probabilities: bool = False,
    ignore_index: int | None = None,
    notes: Callable[[str], object] | None = None,
) -> Case:
    """The predictions, labels, weights and extras of a file, channels first, at most ``LARGEST`` numbers of predictions.

    layout: 'NCHW' or 'NHWC' where shapes do not tell. ignore_index: where the file has none. notes: called with a
    sentence for whatever a user should know. Raises SavedError or ValueError in one sentence.
    """
    say = notes or (lambda sentence: None)
    arrays = open_arrays(path)
    pred, target = choose_array(path, arrays, PRED, 'predictions'), choose_array(path, arrays, TARGET, 'labels')
    if pred.dtype.kind != 'f':
        advice = '; class ids have no gradient, save logits' if pred.dtype.kind in 'iub' else ''
        raise SavedError(f'{pred.words} must be floating point, got {pred.dtype}{advice}')
    if target.dtype.kind not in 'fiub':
        raise SavedError(f'{target.words} must hold labels, got {target.dtype}')
    where = layout_of(str(path), pred.shape, target.shape, layout, lambda: next(target.images(1)))
    weight = arrays.get(WEIGHT)
    ignored = read_integer(arrays[IGNORE]) if IGNORE in arrays else ignore_index
    if IGNORE in arrays and ignore_index not in (None, ignored):
        raise SavedError(f'{path} has ignore_index={ignored}, and --ignore-index says {ignore_index}')
    extras = of_file(OF_DATA, arrays)
    parts = {part for x in extras.values() for part in (x if is_several(x) else (x,))}
    for name in sorted(set(arrays) - {pred.name, target.name, WEIGHT, IGNORE, *(part.name for part in parts)}):
        hint = nearest(name, [WEIGHT, IGNORE, *OF_DATA])
        say(f'{path}: the array {name} is not used' + (f'; did you mean {hint}?' if hint else ''))

    count = images_that_fit(pred, say)
    _, c, space = shapes.split(pred.shape, where)
    if weight is not None and shapes.weight_kind(weight.words, pred.shape, weight.shape, where) == 'pixel1':
        weight_shape: tuple[int, ...] = space
    else:
        weight_shape = () if weight is None else weight.shape[1:]
    one_map = len(target.shape) < len(pred.shape) or target.shape != pred.shape or c == 1
    scores = np.stack([channels_first(image, where) for image in pred.images(count)]).astype(np.float64)
    labels = [image.reshape(space) if one_map else channels_first(image, where) for image in target.images(count)]
    case = Case(
        scores,
        np.stack(labels),
        None if weight is None else np.stack([w.reshape(weight_shape) for w in weight.images(count)]),
        ignored,
        from_logits=not probabilities,
        extras=mapped(extras, lambda name, x: of_images(name, x, count, where)),
        is_adapted=True,
    )
    check_labels(target.words, case)
    tell_of_values(pred.words, case, say)
    return case


def of_images(name: str, array: Array, count: int, layout: str) -> np.ndarray:
    """An extra as the reference takes it, of the images that are compared."""
    if name in IN_PARTS:  # which no image has of its own
        return array.read()
    if not EXTRAS[name].of_channels:
        return np.stack(list(array.images(count)))
    if array.dtype.kind != 'f':
        raise SavedError(f'{array.words} must be floating point, got {array.dtype}')
    images = [channels_first(image, layout) if image.ndim > 1 else image for image in array.images(count)]
    return np.stack(images).astype(np.float64)


def images_that_fit(pred: Array, say: Callable[[str], object]) -> int:
    """How many images are compared; a sentence where that is not all, SavedError where none is."""
    size = math.prod(pred.shape[1:])
    if size > LARGEST:
        raise SavedError(
            f'{pred.words} has {size:,} numbers in each image, and at most {LARGEST:,} are compared; crop the images'
        )
    count = min(pred.shape[0], LARGEST // size)
    if count < pred.shape[0]:
        say(
            f'{pred.words}: the first {count} of {pred.shape[0]} images are compared, which are {count * size:,} numbers'
        )
    return count


def counted(case: Case) -> np.ndarray:
    """(N, *space) whether a pixel counts."""
    n, space = len(case.pred), case.pred.shape[2:]
    counts = np.ones((n, *space), bool)
    if case.target.shape == counts.shape and case.ignore_index is not None:
        counts &= case.target != case.ignore_index
    if case.weight is not None:
        weight = np.asarray(case.weight)
        counts &= (weight > 0) if weight.ndim > 1 else (weight > 0).reshape(-1, *(1 for _ in space))
    return counts


def check_labels(words: str, case: Case) -> None:
    """SavedError for ids that are no class, with the id that was found and what it is likely to be."""
    channels = case.pred.shape[1]
    if case.target.ndim == case.pred.ndim or (channels == 1 and case.target.dtype.kind == 'f'):
        return  # soft labels, which the reference looks at
    classes = max(channels, 2)
    ids = case.target[counted(case)]
    if ids.dtype.kind == 'f':
        values.check_ids(words, ids[ids != np.floor(ids)][None], np.array(True), classes)
    found, counts = np.unique(ids, return_counts=True)
    wrong = (found < 0) | (found >= classes)
    if wrong.any():
        value, times = found[wrong][0], counts[wrong][0]
        raise SavedError(
            f'{words} must be ids from 0 to {classes - 1} for {channels} channel{"s" * (channels > 1)}, got {value:g} in '
            f'{times:,} of {ids.size:,} pixels; {likely_cause(found, classes)}'
        )


def likely_cause(found: np.ndarray, classes: int) -> str:
    """What labels are that go beyond ``classes``; found: their different values, sorted."""
    beyond = found[(found < 0) | (found >= classes)]
    if set(found.tolist()) <= {0, 255} and classes == 2:
        return 'masks of 0 and 255 are divided by 255'
    if beyond.size == 1 and beyond[0] in (255, -1, 65535):
        usual = ', or class 0 under reduce_zero_label=True' if beyond[0] == 255 else ''
        return f'--ignore-index {beyond[0]:g} leaves such pixels out (void{usual})'
    inside = found[found < classes]
    if found[0] == 1 and found[-1] in (classes, 255):
        return 'they count from 1: subtract 1, as reduce_zero_label=True does in MMSegmentation'
    if beyond[0] == classes and (beyond.size == 1 or beyond[1:].tolist() == [255]) and inside.size:
        return (
            f'0 to {classes} are {classes + 1} classes: is 0 what reduce_zero_label=True leaves out in MMSegmentation, '
            f'which then subtracts 1?'
        )
    return f'the largest is {found[-1]:g}: are these the labels of another data set, or colours?'


def tell_of_values(words: str, case: Case, say: Callable[[str], object]) -> None:
    """A sentence for predictions that are no numbers, and for logits that look like probabilities."""
    counts = np.broadcast_to(counted(case)[:, None], case.pred.shape)
    seen = case.pred[counts]
    if not seen.size:
        say(f'{words}: no pixel counts, so every loss is 0')
        return
    for kind, wrong in (('NaN', np.isnan(seen)), ('infinite', np.isinf(seen))):
        if wrong.any():
            say(f'{words}: {int(wrong.sum()):,} of {seen.size:,} numbers are {kind} where pixels count')
    if case.from_logits and case.pred.shape[1] > 1 and seen.min() >= 0 and seen.max() <= 1:
        sums = case.pred.sum(1)[counted(case)]
        if np.abs(sums - 1).max() < 1e-3:
            say(f'{words}: these look like probabilities, which --probabilities says; they are taken for logits')
