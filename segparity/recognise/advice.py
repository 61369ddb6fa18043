"""What is likely wrong with a function, each a sentence that rests on what it was seen to do."""

from typing import TYPE_CHECKING, Any

import numpy as np

from segparity.recognise import tensors
from segparity.recognise.calls import Caller, Convention, Group, TooSlow, order_of_names
from segparity.recognise.confirm import gradient_at
from segparity.recognise.probes import Probe, fresh
from segparity.recognise.search import Fit

if TYPE_CHECKING:
    from segparity.recognise.recognition import Answer


FLATTENED = (
    'With softmax and one-hot labels of several classes it is no Dice or Tversky of classes: with all classes in one sum every '
    'false positive of a class is a false negative of another, FP = FN, so that weights of FP and FN act through their sum '
    'alone and a rare class counts by its pixels.'
)


SCORE_AS_LOSS = 'It is a score returned as a loss: a perfect prediction has the largest value, so that training goes the wrong way. Return 1 - score.'
BETTER_IS_LARGER = 'A better prediction has a larger value: as a loss it trains the wrong way.'
OF_SIGMOIDS = (
    'With a sigmoid of each of several classes it is no Dice or Tversky of classes: all classes are in one sum, so that a '
    'rare class counts by its pixels.'
)


def flattened(answer: 'Answer') -> str:
    """What flattening several classes does; FP = FN only of channels that add up to 1."""
    return OF_SIGMOIDS if answer.group.convention.independent else FLATTENED


def unused(tasks: list[list[Group]], labels_first: bool | None) -> list[str]:
    """Of a function that never looks at its labels, or never at its prediction; the names of its arguments tell which."""
    found = [g for some in tasks for g in some]
    first = [_one_unused(g) for g in found]
    if all(f == 'both' for f in first):
        return ['It is a constant: neither labels nor prediction change it.']
    if not all(first):
        return []
    if labels_first is None:
        return ['One of its two arguments is never used: either the labels or the prediction do not change its value.']
    said = {f for g, f in zip(found, first) if g.convention.labels_first == labels_first}
    if said == {'labels'}:
        return ['Its labels are never used: no label changes its value.']
    if said == {'prediction'}:
        return ['Its prediction is never used: nothing can be learnt from it.']
    return []


def _one_unused(group: Group) -> str:
    a, b, c, d = group.scouted[:4]
    least = 1e-9 * max(np.abs(group.scouted).max(), 1e-30)
    labels, pred = max(abs(a - c), abs(b - d)) <= least, max(abs(a - b), abs(c - d)) <= least
    return 'both' if labels and pred else 'labels' if labels else 'prediction' if pred else ''


def wrong(caller: Caller, answers: list['Answer'], name: str, function: Any) -> list[str]:
    """Sentences, the gravest first."""
    best = answers[0]
    convention = best.group.convention
    found = [*of_numbers(answers), *of_order(best, function)]
    flat = no_gradient(caller, convention)
    if flat:
        found.insert(
            0,
            'No gradient reaches the prediction (it is rounded, compared or an argmax is taken): training learns nothing from it.',
        )
    if best.sign < 0 and looks_like_a_loss(name, function):
        found.insert(
            0,
            SCORE_AS_LOSS,
        )
    elif (
        best.verdict == 'different'
        and not flat
        and looks_like_a_loss(name, function)
        and better_is_larger(caller, convention)
    ):
        found.insert(0, BETTER_IS_LARGER)
    if not flat:
        found += of_extremes(caller, convention)
    return found


def looks_like_a_loss(name: str, function: Any) -> bool:
    said = f'{name} {type(function).__name__}'.lower()
    return 'loss' in said or any(base.__name__ in ('Loss', '_Loss') for base in type(function).__mro__)


def of_numbers(answers: list['Answer']) -> list[str]:
    """What the parameters of the fit say."""
    found = []
    best = answers[0]
    fits: list[tuple[Answer, Fit]] = [(a, a.fit) for a in answers if a.fit is not None]
    for answer, fit in fits:
        for region, theta in zip(fit.regions, fit.parts()):
            upper, lower = np.exp(np.clip(theta[:2], -200, 30))
            if (
                answer is best
                and abs(upper / lower - 2) < 1e-4
                and upper > 1e-9
                and abs(theta[2] - 0.5) + abs(theta[3] - 0.5) < 1e-4
            ):
                found.append(
                    f'2 * (n + {2 * lower:g}) / (d + {2 * lower:g}) counts the smoothing twice above the line: a perfect prediction of few '
                    f'pixels scores more than 1. (2 * n + {2 * lower:g}) / (d + {2 * lower:g}) is meant.'
                )
            elif answer is best and upper > 1.0001 * lower and upper > 1e-9:
                found.append(
                    'The smoothing above the line is larger than the one below: a perfect prediction scores more than 1.'
                )
            if region.cells.startswith('pooled') and answer.channels > 1 and answer is best:
                found.append(flattened(answer))
            if region.means and answer is best and upper > 1e-12:
                found.append(
                    'It divides means, not sums: the smoothing then weighs as many pixels as the picture has, and training at another size is another loss.'
                )
            if region.cells == 'pixels' and answer is best:
                found.append(
                    'Its sum runs over the channel axis alone (axis=-1): a ratio in each pixel, which knows no regions. Sum over the axes of the picture.'
                )
            if region.pred == 'logits' and answer is best:
                found.append(
                    'It takes logits for probabilities: its score is computed from the prediction as it is, its cross-entropy from the sigmoid of it.'
                )
        if answer is best and fit.ce is not None and fit.ce.twice:
            found.append(
                'It takes logits for probabilities: its cross-entropy applies the activation (from_logits), its score does not.'
            )
    return list(dict.fromkeys(found))


