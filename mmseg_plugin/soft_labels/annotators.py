"""One soft label from the labels of several annotators."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.soft_labels.ids import as_ids, background_where_absent, check_dtype, is_class, known_ids, nan_where
from shared_spec.soft_label_arguments import (
    check_annotators,
    check_is_given,
    check_missing,
    check_parameters,
    check_weighting,
)


def average_annotators(
    targets: Tensor | Sequence[Tensor],
    weighting: str = 'uniform',
    *,
    num_classes: int = 2,
    ignore_index: int | None = None,
    missing: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The mean of several annotators' one-hot labels: (R, N, *space) ids, or a list of R maps -> (N, C, *space).

    ``weighting='uniform'``: every annotator counts the same. ``'dice'`` (foreground against background only): each
    counts, image by image, by the Dice of their foreground with the majority's, which is what R // 2 + 1 of them mark;
    two empty masks have Dice 1, and where every Dice is 0 all count the same. A pixel that any annotator ignores is
    ignored, in the Dice too. An annotator whose map of an image is ``missing`` at every pixel is absent there: the average,
    and R, are of the others, and an image of which nobody is present is 0 in every class.
    """
    owner = 'average_annotators'
    check_weighting(owner, weighting, num_classes)
    num_classes, ignore_index = check_parameters(owner, num_classes=num_classes, ignore_index=ignore_index)
    missing = check_missing(owner, missing, num_classes, ignore_index)
    check_dtype(owner, dtype)
    check_is_given(owner, targets)
    check_annotators(owner, [getattr(target, 'shape', ()) for target in targets])
    maps = [as_ids(owner, target) for target in targets]
    present = torch.ones((len(maps), len(maps[0])), dtype=torch.bool, device=maps[0].device)
    if missing is not None:
        maps, present = background_where_absent(owner, maps, missing)
    ids, valids, wrongs = zip(*(known_ids(owner, one, num_classes, ignore_index) for one in maps))
    valid, wrong = torch.stack(valids).all(0), torch.stack(wrongs).any(0)
    wide = torch.float32 if valid.device.type == 'mps' else torch.float64
    weight = dice_weights(ids, valid, present, wide) if weighting == 'dice' else present.to(wide)
    total = sum(weight[1:], weight[0])  # one by one: who is absent leaves no trace in the rounding
    weight = (weight / torch.where(total > 0, total, 1)).to(torch.promote_types(dtype, torch.float32))
    weight = weight.view(*weight.shape, *[1] * valid.dim())  # (R, N, 1, ...)
    soft = sum(w * is_class(i, num_classes) for w, i in zip(weight, ids))
    return nan_where(torch.where(valid[:, None], soft, 0), wrong[:, None]).to(dtype)


def dice_weights(ids: tuple[Tensor, ...], valid: Tensor, present: Tensor, dtype: torch.dtype) -> Tensor:
    """(R, N) the Dice of each annotator's foreground with the majority's, 0 of who is absent.

    1 for all who are present in an image where every one is 0.
    """
    foreground = ((torch.stack(ids) == 1) & valid).flatten(2)
    majority = foreground.sum(0) >= present.sum(0)[:, None] // 2 + 1
    common = (foreground & majority).sum(2).to(dtype)
    sizes = (foreground.sum(2) + majority.sum(1)).to(dtype)
    weight = torch.where(sizes > 0, 2 * common / sizes.clamp(min=1), 1) * present
    return torch.where(weight.sum(0) > 0, weight, present.to(dtype))
