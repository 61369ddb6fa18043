"""A fit in the words of our losses: the spec, the constant, and why it is none of ours where it is not."""

import dataclasses
from typing import Any

import numpy as np

from segparity.recognise.forms import CrossEntropy, Region
from segparity.recognise.search import Fit
from segparity.recognise.simple import simple
from shared_spec import LOSSES, LossSpec


@dataclasses.dataclass
class Part:
    """One loss of a sum: weight * loss; ``variants``: specs that agree on hard labels, the likeliest first.

    reasons: why it is none of ours exactly; the specs are then the nearest.
    """

    weight: float
    variants: list[LossSpec]
    reasons: list[str]
    notes: list[str]


@dataclasses.dataclass
class Match:
    """function = sign * spec + offset, where there are no ``reasons``; else the spec is the nearest of ours."""

    specs: list[LossSpec]
    sign: int
    offset: float
    reasons: list[str]
    notes: list[str]
    fit: Fit | None = None


def match(fit: Fit, c: int, activation: str, independent: bool = False) -> Match:
    """What a fit of ``c`` channels is among our losses, with ``from_logits=False``; activation: '' of probabilities.

    independent: the fit is one of channels that do not add up to 1, so that weights of FP and FN of all of them differ.
    """
    parts, sign, offset = [], 1, fit.offset
    weights = [np.array([simple(w) if abs(w) > 1e-7 * scale_of(fit) else 0.0 for w in some]) for some in fit.weights]
    positive = any((w > 0).any() for w in weights)
    if not positive:
        sign, weights = -1, [-w for w in weights]
    thetas = fit.parts()
    given = {'from_logits': False, **({'activation': 'sigmoid'} if activation == 'sigmoid' and c > 1 else {})}
    for region, theta, w in zip(fit.regions, thetas, weights):
        if w.any():
            parts.append(of_region(region, theta, w, c, given, independent))
    if fit.ce is not None and weights[-1].any():
        parts.append(of_entropy(fit.ce, thetas[-1], weights[-1], c, given))
    offset = simple(offset, 2e-5) if abs(offset) > 1e-6 * scale_of(fit) else 0.0
    found = Match(
        summed(parts), sign, offset, [r for p in parts for r in p.reasons], [n for p in parts for n in p.notes], fit
    )
    if c > 1 and fit.ce is not None and not fit.ce.error:
        if activation == 'softmax' and fit.ce.binary:
            found.reasons.append('it takes binary cross-entropies of the softmax, ours of the sigmoid')
        elif activation == 'sigmoid' and not fit.ce.binary:
            found.reasons.append(
                'it takes the logarithm of the sigmoid of the true class alone; the other channels learn nothing'
            )
        elif fit.ce.binary:
            found.notes.append(
                'in MMSegmentation the cross-entropy reads sigmoids of the logits, each channel by itself'
            )
    if any((w < 0).any() for w in weights):
        found.reasons.append('its parts have weights of different signs')
    if not parts:
        found.reasons.append('it is a constant')
    return found


def scale_of(fit: Fit) -> float:
    return max([float(np.abs(w).max()) for w in fit.weights if len(w)] + [abs(fit.offset), 1e-12])


def summed(parts: list[Part]) -> list[LossSpec]:
    """Every combination of the parts' variants as one spec."""
    if not parts:
        return []
    if len(parts) == 1:
        return [dataclasses.replace(spec, loss_weight=parts[0].weight * spec.loss_weight) for spec in parts[0].variants]
    found = []
    for k in range(max(len(p.variants) for p in parts)):
        some = [p.variants[min(k, len(p.variants) - 1)] for p in parts]
        shares: list[float] | None = [simple(p.weight) for p in parts]
        found.append(LOSSES['WeightedSumLoss'](losses=some, weights=None if shares == [1.0] * len(parts) else shares))
    return found


