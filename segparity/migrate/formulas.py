"""What peers compute that cannot be installed beside the others, written from their formulas in NumPy float64.

Each function takes the prediction as the peer gets it, (N, C, *space) whatever its own layout, the target as it gets it
(class ids (N, *space), or maps like the prediction) and the arguments of the item; it shares nothing with the spec.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Formula = Callable[[np.ndarray, np.ndarray, Mapping[str, Any], Mapping[str, Any]], float]
FORMULAS: dict[tuple[str, str, str], Formula] = {}
EPSILON = 1e-7


def formula(library: str, name: str, versions: str = 'any') -> Callable[[Formula], Formula]:
    """Function decorator: the formula of a row of the table of peers."""

    def register(function: Formula) -> Formula:
        FORMULAS[library, name, versions] = function
        return function

    return register


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def maps_of(ids: np.ndarray, classes: int) -> np.ndarray:
    """(N, *space) ids -> (N, C, *space) zeros and ones; zeros for an id that is no class. One class: class 1."""
    chosen = [1] if classes == 1 else range(classes)
    return np.stack([ids == k for k in chosen], 1).astype(np.float64)


def pixels(x: np.ndarray) -> tuple[int, ...]:
    """The axes of pixels of (N, C, *space)."""
    return tuple(range(2, x.ndim))


@formula('mmseg', 'DiceLoss', 'up to 1.0')
def mmseg_dice(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
    power, smooth, label = given.get('exponent', 2), given.get('smooth', 1), given.get('ignore_index', 255)
    prob = np.exp(log_softmax(pred))
    classes = pred.shape[1]
    counts = (target != label).astype(np.float64)
    one_hot = maps_of(np.clip(target, 0, classes - 1), classes)
    weights = given.get('class_weight') or np.ones(classes)
    total = 0.0
    for k in range(classes):
        if k != label:
            p, y = prob[:, k].reshape(len(pred), -1), one_hot[:, k].reshape(len(pred), -1)
            v = counts.reshape(len(pred), -1)
            ratio = (2 * (p * y * v).sum(1) + smooth) / ((p**power + y**power).sum(1) + smooth)
            total += float((1 - ratio).mean()) * weights[k]
    return float(given.get('loss_weight', 1.0) * total / classes)


@formula('mmseg', 'CrossEntropyLoss', 'up to 1.1.1')
def mmseg_cross_entropy(
    pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]
) -> float:
    label, weights = context.get('ignore_index', 255), np.array(given['class_weight'])
    valid = target != label
    ids = np.where(valid, target, 0)
    log_p = np.take_along_axis(log_softmax(pred), ids[:, None], 1)[:, 0]
    loss = np.where(valid, -weights[ids] * log_p, 0)
    number = valid.sum() if given.get('avg_non_ignore') else target.size
    return float(loss.sum() / number) * float(given.get('loss_weight', 1.0))


@formula('keras', 'Tversky', 'from 3.16')
def keras_tversky(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
    p, y = np.moveaxis(pred, 1, -1), np.moveaxis(as_maps(target, pred), 1, -1)
    axis = given.get('axis')
    axis = None if axis is None else tuple(axis)
    both = (p * y).sum(axis)
    false_positive, false_negative = (p * (1 - y)).sum(axis), ((1 - p) * y).sum(axis)
    below = both + given.get('alpha', 0.5) * false_positive + given.get('beta', 0.5) * false_negative + EPSILON
    return float(np.mean(1 - both / below))


def as_maps(target: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Labels in the shape of the prediction; ids of one channel are 0 and 1."""
    if target.ndim == pred.ndim:
        return target.astype(np.float64)
    return target[:, None].astype(np.float64) if pred.shape[1] == 1 else maps_of(target, pred.shape[1])


