"""The numbers of one model: the same as ``segparity evaluate`` gives, from the table's counts."""

import numpy as np

from segparity.audit.tables import Table
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState


def spec_of(table: Table, q: int) -> FineGrained:
    """The spec whose results the page shows."""
    return FineGrained(
        num_classes=len(table.classes),
        ignore_index=None,
        q=(q,),
        metrics=('mIoU', 'mDice'),
        present_in=table.present_in,
        binary=table.binary,
    )


def state_of(table: Table) -> FineGrainedState:
    """The mergeable state that holds the table's counts."""
    state = FineGrainedState(len(table.classes), ignore_index=None)
    for image, counts in zip(table.images, table.counts):
        state.add(counts, image)
    return state


def summary_names(q: int) -> tuple[str, ...]:
    """The results of the summary, best known first."""
    return ('aAcc', 'FWIoU', 'mIoUD', 'mIoUI', 'mIoUC', f'mIoUI{q}', f'mIoUC{q}', 'mDiceD')


def summary(table: Table, q: int) -> dict[str, float]:
    """Name -> fraction."""
    results = state_of(table).results(spec_of(table, q))
    return {name: results[name] for name in summary_names(q)}


def class_scores(table: Table, q: int) -> dict[str, np.ndarray]:
    """Name -> (C,): IoU of each class under D, I, C and Cq, ``images`` that count and ``share`` of labelled pixels.

    ``I`` weighs an image by 1 / number of its classes, as mIoU^I does; a class without a value has NaN.
    """
    scores = state_of(table).per_class(spec_of(table, q))
    weights = np.where(table.present, 1 / np.maximum(table.present.sum(1, keepdims=True), 1), 0)
    with np.errstate(invalid='ignore'):
        imagewise = np.nansum(weights * np.nan_to_num(table.iou), 0) / weights.sum(0)
    labelled = table.sizes.sum(0)
    return {
        'D': scores['IoUD'],
        'I': imagewise,
        'C': scores['IoUC'],
        'Cq': scores[f'IoUC{q}'],
        'images': table.present.sum(0),
        'share': labelled / max(1, labelled.sum()),
    }


def median_sizes(table: Table) -> np.ndarray:
    """(C,) median of the labelled pixels of the class over the images that have it; NaN where none has."""
    sizes = table.sizes
    return np.array([np.median(column[column > 0]) if (column > 0).any() else np.nan for column in sizes.T])