def of_region(
    region: Region, theta: np.ndarray, w: np.ndarray, c: int, given: dict[str, Any], independent: bool
) -> Part:
    """A score's part; ``w``: the weight of each class, or one for all."""
    reasons: list[str] = []
    notes: list[str] = []
    if region.pred == 'logits':
        reasons.append('its score is computed from logits as if they were probabilities')
    elif region.pred != 'prob':
        reasons.append('it thresholds its prediction')
    upper, lower = np.exp(theta[:2])
    upper, lower = (0.0 if s < 1e-30 else float(s) for s in (simple(upper), simple(lower)))
    alpha, beta = (max(float(simple(t)), 0.0) for t in theta[2:4])
    power = float(theta[4]) if len(theta) > 4 else 1.0
    pooled = region.cells.startswith('pooled') or region.cells == 'pixels'
    if region.cells.startswith('pooled'):
        if independent:
            pass  # whose channels do not add up to 1: FP and FN differ
        elif abs(alpha + beta - 1) < 1e-6 and region.norm == 1:
            alpha = beta = 0.5
        elif region.norm == 1 and abs(alpha + beta - 2) < 1e-6:
            alpha = beta = 1.0
    if region.cells == 'pixels':
        reasons.append('it is a ratio in each pixel, averaged over pixels: no region loss')
    params: dict[str, Any] = dict(given, granularity='I' if region.cells in ('I', 'pooled I', 'pixels') else 'D')
    params['classes'] = 'all' if region.counting == 'all' else 'present'
    if region.counting == 'present of class':
        params['granularity'] = 'C'
    if region.counting == 'masked':
        reasons.append('an absent class costs nothing but stays in the mean: equal only where every class is present')
    if region.means and max(upper, lower) > 1e-12:
        reasons.append('its sums are means over pixels, so that its smooth grows with the size of the picture')
    smooth = lower
    if upper == 0 and 0 < lower < 1e-3:
        smooth = 0.0
    elif abs(upper - lower) > 1e-4 * max(upper, lower):
        reasons.append(f'its smooth differs above ({upper:g} pixels) and below ({lower:g}) the line')
    params['smooth'] = smooth
    if region.cells.startswith('pooled'):
        tversky = not alpha == beta in (0.5, 1)
        if region.transform == 'linear' and not (tversky and region.norm == 2):
            params['pooled'] = True
        else:
            of = 'the batch' if region.cells == 'pooled D' else 'an image'
            what = f'a {region.transform.split()[-1]} of it' if region.transform != 'linear' else 'its squared sizes'
            reasons.append(
                f'it adds up all classes of {of} before the ratio; no parameter of ours says so yet together with {what}'
            )
    params, weight = weigh(params, region, w, c, notes if not pooled else [])
    if region.transform in ('then power', 'then log') and c > 1:
        what = 'power' if region.transform == 'then power' else 'logarithm'
        reasons.append(f'its {what} acts on the mean over classes, ours on each class')
    return Part(weight, variants(region, params, alpha, beta, power, reasons, notes), reasons, notes)


def weigh(
    params: dict[str, Any], region: Region, w: np.ndarray, c: int, notes: list[str]
) -> tuple[dict[str, Any], float]:
    """The parameters with ``classes`` or ``class_weight`` of the weights, and the factor that is left."""
    w = np.maximum(w, 0)
    params = dict(params)
    if region.transform.startswith('then'):
        if region.dropped:
            params['classes'] = list(range(1, c))
        return params, float(w[0])
    if len(w) == 1:
        return params, float(w[0])
    used = np.flatnonzero(w > 0)
    if np.ptp(w[used]) <= 2e-5 * w.max():
        if len(used) < c:
            params['classes'] = used.tolist()
        return params, simple(float(w[used].mean()) * len(used))
    params['class_weight'] = [simple(float(x) * c) for x in w]
    return params, 1.0


