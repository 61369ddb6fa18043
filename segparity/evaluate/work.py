"""One pair of files -> what the states keep of it. This is what runs in worker processes and on a cluster."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import numpy as np

from segparity.evaluate import maps
from segparity.evaluate.label_ids import to_classes
from segparity.evaluate.maps import MapError
from segparity.evaluate.nifti import Geometry, geometry_of, is_nifti
from segparity.evaluate.pairs import Pair
from segparity.evaluate.palette import UNKNOWN
from segparity.evaluate.settings import Settings
from segparity.evaluate.wording import masks_of_255, name_option
from shared_spec.metrics.boundary import BoundaryState
from shared_spec.metrics.calibration.state import image_cells
from shared_spec.metrics.fine_grained.state import FN, FP, TP, image_counts

NO_CLASS = -1  # the class of a prediction of none
COUNT_AS_WRONG = '--unknown-pred wrong counts such pixels as wrong'
Row = dict[str, np.ndarray]  # see ``measure``


def measure_all(settings: Settings, pairs: list[Pair]) -> list[Row | str]:
    """For each pair its row, or the sentence that says what is wrong with it."""
    specs = settings.specs()
    results: list[Row | str] = []
    for pair in pairs:
        try:
            results.append(measure(settings, specs, pair))
        except MapError as error:
            results.append(str(error))
        except MemoryError:
            results.append(f'there is not enough memory for {pair.pred} and {pair.target}')
    return results


def measure(settings: Settings, specs: Mapping[str, Any], pair: Pair) -> Row:
    """Name -> array of one pair: ``counts``, and of the measured parts ``boundary``, ``distances``, ``diagonal``,
    ``cells``. Raises MapError."""
    target = maps.read_labels(pair.target, settings.gt_palette, settings.ignore_index)
    geometry = geometry_of(pair.target) if is_nifti(pair.target) else None
    by_colour = target.dtype == np.int16 and settings.gt_palette  # which .npy files and wide pictures are not
    if by_colour and settings.unknown == 'error':
        refuse_unknown_colour(settings, pair.target, target, '--gt-palette', ' (--unknown ignore ignores such pixels)')
    if settings.refuses_hidden_foreground and not by_colour:
        refuse_hidden_foreground(settings, pair.target, target)
    if settings.gt_ids:
        target = labels_of_ids(settings, pair.target, target)
    if settings.reduce_zero_label:
        ignored = cast(int, settings.ignore_index)  # without one Settings refuses reduce_zero_label
        target = maps.reduce_zero_label(target, ignored, zero=ignored)
    pred, prob = read_prediction(settings, pair.pred, target, geometry if settings.affine == 'check' else None)
    if settings.unknown_pred == 'wrong':  # a class more, which no label has
        stray = (pred < 0) | (pred >= settings.num_classes)
        if stray.any():
            pred = pred.astype(np.int64)
            pred[stray] = settings.num_classes
    try:
        counts = image_counts(pred, target, counted_classes(settings), settings.ignore_index)
    except ValueError:
        refuse_prediction(settings, pair.pred, pred, target)
        raise
    # a label that is no class is in fp alone, or has the number of the class more
    if settings.unknown != 'count' and (
        counts[:, FP].sum() != counts[:, FN].sum() or counts[settings.num_classes :, [TP, FN]].any()
    ):
        stray = strangers(settings, target)
        if settings.unknown == 'error':
            refuse_label(settings, pair.target, target, stray)
        target = np.where(stray, np.asarray(settings.ignore_index, np.int64), target)
        counts = image_counts(pred, target, counted_classes(settings), settings.ignore_index)
    row = {'counts': counts[: settings.num_classes]}
    try:
        row.update(measure_more(settings, with_spacing(settings, specs, geometry), pred, target, prob))
    except ValueError as error:
        raise MapError(f'{pair.pred}: {name_option(str(error))}') from None
    return row


def with_spacing(settings: Settings, specs: Mapping[str, Any], geometry: Geometry | None) -> Mapping[str, Any]:
    """The specs with the voxels' size of the ground truth's header, where nobody said another."""
    if geometry is None or settings.spacing is not None or 'distances' not in specs:
        return specs
    return {**specs, 'distances': dataclasses.replace(specs['distances'], spacing=geometry.spacing)}


def read_prediction(
    settings: Settings, path: str, target: np.ndarray, like: Geometry | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """(ids, probabilities or None) of a prediction that must have the shape of its ground truth, and lie where it does."""
    shape = target.shape
    if maps.holds_probabilities(path):
        prob = maps.read_probabilities(path, shape, settings.num_classes, like)
        counted = None if settings.ignore_index is None else target != settings.ignore_index
        return maps.most_probable(path, prob, shape, counted), prob if settings.calibration else None
    if settings.calibration:
        raise MapError(f'{path} has no probabilities for the calibration (--no-calibration goes without it)')
    pred = maps.read_labels(path, settings.pred_palette, settings.ignore_index, shape, like=like)
    if settings.pred_ids:
        pred = to_classes(pred, settings.pred_ids, void=NO_CLASS)
    if pred.dtype == np.int16 and settings.pred_palette and settings.unknown_pred == 'error':
        refuse_unknown_colour(settings, path, pred, '--pred-palette', f'; {COUNT_AS_WRONG}')
    if settings.reduce_zero_label_pred:
        pred = maps.reduce_zero_label(pred, settings.ignore_index, zero=-1)
    return pred, None


def counted_classes(settings: Settings) -> int:
    """The classes, and one more for predictions of none where those are wrong: nobody's label, and not reported."""
    return settings.num_classes + (settings.unknown_pred == 'wrong')