def keras_score(
    pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], beta: float | None, per_image: bool
) -> float:
    """The F-score, or for beta None the IoU, of segmentation_models."""
    y, smooth = as_maps(target, pred), given.get('smooth', 1e-5)
    indexes = given.get('class_indexes')
    p = pred if indexes is None else pred[:, list(indexes)]
    y = y if indexes is None else y[:, list(indexes)]
    if given.get('threshold') is not None:
        p = (p > given['threshold']).astype(np.float64)
    axes = pixels(p) if given.get('per_image', per_image) else (0, *pixels(p))
    both, size_p, size_y = (p * y).sum(axes), p.sum(axes), y.sum(axes)
    if beta is None:
        score = (both + smooth) / (size_p + size_y - both + smooth)
    else:
        b2 = beta**2
        above = (1 + b2) * both + smooth
        score = above / (above + b2 * (size_y - both) + (size_p - both))
    if score.ndim == 2:
        score = score.mean(0)
    return float((score * np.array(given.get('class_weights') or 1.0)).mean())


@formula('segmentation_models', 'DiceLoss')
def sm_dice(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
    return 1 - keras_score(pred, target, given, given.get('beta', 1), per_image=False)


@formula('segmentation_models', 'JaccardLoss')
def sm_jaccard(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
    return 1 - keras_score(pred, target, given, None, per_image=False)


@formula('segmentation_models', 'BinaryCELoss')
def sm_binary(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
    p, y = np.clip(pred, EPSILON, 1 - EPSILON), as_maps(target, pred)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


@formula('segmentation_models', 'CategoricalCELoss')
def sm_categorical(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
    p, y = np.clip(pred / pred.sum(1, keepdims=True), EPSILON, 1 - EPSILON), as_maps(target, pred)
    weights = np.array(given.get('class_weights') or np.ones(pred.shape[1]))
    return float(-(np.moveaxis(y * np.log(p), 1, -1) * weights).mean())


@formula('segmentation_models', 'BinaryFocalLoss')
def sm_binary_focal(
    pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]
) -> float:
    p, y = np.clip(pred, EPSILON, 1 - EPSILON), as_maps(target, pred)
    alpha, gamma = given.get('alpha', 0.25), given.get('gamma', 2.0)
    positive = -y * alpha * (1 - p) ** gamma * np.log(p)
    return float((positive - (1 - y) * (1 - alpha) * p**gamma * np.log(1 - p)).mean())


@formula('segmentation_models', 'CategoricalFocalLoss')
def sm_categorical_focal(
    pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]
) -> float:
    p, y = np.clip(pred, EPSILON, 1 - EPSILON), as_maps(target, pred)
    return float((-y * given.get('alpha', 0.25) * (1 - p) ** given.get('gamma', 2.0) * np.log(p)).mean())


def sm_sum(first: Formula, second: Formula) -> Formula:
    def both(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
        return first(pred, target, given, context) + second(pred, target, given, context)

    return both


for _name, _first in (
    ('bce', sm_binary),
    ('cce', sm_categorical),
    ('binary_focal', sm_binary_focal),
    ('categorical_focal', sm_categorical_focal),
):
    FORMULAS['segmentation_models', f'{_name}_dice_loss', 'any'] = sm_sum(_first, sm_dice)
    FORMULAS['segmentation_models', f'{_name}_jaccard_loss', 'any'] = sm_sum(_first, sm_jaccard)


def sm_metric(name: str, beta: float | None) -> None:
    @formula('segmentation_models', name)
    def score(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
        return keras_score(pred, target, given, beta, per_image=True)


sm_metric('IOUScore', None)
sm_metric('FScore', 1.0)
sm_metric('f2_score', 2.0)


def sm_ratio(name: str, of_prediction: bool) -> None:
    @formula('segmentation_models', name)
    def score(pred: np.ndarray, target: np.ndarray, given: Mapping[str, Any], context: Mapping[str, Any]) -> float:
        y, smooth = as_maps(target, pred), given.get('smooth', 1e-5)
        p = pred if given.get('threshold') is None else (pred > given['threshold']).astype(np.float64)
        axes = pixels(p) if given.get('per_image', True) else (0, *pixels(p))
        below = (p if of_prediction else y).sum(axes)
        return float((((p * y).sum(axes) + smooth) / (below + smooth)).mean())


sm_ratio('Precision', of_prediction=True)
sm_ratio('Recall', of_prediction=False)