def variants(
    region: Region,
    params: dict[str, Any],
    alpha: float,
    beta: float,
    power: float,
    reasons: list[str],
    notes: list[str],
) -> list[LossSpec]:
    """The specs of a score, which differ on soft labels at most."""
    kind = 'Dice' if alpha == beta == 0.5 else 'Jaccard' if alpha == beta == 1 else 'Tversky'
    metric = {'Dice': 'DiceSemimetricLoss', 'Jaccard': 'JaccardMetricLoss', 'Tversky': 'CompatibleTverskyLoss'}[kind]
    weights = dict(alpha=alpha, beta=beta) if kind == 'Tversky' else {}
    norm = {'norm': region.norm} if region.norm != 1 else {}
    if region.transform == 'then log cosh':
        if kind != 'Dice':
            reasons.append('it is log cosh of another score than Dice')
        return [LOSSES['LogCoshDiceLoss'](**params, **norm)]
    if region.transform in ('log', 'then log'):
        return [LOSSES[metric](**params, **weights, **norm, log_loss=True)]
    if power != 1.0 and region.transform in ('power', 'then power'):
        found: list[LossSpec] = []
        if region.norm == 1:
            found.append(LOSSES['FocalTverskyLoss'](**params, alpha=alpha, beta=beta, gamma=simple(1 / power)))
        if power >= 1:
            found.append(LOSSES[metric](**params, **weights, **norm, gamma=power))
        if not found:
            reasons.append('it is a power below 1 of a score with squared sizes')
            found = [LOSSES['FocalTverskyLoss'](**params, alpha=alpha, beta=beta, gamma=simple(1 / power))]
        return found
    if params.get('pooled'):
        return [LOSSES[f'Soft{kind}Loss'](**params, **weights, **norm)]
    if kind == 'Tversky':
        if region.norm == 2:
            return [LOSSES['CompatibleTverskyLoss'](**params, **weights, norm=2)]
        return [LOSSES['SoftTverskyLoss'](**params, **weights), LOSSES['CompatibleTverskyLoss'](**params, **weights)]
    return [LOSSES[f'Soft{kind}Loss'](**params, **norm), LOSSES[metric](**params, **norm)]


def of_entropy(ce: CrossEntropy, theta: np.ndarray, w: np.ndarray, c: int, given: dict[str, Any]) -> Part:
    """The cross-entropy's part."""
    reasons: list[str] = []
    notes: list[str] = []
    name = LOSSES['WeightedCrossEntropyLoss']
    given = dict(given)
    if ce.binary and c > 1:
        given['activation'] = 'sigmoid'
    if ce.error:
        what = {'squared': 'the squared error', 'absolute': 'the absolute error', 'hard': 'the share of wrong pixels'}[
            ce.error
        ]
        reasons.append(f'it is {what} of probabilities, pixel by pixel; no loss of ours is that')
        return Part(float(w.mean()), [name(**given)], reasons, notes)
    if ce.reduce != 'mean':
        reasons.append(
            'its cross-entropy is a sum over pixels, ours a mean: its weight grows with the size of the picture'
        )
    if ce.focal:
        reasons.append(f'its cross-entropy is focal, times (1 - p)^{theta[0]:g}; no loss of ours is that yet')
    if ce.twice:
        reasons.append('it takes its prediction for logits in the cross-entropy, and for probabilities')
    if ce.normalised:
        share = w[1] / w[0] if ce.smoothing else 0.0
        smoothing = simple(max(share, 0) * max(c, 2) / (1 + max(share, 0) * max(c, 2)))
        weights = [1.0, *(simple(float(x)) for x in np.exp(theta))]
        spec = name(**given, class_weight=weights, label_smoothing=smoothing)
        return Part(simple(w[0] / (1 - smoothing)), [spec], reasons, notes)
    blocks = w.reshape(-1, c)
    positive = blocks[0]
    smoothing = 0.0
    if ce.smoothing and positive.any():
        share = float(blocks[2 if ce.binary else 1].sum() / positive.sum())
        size = 2 if ce.binary else c
        smoothing = simple(share * size / (1 + share * size))
    if ce.binary:
        negative = blocks[1]
        if c == 1 and abs(positive[0] - negative[0]) > 2e-5 * w.max():
            pair = [simple(float(x / (1 - smoothing))) for x in (negative[0], positive[0])]
            notes.append(
                'on class ids, which MMSegmentation hands over, ours divides by the weights of the pixels that count'
            )
            return Part(1.0, [name(**given, class_weight=pair, label_smoothing=smoothing)], reasons, notes)
        if np.abs(positive - negative).max() > 2e-5 * w.max():
            reasons.append('it weighs the presence and the absence of a class differently, channel by channel')
        positive = positive * c
    positive = positive / (1 - smoothing) if smoothing < 1 else positive
    if np.ptp(positive) <= 2e-5 * np.abs(positive).max():
        return Part(simple(float(positive.mean())), [name(**given, label_smoothing=smoothing)], reasons, notes)
    if not ce.binary:
        notes.append(
            'on class ids, which MMSegmentation hands over, ours divides by the weights of the pixels that count'
        )
    weights = [max(simple(float(x)), 0.0) for x in positive]
    return Part(1.0, [name(**given, class_weight=weights, label_smoothing=smoothing)], reasons, notes)
