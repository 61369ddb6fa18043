"""What two models differ in, in sentences, the cause before what follows from it."""

import numpy as np

from segparity.parity.models import geometry, labels
from segparity.parity.models.comparison import SAME, Found

SHOWN = 5  # classes, images
CONSTANT = 1e-6  # of the largest difference of logits: a constant that is only rounding
RESIZED = 1e-3  # of the squares: what float32 leaves of a resize that is the right one


def sentences(found: Found) -> list[str]:
    """All of it; the first says whether models, labels or losses differ."""
    return [verdict(found), *kinds(found), *numbers(found), *classes(found), *places(found), *parts(found), *of_labels(found), *losses(found), *found.remarks]  # fmt: skip


def verdict(found: Found) -> str:
    """One sentence: where to look."""
    wrong = []
    if not found.same_outputs:
        wrong.append('the outputs of the models')
    elif not found.ok and found.same_labels and found.a.ignore_index == found.b.ignore_index:
        wrong.append('what the outputs are (logits, probabilities, or a constant in them)')
    if not found.same_labels or found.a.ignore_index != found.b.ignore_index:
        wrong.append('the labels')
    own = differing_losses(found)
    if own:
        wrong.append(f'the losses ({own})')
    if wrong:
        return f'{" and ".join(wrong)} differ'
    outputs = 'predicted classes' if 'ids' in (found.a.kind, found.b.kind) else 'outputs'
    same = f'{outputs} and labels are' if found.counts.label_pairs else f'the {outputs} are'
    return f'{same} the same in both: what differs in training comes of the losses, their weights, or the optimiser'


def differing_losses(found: Found) -> str:
    """The files whose own value of the loss is that of none of the losses that were compared."""
    told = []
    for letter, side in (('a', found.a), ('b', found.b)):
        values = [of[letter] for of in found.batch.values() if letter in of]
        if side.loss is not None and values and not any(close(side.loss, value) for value in values):
            told.append(letter)
    return ', '.join(told)


def close(one: float, two: float) -> bool:
    return abs(one - two) <= 1e-5 * max(1.0, abs(two))


def kinds(found: Found) -> list[str]:
    """What the two files hold, where that differs."""
    a, b = found.a, found.b
    told = [f'a has {a.words}, b {b.words}'] if a.words != b.words else []
    same = {'softmax': 'softmax', 'sigmoid': 'sigmoid'}
    for one, two, letter in ((a, b, 'b'), (b, a, 'a')):
        if one.kind == 'logits' and two.kind in same:
            told.append(
                f'{letter} has a {same[two.kind]} applied and the other does not: the loss of {letter} takes from_logits=False, '
                f'or the activation goes'
            )
    if found.factor > 1:
        small, large = ('a', 'b') if a.space < b.space else ('b', 'a')
        told.append(
            f'{large} is {found.factor} times as large as {small}; compared at the size of {small}, by means over blocks'
        )
        if found.resize:
            name, rest = found.resize
            if rest < RESIZED:
                told.append(
                    f'{large} is {small} resized bilinearly with {name}'
                    if name != 'nearest'
                    else f'{large} is {small} resized by nearest'
                )
            else:
                told.append(
                    f'no resize of {small} makes {large}; the nearest, {name}, leaves {100 * rest:.2g} % of its variance'
                )
    return told


def numbers(found: Found) -> list[str]:
    """NaN, and values that are scaled or moved."""
    told = []
    for letter, count in zip('ab', found.counts.not_numbers):
        if count:
            many = f'{count:,} numbers that are' if count > 1 else 'one number that is'
            told.append(f'{letter} has {many} NaN or infinite; such pixels are left out of what is said of differences')
    c = found.counts
    if found.a.kind == found.b.kind == 'logits' and c.largest_score > 1e-2 and found.factor == 1:
        if c.largest <= SAME and c.centred <= 1e-3:
            told.append(
                f'logits differ by a constant in each pixel (up to {c.largest_score:.3g}), probabilities do not: a log softmax, '
                f'or a bias that all classes share'
            )
        elif found.motion and abs(found.motion.factor - 1) > 0.02 and rest_is_small(found):
            offset, scale = found.motion.offset, max(c.largest_score, abs(found.motion.factor))
            plus = f', plus {offset:.3g}' if abs(offset) > CONSTANT * scale else ''
            told.append(
                f'logits of b are about {found.motion.factor:.3g} times those of a{plus}: a temperature or a scale'
            )
    return told


def rest_is_small(found: Found) -> bool:
    """Whether factor and offset leave little of the difference."""
    return found.motion is not None and found.motion.left < 0.05


