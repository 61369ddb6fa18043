"""What is looked at in an image beside what is measured, and the sentences that come of it.

Counts stay tensors where the image lies until an evaluation ends, so that none of them waits for a device.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.metrics.label_maps import to_integers
from shared_spec.control_characters import escape_controls


class Words(NamedTuple):
    """What sentences call things: as MMSegmentation's users know them, or those of any loop."""

    scores: str = 'seg_logits'
    shift: str = ', which reduce_zero_label=True of the data set shifts'
    classes: str = 'the data set has other classes than its metainfo says'


ANY_LOOP = Words('the scores', '', 'num_classes is another')


def counts_of(sample: Mapping[str, Any], num_classes: int, ignore_index: int | None) -> dict[str, Tensor]:
    """What can be wrong with a data sample, as tensors of integers: see ``count_not_finite`` and the like."""
    found = {'not_finite': torch.zeros(1, dtype=torch.int64), 'no_class': torch.zeros(2, dtype=torch.int64)}
    target = to_integers(sample['gt_sem_seg']['data']) if 'gt_sem_seg' in sample else None
    if target is not None:
        found['no_class'] = count_no_class(target, num_classes, ignore_index)
        if num_classes == 2 and ignore_index == 255:
            found['foreground'] = count_foreground(target)
    if 'seg_logits' in sample:
        logits, pred = sample['seg_logits']['data'], sample.get('pred_sem_seg', {}).get('data')
        if target is None or logits.shape[-2:] == target.shape[-2:]:
            found['not_finite'] = count_not_finite(logits, pred, target, ignore_index)
    return found


def valid_pixels(target: Tensor, ignore_index: int | None) -> Tensor:
    """bool of target's shape: where a label counts, which without an ``ignore_index`` is everywhere."""
    return torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index


def count_not_finite(
    logits: Tensor, pred: Tensor | None = None, target: Tensor | None = None, ignore_index: int | None = None
) -> Tensor:
    """(1,): the pixels, but for ignored ones, whose prediction came of a NaN, of +inf or (softmax) of nothing but -inf.

    The argmax of such logits (C, H, W) is one of those that are not finite, that of their softmax, which is NaN
    throughout, class 0. Any other id of ``pred`` did not come of them: test-time augmentation that leaves out NaN.
    """
    logits = logits.detach()
    if logits.device.type == 'cpu' and math.isfinite(logits.sum(dtype=torch.float32)):
        return torch.zeros(1, dtype=torch.int64)
    highest = logits.amax(0)
    wrong = ~(highest.isfinite() if len(logits) > 1 else highest < math.inf)
    if pred is not None:
        chosen, pred = chosen_of(logits, pred)
        wrong &= (pred == 0) | ~chosen.isfinite()
    if target is not None:
        wrong &= valid_pixels(target, ignore_index).to(logits.device).reshape(highest.shape)
    return wrong.sum().reshape(1)


def chosen_of(logits: Tensor, pred: Tensor) -> tuple[Tensor, Tensor]:
    """The logit (H, W) of the class predicted, and its id."""
    pred = pred.to(logits.device).long().reshape(logits.shape[1:])
    return logits.gather(0, pred.clamp(0, len(logits) - 1)[None])[0], pred