def labels_of_ids(settings: Settings, path: str, ids: np.ndarray) -> np.ndarray:
    """The classes of label ids; one that is none of them is dealt with as any unknown label."""
    ignored = settings.ignore_index
    target = to_classes(ids, settings.gt_ids or (), NO_CLASS if ignored is None else ignored, ignored)
    if settings.unknown == 'error' and (target == UNKNOWN).any():
        place = first_index(target == UNKNOWN)
        raise MapError(
            f'{path}: the label {ids[place]} at {place} is none of the {len(settings.gt_ids or ())} label ids of the '
            'preset; --gt-ids classes takes labels for classes, --unknown ignore ignores such pixels'
        )
    return target


def refuse_unknown_colour(settings: Settings, path: str, ids: np.ndarray, option: str, advice: str) -> None:
    """A grey as dark as a class id is more likely that id, which no advice to ignore it may hide."""
    if (ids == UNKNOWN).any():
        place = first_index(ids == UNKNOWN)
        colour = maps.colour_at(path, place)
        if len(set(colour)) == 1 and colour[0] < settings.num_classes:
            advice = f'; maps of class ids, such as {colour[0]}, need no {option}'
        raise MapError(f'{path}: the colour {colour} at {place} is not in the palette{advice}')


def refuse_hidden_foreground(settings: Settings, path: str, target: np.ndarray) -> None:
    """A mask of 0 and 255, whose foreground would count nowhere: nothing predicted there would be a perfect score."""
    hidden = target == settings.ignore_index
    if hidden.any() and not (target == 1).any():
        raise MapError(
            f'{path}: the label 255 at {first_index(hidden)} is ignored and no pixel is 1, so no foreground would count; '
            f'{masks_of_255("gt")}; --ignore-index 255 says that 255 is no foreground'
        )


def strangers(settings: Settings, target: np.ndarray) -> np.ndarray:
    """Where a label is neither a class nor ignored."""
    stray = (target < 0) | (target >= settings.num_classes)
    return stray if settings.ignore_index is None else stray & (target != settings.ignore_index)


def refuse_label(settings: Settings, path: str, target: np.ndarray, stray: np.ndarray) -> NoReturn:
    place = first_index(stray)
    reduced = ' (after --reduce-zero-label)' if settings.reduce_zero_label else ''
    mask = f'; {masks_of_255("gt")}' if settings.num_classes == 2 and target[place] == 255 else ''
    raise MapError(
        f'{path}: the label {target[place]} at {place}{reduced} is neither one of the {settings.num_classes} classes '
        f'nor ignored ({"none" if settings.ignore_index is None else settings.ignore_index}); '
        f'--unknown ignore or count lets it pass{mask}'
    )


def refuse_prediction(settings: Settings, path: str, pred: np.ndarray, target: np.ndarray) -> None:
    """A prediction that is no class, where it counts."""
    wrong = (pred < 0) | (pred >= settings.num_classes)
    if settings.ignore_index is not None:
        wrong &= target != settings.ignore_index
    if wrong.any():
        place = first_index(wrong)
        if settings.pred_ids:
            raise MapError(f'{path}: the label id predicted at {place} stands for no class; {COUNT_AS_WRONG}')
        reduced = ' (after --reduce-zero-label-pred)' if settings.reduce_zero_label_pred else ''
        mask = settings.num_classes == 2 and pred[place] == 255
        advice = f'; foreground is 1, so {masks_of_255("pred")}' if mask else ''
        raise MapError(
            f'{path}: the prediction {pred[place]} at {place}{reduced} is not one of the {settings.num_classes} '
            f'classes 0 to {settings.num_classes - 1}{advice}; {COUNT_AS_WRONG}'
        )


def first_index(mask: np.ndarray) -> tuple[int, ...]:
    """The index of the first true pixel, as a tuple."""
    return tuple(int(i) for i in np.unravel_index(mask.argmax(), mask.shape))


def measure_more(
    settings: Settings, specs: Mapping[str, Any], pred: np.ndarray, target: np.ndarray, prob: np.ndarray | None
) -> Row:
    """Boundaries, distances and calibration of one image."""
    found: dict[str, Any] = {}
    masks = [specs[part] for part in ('boundary', 'distances') if part in specs]
    if masks:
        found['boundary'], found['distances'], found['diagonal'] = masks_row(settings, masks, pred, target)
    if 'calibration' in specs:
        found['cells'] = image_cells(
            cast(np.ndarray, prob), target, settings.num_classes, settings.bins, settings.ignore_index
        )
    return found


def masks_row(
    settings: Settings, specs: list[Any], pred: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """(boundary counts, distances, diagonal) of one image, of the classes alone."""
    state = BoundaryState.for_specs(*specs)
    state.num_classes = counted_classes(settings)
    counts, distances, diagonal = state.row(pred, target)
    return counts[: settings.num_classes], distances[: settings.num_classes], diagonal