def classes(found: Found) -> list[str]:
    moved = [k for k, other in enumerate(found.order) if k != other]
    if not moved:
        return []
    listed = ', '.join(f'{k} of a is {found.order[k]} of b' for k in moved[:8]) + (
        f' and {len(moved) - 8} more' if len(moved) > 8 else ''
    )
    measured = '' if found.recode is None else ', losses and metrics too'
    return [f'the classes are in another order: {listed}; what follows has those of b in the order of a{measured}']


def places(found: Found) -> list[str]:
    """Shifts and resizes."""
    told = []
    if found.motion and found.motion.moved:
        told += geometry.in_words(found.motion, found.a.space)
    if found.shift != (0, 0):
        told.append(
            f'b agrees most with a moved by {found.shift[0]:+d} rows and {found.shift[1]:+d} columns'
            f'{geometry.direction(*found.shift)}'
        )
    for letter, block, other in (('a', *found.blocks), ('b', *found.blocks[::-1])):
        if block > 1 and other < block and found.factor == 1:
            told.append(
                f'{letter} is constant in blocks of {block}x{block}: it was resized by nearest, the other was not'
            )
    return told


def parts(found: Found) -> list[str]:
    """Where outputs differ: borders, classes, images."""
    c = found.counts
    if found.same_outputs or not c.pixels:
        return []
    told = [f'the same class is predicted in {100 * c.agreeing / c.pixels:.2f} % of {c.pixels:,} pixels']
    if 'ids' not in (found.a.kind, found.b.kind):
        told[0] += f'; probabilities differ by {c.total / c.pixels:.2g} on average and {c.largest:.2g} at most'
    wrong = [of[1] - of[0] for of in (c.border, c.inside)]
    if sum(wrong) and c.border[1] and c.inside[1]:
        rates = [100 * w / of[1] for w, of in zip(wrong, (c.border, c.inside))]
        share = 100 * wrong[0] / sum(wrong)
        told.append(
            f'{share:.0f} % of the pixels that differ lie within 2 pixels of a border between classes, where {rates[0]:.2g} % differ; '
            f'inside {rates[1]:.2g} %'
        )
    with np.errstate(invalid='ignore', divide='ignore'):
        overlap = c.both / c.either
    worst = [
        int(k) for k in np.argsort(np.where(np.isnan(overlap), 2, overlap), kind='stable')[:SHOWN] if overlap[k] < 1
    ]
    if worst:
        told.append('classes that overlap least: ' + ', '.join(f'{k} (IoU of a and b {overlap[k]:.3f})' for k in worst))
    images = sorted(c.images, key=lambda image: image['agreement'])[:SHOWN]
    if len(c.images) > 1 and images[0]['agreement'] < 1:
        told.append(
            'images that agree least: '
            + ', '.join(f'{image["image"]} ({100 * image["agreement"]:.1f} %)' for image in images)
        )
    if c.class_bias.size:
        bias = c.class_bias / c.pixels
        k = int(np.abs(bias).argmax())
        if abs(bias[k]) > 0.02:
            told.append(f'class {k} is on average {abs(bias[k]):.2g} {"more" if bias[k] > 0 else "less"} probable in b')
    return told


def of_labels(found: Found) -> list[str]:
    told = labels.in_words(found.counts.label_pairs) if found.counts.label_pairs else []
    if found.counts.label_pairs and not found.same_labels:
        if found.recode is None:
            told.append('losses and metrics of b are of its own labels as they are, in the order of its own classes')
        elif found.recode:
            told.append(
                'losses and metrics of b are of its labels brought to the ids of a, with the ignored label of a'
            )
    if found.a.ignore_index != found.b.ignore_index:
        one, two = (
            'no label' if side.ignore_index is None else f'the label {side.ignore_index}' for side in (found.a, found.b)
        )
        told.append(f'a ignores {one}, b {two}')
    if found.a.labels is None and found.b.labels is None:
        told.append('neither file has labels, so nothing is said of losses and metrics')
    elif found.a.labels is None or found.b.labels is None:
        order = ', taken to be in the order of its own classes' if found.a.labels is None and found.recode else ''
        told.append(f'the labels are those of {"b" if found.a.labels is None else "a"} alone{order}')
    return told


def losses(found: Found) -> list[str]:
    """What the framework's own losses are beside the reference."""
    told = [f'{name}: {value}' for name, value in found.losses.items() if isinstance(value, str)]
    for letter, side in (('a', found.a), ('b', found.b)):
        for name, of in found.batch.items():
            if letter in of and side.loss is not None:
                same = 'which is' if close(side.loss, of[letter]) else 'which is not'
                told.append(
                    f'{letter} says that its loss is {side.loss:.6g}, {same} that of {name} on its outputs and labels, {of[letter]:.6g}'
                )
    return told