def of_order(best: 'Answer', function: Any) -> list[str]:
    """Names and numbers that disagree about which argument is which."""
    named = order_of_names(function)
    orders = {c.labels_first for c in best.group.conventions}
    if len(orders) > 1 or not best.equal:
        return []
    first = best.group.convention.labels_first
    if named is not None and named != first:
        return [
            'Its arguments are named the other way round: what it treats as the prediction is named like labels, so that labels get the gradient.'
        ]
    if not first and (tensors.of_keras(function) or best.group.convention.kind == 'tensorflow'):
        return ['It takes the prediction first; Keras hands over the labels first, which would then get the gradient.']
    return []


def no_gradient(caller: Caller, convention: Convention) -> bool:
    """Whether the gradient is 0 everywhere, or cannot be taken."""
    for probe in fresh(convention.channels, 21, count=2):
        try:
            found = gradient_at(caller, convention, probe)
        except TooSlow:
            raise
        except Exception:
            return False
        if found is None or not np.isfinite(found).all() or found.any():
            return False
    return True


def better_is_larger(caller: Caller, convention: Convention) -> bool:
    """Whether predictions nearer to the labels have larger values, on every probe."""
    steps = []
    for probe in fresh(convention.channels, 22, count=6):
        nearer = Probe(0.3 * probe.prob + 0.7 * _inside(probe.target), probe.target)
        steps.append(caller.on(convention, nearer) - caller.on(convention, probe))
    return min(steps) > 0


def _inside(target: np.ndarray) -> np.ndarray:
    c = target.shape[1]
    return 0.998 * target + 0.002 * (0.5 if c == 1 else 1 / c)


def of_extremes(caller: Caller, convention: Convention) -> list[str]:
    """Whether it stays a number where a class is absent, and where probabilities are 0 and 1."""
    (probe,) = fresh(convention.channels, 23, count=1)
    c = probe.channels
    empty = np.zeros_like(probe.target)
    if c > 1:
        empty[:, 0] = 1
    some = probe.target.copy()
    cases = {
        'where a class is neither labelled nor predicted': (empty, empty),
        'where a class is not labelled but predicted': (probe.prob, empty),
        'of a perfect prediction': (some, some),
        'of a certain prediction that is wrong': (np.roll(some, 1, 1) if c > 1 else 1 - some, some),
    }
    bad: dict[str, list[str]] = {}
    for words, (prob, target) in cases.items():
        pred = (
            prob
            if convention.takes == 'probabilities'
            else (2 * prob - 1) * (60.0 if c == 1 or convention.activation == 'sigmoid' else 200.0)
        )
        labels = convention.target(Probe(prob, target))
        try:
            value = caller.value(convention, convention.arrange(pred), labels)
            slope = caller.gradient(convention, convention.arrange(pred), labels)
        except TooSlow:
            raise
        except Exception:  # noqa: S112  # what it cannot be called with says nothing of what it returns
            continue
        if not np.isfinite(value):
            bad.setdefault('Its value is NaN or infinite ', []).append(words)
        elif slope is not None and not np.isfinite(slope).all():
            bad.setdefault('Its gradient is NaN or infinite ', []).append(words)
    return [f'{what}{", ".join(words)}.' for what, words in bad.items()]


def of_soft_labels(caller: Caller, best: 'Answer') -> list[str]:
    """Whether soft labels have their minimum at p = y; only of what takes maps."""
    convention = best.group.convention
    if convention.form != 'maps' or best.sign < 0 or best.verdict == 'different':
        return []
    gains = []
    for probe in fresh(convention.channels, 24, soft=True, count=4):
        y = probe.target
        sharper = y**2 / (y**2).sum(1, keepdims=True) if y.shape[1] > 1 else y**2 / (y**2 + (1 - y) ** 2)
        at = caller.on(convention, Probe(y, y))
        gains.append((at - caller.on(convention, Probe(sharper, y))) / max(abs(at), 1e-12))
    if min(gains) > 1e-6:
        return [
            'with soft labels (smoothed, averaged) it is not lowest where the prediction equals the label: it rewards overconfidence'
        ]
    return []


def remarks(caller: Caller, answers: list['Answer']) -> list[str]:
    """What is not wrong, but good to know."""
    best = answers[0]
    found = of_soft_labels(caller, best)
    for answer in answers:
        if best.channels == 1 and (
            answer.verdict == 'equal on flattened classes' or getattr(answer.spec, 'pooled', False)
        ):
            sentence = flattened(answer)
            found.append(f'of several channels: {sentence[0].lower()}{sentence[1:-1]}')
            break
    if caller.prints:
        found.append('it prints')
    if caller.mutates:
        found.append('it changes its inputs in place (each call got copies of its own)')
    if caller.shapes:
        found.append(f'it returns arrays such as {max(caller.shapes, key=len)}; their mean was taken')
    if best.group.convention.dtype == 'float32':
        found.append('it takes float32 alone')
    if best.sign < 0:
        found.append('it is a score, larger for better predictions')
    if best.group.convention.device != 'cpu':
        found.append('it runs on the GPU alone')
    return found
