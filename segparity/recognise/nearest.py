"""The nearest of our losses, where a function is none of them: the common ones, with few parameters fitted."""

import dataclasses
from typing import Any

import numpy as np

from segparity.recognise.calls import Caller, Group
from segparity.recognise.confirm import Difference, difference
from segparity.recognise.fit import solve
from segparity.recognise.forms import CrossEntropy, Region
from segparity.recognise.sums import Sums
from shared_spec import LOSSES, LossSpec

Near = tuple[Group, LossSpec, int, float, Difference]
SCORES = {'SoftDiceLoss': 0.5, 'SoftJaccardLoss': 1.0}


def nearest(caller: Caller, group: Group, sums: Sums) -> Near | None:
    """(group, spec, sign, offset, difference) of the best: Dice, Jaccard, cross-entropy, a sum of two; None without values."""
    if group.values is None:
        return None
    c, values = group.convention.channels, group.values
    given: dict[str, Any] = {'from_logits': False}
    sigmoid = c > 1 and group.convention.takes == 'logits' and group.convention.activation == 'sigmoid'
    given |= {'activation': 'sigmoid'} if sigmoid else {}
    entropies = [(CrossEntropy(binary=c == 1 or sigmoid), given)]
    found: list[Near] = []
    for ce, of_ce in entropies:
        loss = _together(ce, sums)
        solution = solve(lambda _, x=loss: x[None], values, [[]])  # type: ignore[misc]
        cross = LOSSES['WeightedCrossEntropyLoss'](**of_ce)
        found += _measured(caller, group, [cross], solution.weights)
        for cells in ('D', 'I'):
            for name, alpha in SCORES.items():
                found += _measured(
                    caller, group, *_score(LOSSES[name](**given), alpha, Region(cells=cells), sums, values, None, cross)
                )
                found += _measured(
                    caller, group, *_score(LOSSES[name](**given), alpha, Region(cells=cells), sums, values, loss, cross)
                )
    return min(found, key=lambda f: f[4].typical, default=None)


def _together(ce: CrossEntropy, sums: Sums) -> np.ndarray:
    """(K, 1) the cross-entropy without weights."""
    found = ce.columns(sums, np.zeros((1, 0)))[0].sum(1, keepdims=True)
    return found / sums.prob.shape[2] if ce.binary else found


def _score(
    base: LossSpec,
    alpha: float,
    region: Region,
    sums: Sums,
    values: np.ndarray,
    loss: np.ndarray | None,
    cross: LossSpec,
) -> tuple[list[LossSpec], np.ndarray]:
    """(the specs of a score, and of a cross-entropy beside it; their weights and a constant), its smooth fitted."""

    def columns(theta: np.ndarray) -> np.ndarray:
        full = np.concatenate([theta, theta, np.full((len(theta), 2), alpha)], 1)
        score = region.columns(sums, full).mean(2, keepdims=True)
        return score if loss is None else np.concatenate([score, np.broadcast_to(loss, (len(theta), *loss.shape))], 2)

    solution = solve(columns, values, [[np.log(s)] for s in (1e-3, 0.5, 10.0)])
    smooth = _short(float(np.exp(np.clip(solution.theta[0], -20, 8))))
    changes: dict[str, Any] = dict(classes='all', granularity=region.cells, smooth=0.0 if smooth < 1e-6 else smooth)
    spec = dataclasses.replace(base, **changes)
    return ([spec] if loss is None else [spec, cross]), solution.weights


def _measured(caller: Caller, group: Group, specs: list[LossSpec], weights: np.ndarray) -> list[Near]:
    """The sum of specs beside the function, if its weights have one sign."""
    *shares, offset = (_short(float(w)) for w in weights)
    sign = 1 if max(shares) > 0 else -1
    shares = [sign * share for share in shares]
    if min(shares) < 0 or max(shares) == 0:
        return []
    if len(specs) == 1:
        spec = dataclasses.replace(specs[0], loss_weight=shares[0])
    else:
        spec = LOSSES['WeightedSumLoss'](losses=specs, weights=shares)
    apart = difference(caller, group.convention, spec, sign, offset)
    return [(group, spec, sign, offset, apart)] if np.isfinite(apart.largest) else []


def _short(x: float) -> float:
    """Three digits."""
    return float(f'{x:.2e}')