def count_no_class(target: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """(2,): the pixels whose label is neither a class nor ignored, and the largest such label."""
    target = target.long()
    nothing = torch.zeros(2, dtype=torch.int64, device=target.device)
    if not target.numel() or (target.device.type == 'cpu' and all_classes(target, num_classes)):
        return nothing
    valid = valid_pixels(target, ignore_index)
    if target.device.type == 'cpu' and all_classes(target.where(valid, 0), num_classes):
        return nothing
    strange = ((target < 0) | (target >= num_classes)) & valid
    return torch.stack([strange.sum(), target.masked_fill(~strange, torch.iinfo(torch.int64).min).amax()])


def count_foreground(target: Tensor) -> Tensor:
    """(2,): the pixels of 255, which are ignored, and those of class 1 of two; a mask of 0 and 255 has the first alone."""
    return torch.stack([(target == 255).sum(), (target == 1).sum()])


def all_classes(ids: Tensor, num_classes: int) -> Tensor:
    low, high = ids.aminmax()
    return low >= 0 and high < num_classes


def fetch(abouts: Sequence[dict[str, Any]]) -> None:
    """Makes the counts of all images lists of numbers: one transfer for each kind of count."""
    for key in ('not_finite', 'no_class', 'foreground'):
        counted = [about for about in abouts if isinstance(about.get(key), torch.Tensor)]
        counts = [about[key] for about in counted]
        device = next((count.device for count in counts if count.device.type != 'cpu'), 'cpu')
        numbers = torch.stack([count.to(device) for count in counts]).tolist() if counts else []
        for about, of_image in zip(counted, numbers):
            about[key] = of_image


def unknown_images(abouts: Sequence[dict[str, Any]]) -> list[bool]:
    """bool for each image: logits that are not finite; or where no image has a foreground, one that hides its own."""
    none = not any(about['foreground'][1] for about in abouts if 'foreground' in about)
    return [about['not_finite'][0] > 0 or (none and hides_foreground(about)) for about in abouts]


def hides_foreground(about: Mapping[str, Any]) -> bool:
    """Whether an image of two classes holds the ignored 255 and no 1, as a mask of 0 and 255 does."""
    ignored, labelled = about.get('foreground', (0, 0))
    return ignored > 0 and labelled == 0


def sentences(
    owner: str,
    abouts: Sequence[dict[str, Any]],
    num_classes: int,
    ignore_index: int | None,
    words: Words = Words(),  # noqa: B008  which nothing changes
) -> Iterator[str]:
    """What to warn of at the end of an evaluation: a sentence for logits that are not finite, for labels, for masks."""
    hidden = [about for about in abouts if hides_foreground(about)]
    if hidden:
        yield f'{owner}: {masks_sentence(hidden, abouts)}'
    for key, text in (('not_finite', logits_sentence), ('no_class', labels_sentence)):
        found = [about for about in abouts if about[key][0]]
        if found:
            where = f'{sum(about[key][0] for about in found)} pixels in {some_of(found, abouts)}'
            yield f'{owner}: ' + text(where, [about[key] for about in found], num_classes, ignore_index, words)


def some_of(found: Sequence[dict[str, Any]], abouts: Sequence[dict[str, Any]]) -> str:
    """'2 of 4 images (such as images/1.jpg)'."""
    example = min(about['image_file'] or '' for about in found)
    return f'{len(found)} of {len(abouts)} images' + (f' (such as {escape_controls(example)})' if example else '')


def masks_sentence(hidden: Sequence[dict[str, Any]], abouts: Sequence[dict[str, Any]]) -> str:
    result = ', so no result is known: all of them are NaN' if any(unknown_images(abouts)) else ''
    return (
        f'the labels of {some_of(hidden, abouts)} hold 255, which is ignored, and no 1, so none of their foreground '
        f'counts{result}; if these are masks of 0 and 255, divide them by 255'
    )


def logits_sentence(where: str, counts: Sequence[Any], num_classes: int, ignore_index: int | None, words: Words) -> str:
    return f'{words.scores} are NaN or infinite at {where}, so no result is known: all of them are NaN'


def labels_sentence(where: str, counts: Sequence[Any], num_classes: int, ignore_index: int | None, words: Words) -> str:
    largest = max(label for _, label in counts)
    likely = words.classes
    if largest < 0:
        likely = f'pixels to ignore, which ignore_index={largest} leaves out (it is {ignore_index})'
    elif largest == 255 and num_classes == 2:
        likely = (
            f'masks of 0 and 255, to be divided by 255, or pixels to ignore: ignore_index=255 (it is {ignore_index})'
        )
    elif largest == 255:
        likely = f'pixels to ignore, which ignore_index=255 leaves out (it is {ignore_index})'
    elif largest == num_classes:
        likely = f'labels that start at 1{words.shift}'
    return (
        f'labels are none of the {num_classes} classes at {where}, the largest is {largest}, and each counts '
        f'against the class predicted there; likely: {likely}'
    )


def check_channels(owner: str, sample: Mapping[str, Any], class_names: Sequence[str]) -> None:
    """Refuses a head and a data set of different classes; one channel stands for two classes."""
    channels, classes = len(sample['seg_logits']['data']) if 'seg_logits' in sample else None, len(class_names)
    if channels not in (None, classes) and (channels, classes) != (1, 2):
        names = ', '.join(map(str, class_names[:5])) + (', ...' if classes > 5 else '')
        raise ValueError(
            f"{owner}: num_classes of the head must be {classes}, as many as the 'classes' of the data set's metainfo "
            f'({names}), got {channels} (the channels of seg_logits)'
        )


def augmentations(data_batch: Any) -> int:
    """How many predictions test-time augmentation merged into one, as the nesting of its batch shows; else 1."""
    columns = list(data_batch.values()) if isinstance(data_batch, dict) else data_batch
    first: Any = columns[0] if isinstance(columns, (list, tuple)) and columns else None
    nested = isinstance(first, (list, tuple)) and first and isinstance(first[0], (list, tuple))
    return len(first) if nested else 1


def can_come_from(logits: Tensor, pred: Tensor, valid: Tensor) -> bool:
    """Whether the ids of valid pixels can be predicted from logits (C, H, W): an argmax, in one channel a threshold."""
    if pred.numel() != valid.numel():
        return False
    chosen, pred = chosen_of(logits.detach(), pred)
    valid = valid.to(logits.device)
    if (((pred < 0) | (pred >= max(len(logits), 2))) & valid).any():
        return False
    if len(logits) > 1:
        return not ((chosen < logits.detach().amax(0)) & valid).any()
    below, above = chosen[valid & (pred == 0)], chosen[valid & (pred != 0)]
    return not below.numel() or not above.numel() or not below.max() >= above.min()
