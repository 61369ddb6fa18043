"""How a prediction agrees with several annotators, image by image, in NumPy: with most of them, with their average, with each."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Each, Real
from shared_spec.parameters import check_parameter
from shared_spec.soft_label_arguments import check_is_given, check_parameters
from shared_spec.soft_labels import average_annotators
from shared_spec.values import is_no_distribution

OWNER = 'annotator_scores'
THRESHOLDS = tuple(k / 10 for k in range(1, 10))  # of QUBIQ
ROUNDING = 1e-6  # an average of 3 in 10 is 0.3
OF_ALL = ('DiceMajority', 'DiceThresholds', 'SoftDice')
OF_EACH = ('Dice', 'IoU')
SCORES = (*OF_ALL, *(f'{kind}Annotators{which}' for kind in OF_EACH for which in ('', 'Min', 'Max')))


def majority_of_annotators(
    targets: Sequence[ArrayLike] | np.ndarray, *, num_classes: int = 2, ignore_index: int | None = None
) -> np.ndarray:
    """What most annotators mark: (R, *space) class ids -> (*space) int64; the lowest of classes that equally many mark.

    A pixel that any annotator ignores is ignored. ValueError or TypeError for what are no maps of classes of one size.
    """
    maps = with_batch('majority_of_annotators', targets)
    soft = average_annotators(maps, num_classes=num_classes, ignore_index=ignore_index)[0]
    most = soft.argmax(0)
    return most if ignore_index is None else np.where(soft.sum(0) > 0, most, ignore_index)


def annotator_scores(
    prob: ArrayLike,
    targets: Sequence[ArrayLike] | np.ndarray,
    *,
    ignore_index: int | None = None,
    weighting: str = 'uniform',
    thresholds: Sequence[float] = THRESHOLDS,
    one_by_one: bool = False,
) -> dict[str, float]:
    """Agreement of probabilities (C, *space) of an image with R annotators' class ids (R, *space), fractions by name.

    Each is a mean over the classes from 1 on; two empty masks have Dice 1, and ignored pixels count nowhere.
    'DiceMajority': Dice of the class of the largest probability with what most annotators mark. 'DiceThresholds': of
    probabilities and annotators' average, both cut at each of the thresholds, and averaged over these (QUBIQ).
    'SoftDice': of probabilities with the average, sums of minima over means of sums, uncut. 'DiceAnnotators': the mean of
    the Dice with each annotator, with 'DiceAnnotatorsMin' and 'DiceAnnotatorsMax', and 'IoUAnnotators' likewise;
    ``one_by_one`` adds 'DiceAnnotator0', ..., 'IoUAnnotator0', ... of each. NaN where a probability is no number, and
    where every pixel is ignored.
    ValueError or TypeError in one sentence for what are no probabilities or no maps of their size.
    """
    prob = np.asarray(prob, np.float64)
    if prob.ndim < 2 or len(prob) < 2:
        raise ValueError(f'{OWNER}: prob must be (C, *space) of two classes or more, got {prob.shape}')
    (ignore_index,) = check_parameters(OWNER, ignore_index=ignore_index)
    levels = check_parameter(OWNER, 'thresholds', Each(Real(low=0, high=1, above=True)), thresholds)
    if not levels:
        raise ValueError(f'{OWNER}: thresholds must be one number or more above 0, got {thresholds!r}')
    average = average_annotators(
        with_batch(OWNER, targets), weighting, num_classes=len(prob), ignore_index=ignore_index
    )[0]
    if average.shape != prob.shape:
        raise ValueError(f'{OWNER}: targets must be {prob.shape[1:]} as prob is, got {average.shape[1:]}')
    counts = average.sum(0) > 0
    p, q, ids = prob[:, counts], average[:, counts], np.asarray(targets)[:, counts]
    names = (*SCORES, *(names_of_each(range(len(ids))) if one_by_one else ()))
    if not np.isfinite(p).all():
        return dict.fromkeys(names, np.nan)
    wrong = is_no_distribution(p.sum(0)) | (p < 0).any(0)
    if wrong.any():
        raise ValueError(f'{OWNER}: prob must be probabilities that sum to 1 in a pixel, got {p.sum(0)[wrong][0]:g}')
    if p.shape[1] == 0:  # nobody says anything of it
        return dict.fromkeys(names, np.nan)
    chosen, cuts = p.argmax(0), np.asarray(levels)[:, None, None] - ROUNDING
    most = majority_of_annotators(ids, num_classes=len(prob), ignore_index=ignore_index)
    found = [dice(*masks(chosen, most, len(prob))), dice(p[1:] >= cuts, q[1:] >= cuts), dice(p[1:], q[1:])]
    each = [[score(*masks(chosen, one, len(prob))) for one in ids] for score in (dice, iou)]
    for values in each:
        found += [float(np.mean(values)), float(np.min(values)), float(np.max(values))]
    return dict(zip(names, [*found, *each[0], *each[1]]))  # names end before these where nobody asks for each


def names_of_each(numbers: Iterable[int]) -> list[str]:
    """The names of the scores of annotators with these numbers."""
    numbers = list(numbers)
    return [f'{kind}Annotator{number}' for kind in OF_EACH for number in numbers]


def with_batch(owner: str, targets: Sequence[ArrayLike] | np.ndarray) -> list[np.ndarray]:
    """(1, *space) of each annotator. TypeError for None."""
    check_is_given(owner, targets)
    return [np.asarray(target)[None] for target in targets]


def masks(ids: np.ndarray, others: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(C - 1, P) of two maps of class ids, for the classes from 1 on."""
    classes = np.arange(1, num_classes)[:, None]
    return ids == classes, others == classes


def dice(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over leading axes of 2 sum min / (sum + sum), over the last axis; 1 where both are empty."""
    common, sizes = overlap(x, y)
    return mean_ratio(2 * common, sizes)


def iou(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over leading axes of sum min / sum max, over the last axis; 1 where both are empty."""
    common, sizes = overlap(x, y)
    return mean_ratio(common, sizes - common)


def overlap(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the last axis: of minima, and of both."""
    return np.minimum(x, y).sum(-1), x.sum(-1, dtype=float) + y.sum(-1, dtype=float)


def mean_ratio(top: np.ndarray, bottom: np.ndarray) -> float:
    return float(np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), 1.0).mean())
