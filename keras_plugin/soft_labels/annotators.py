"""One soft label from the labels of several annotators."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_plugin.arithmetic import ratio
from keras_plugin.soft_labels.ids import (
    as_labels,
    background_where_absent,
    float_dtype,
    is_class,
    known_ids,
    known_shape,
)
from keras_plugin.typing import Tensor
from keras_plugin.values import nan_where
from shared_spec import shapes
from shared_spec.soft_label_arguments import (
    check_annotators,
    check_is_given,
    check_missing,
    check_parameters,
    check_weighting,
)


def average_annotators(
    targets: Any,
    weighting: str = 'uniform',
    *,
    num_classes: int = 2,
    ignore_class: int | None = None,
    missing: int | None = None,
    dtype: str = 'float32',
) -> Tensor:
    """The mean of several annotators' one-hot labels: (R, N, *space) ids, or a list of R maps -> (N, *space, C).

    ``weighting='uniform'``: every annotator counts the same. ``'dice'`` (foreground against background only): each
    counts, image by image, by the Dice of their foreground with the majority's, which is what R // 2 + 1 of them mark;
    two empty masks have Dice 1, and where every Dice is 0 all count the same. A pixel that any annotator ignores is
    ignored, in the Dice too. An annotator whose map of an image is ``missing`` at every pixel is absent there: the average,
    and R, are of the others, and an image of which nobody is present is 0 in every class.
    """
    owner = 'average_annotators'
    check_weighting(owner, weighting, num_classes)
    num_classes, ignore_class = check_parameters(owner, num_classes=num_classes, ignore_class=ignore_class)
    missing = check_missing(owner, missing, num_classes, ignore_class, 'ignore_class')
    dtype = float_dtype(owner, dtype)
    check_is_given(owner, targets)
    maps = one_by_one(owner, targets)
    check_annotators(owner, [known_shape(owner, target) for target in maps])
    maps, present = [as_labels(owner, target) for target in maps], None
    if missing is not None:
        maps, present = background_where_absent(owner, maps, missing)
    ids, valids, wrongs = zip(*(known_ids(owner, one, num_classes, ignore_class) for one in maps))
    valid, wrong = ops.all(ops.stack(valids), axis=0), ops.any(ops.stack(wrongs), axis=0)
    wide = 'float64' if dtype == 'float64' else 'float32'
    weights = [1 / len(ids)] * len(ids) if present is None else even_shares(present, wide)
    if weighting == 'dice':
        weights = dice_weights(ids, valid, present, weights, wide)
    spread = [w if isinstance(w, float) else w[..., None] for w in weights]
    soft = sum(w * ops.cast(is_class(i, num_classes), wide) for w, i in zip(spread, ids))
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


def even_shares(present: Sequence[Tensor], dtype: str) -> list[Tensor]:
    """The same share (N, 1, ...) for all who are present; 0 where nobody is."""
    counts = [ops.cast(p, dtype) for p in present]
    total = sum(counts)
    return [ratio(count, total, 0.0) for count in counts]


def dice_weights(
    ids: Sequence[Tensor], valid: Tensor, present: Sequence[Tensor] | None, even: Sequence[Any], dtype: str
) -> list[Tensor]:
    """Each annotator's share (N, 1, ...) by the Dice with the majority; the ``even`` one where every Dice is 0."""
    space = tuple(range(1, len(valid.shape)))
    foreground = [ops.logical_and(i == 1, valid) for i in ids]
    count = len(ids) if present is None else sum(ops.cast(p, 'int32') for p in present)
    majority = sum(ops.cast(f, 'int32') for f in foreground) >= count // 2 + 1
    dice = []
    for number, f in enumerate(foreground):
        # counted as integers: float32 stops at 2^24 pixels
        common, *sizes = (
            ops.sum(ops.cast(x, 'int32'), axis=space, keepdims=True)
            for x in (ops.logical_and(f, majority), f, majority)
        )
        common, size = ops.cast(common, dtype), ops.cast(sizes[0] + sizes[1], dtype)
        one = ratio(2 * common, size)
        dice.append(one if present is None else one * ops.cast(present[number], dtype))
    total = sum(dice)
    return [ratio(d, total, e) for d, e in zip(dice, even)]
