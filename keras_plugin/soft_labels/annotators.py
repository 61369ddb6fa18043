"""One soft label from the labels of several annotators."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_plugin.arithmetic import ratio
from keras_plugin.soft_labels.ids import class_ids, float_dtype, is_class, known_shape
from keras_plugin.typing import Tensor
from keras_plugin.values import nan_where
from shared_spec import shapes
from shared_spec.soft_label_arguments import check_annotators, check_parameters, check_weighting


def average_annotators(
    targets: Any,
    weighting: str = 'uniform',
    *,
    num_classes: int = 2,
    ignore_class: int | None = None,
    dtype: str = 'float32',
) -> Tensor:
    """The mean of several annotators' one-hot labels: (R, N, *space) ids, or a list of R maps -> (N, *space, C).

    ``weighting='uniform'``: every annotator counts the same. ``'dice'`` (foreground against background only): each
    counts, image by image, by the Dice of their foreground with the majority's, which is what R // 2 + 1 of them mark;
    two empty masks have Dice 1, and where every Dice is 0 all count the same. A pixel that any annotator ignores is
    ignored, in the Dice too.
    """
    owner = 'average_annotators'
    check_weighting(owner, weighting, num_classes)
    num_classes, ignore_class = check_parameters(owner, num_classes=num_classes, ignore_class=ignore_class)
    dtype = float_dtype(owner, dtype)
    maps = one_by_one(owner, targets)
    check_annotators(owner, [known_shape(owner, target) for target in maps])
    ids, valids, wrongs = zip(*(class_ids(owner, target, num_classes, ignore_class) for target in maps))
    valid, wrong = ops.all(ops.stack(valids), axis=0), ops.any(ops.stack(wrongs), axis=0)
    wide = 'float64' if dtype == 'float64' else 'float32'
    weights = dice_weights(ids, valid, wide) if weighting == 'dice' else [1 / len(ids)] * len(ids)
    soft = sum(w * ops.cast(is_class(i, num_classes), wide) for w, i in zip(weights, ids))
    soft = ops.where(valid[..., None], soft, ops.zeros_like(soft))
    return ops.cast(nan_where(soft, wrong[..., None]), dtype)


def one_by_one(owner: str, targets: Any) -> list[Tensor]:
    """The label maps of the annotators, whose number must be known."""
    if isinstance(targets, (list, tuple)):
        return [ops.convert_to_tensor(target) for target in targets]
    targets = ops.convert_to_tensor(targets)
    shape = known_shape(owner, targets)
    if not shape or shape[0] is None:
        raise ValueError(f'{owner}: targets must have a known number of annotators, got {shapes.as_text(shape)}')
    return [targets[r] for r in range(shape[0])]


def dice_weights(ids: Sequence[Tensor], valid: Tensor, dtype: str) -> list[Tensor]:
    """Each annotator's share (N, 1, ...) by the Dice with the majority; the same for all where every Dice is 0."""
    space = tuple(range(1, len(valid.shape)))
    foreground = [ops.logical_and(i == 1, valid) for i in ids]
    majority = sum(ops.cast(f, 'int32') for f in foreground) >= len(ids) // 2 + 1
    dice = []
    for f in foreground:
        # counted as integers: float32 stops at 2^24 pixels
        common, *sizes = (
            ops.sum(ops.cast(x, 'int32'), axis=space) for x in (ops.logical_and(f, majority), f, majority)
        )
        common, size = ops.cast(common, dtype), ops.cast(sizes[0] + sizes[1], dtype)
        dice.append(ratio(2 * common, size))
    total = sum(dice)
    shares = [ratio(d, total, 1 / len(ids)) for d in dice]
    return [ops.reshape(share, (-1, *[1] * len(valid.shape))) for share in shares]
