"""Our losses that no form of ``forms`` is: each tried as it is, with few parameters fitted."""

import dataclasses
import time
from typing import Any

import numpy as np

from segparity.recognise.calls import Caller, Group
from segparity.recognise.confirm import Difference, difference, gradient_difference, values_of
from segparity.recognise.fit import solve
from segparity.recognise.probes import Probe
from segparity.recognise.simple import simple
from shared_spec import LOSSES, LossSpec, SpecError

LOG = 'log'  # parameters fitted by their logarithm
SHARE = 'share'  # between 0 and 1
TRIED: tuple[tuple[str, dict[str, tuple[Any, ...]], dict[str, tuple[str, float]]], ...] = (
    ('LovaszSoftmaxLoss', dict(per_image=(False, True), classes=('present', 'all')), {}),
    ('LovaszHingeLoss', dict(per_image=(False, True)), {}),
    (
        'GeneralizedDiceLoss',
        dict(weighting=('square', 'simple', 'uniform'), absent=('max', 'drop'), granularity=('D', 'I')),
        dict(smooth=(LOG, 1e-3)),
    ),
    (
        'SensitivitySpecificityLoss',
        dict(granularity=('D', 'I'), classes=('all',)),
        dict(weight=(SHARE, 0.3), smooth=(LOG, 1e-3)),
    ),
    (
        'UnifiedFocalLoss',
        dict(asymmetric=(False, True), granularity=('I', 'D')),
        dict(weight=(SHARE, 0.5), delta=(SHARE, 0.6), gamma=(SHARE, 0.5)),
    ),
    ('ExponentialLogarithmicLoss', dict(granularity=('D', 'I'), classes=('all',)), dict(dice_weight=(LOG, 0.8), ce_weight=(LOG, 0.2), gamma_dice=(LOG, 0.3), gamma_ce=(LOG, 0.3))),
    ('RobustTLoss', dict(), dict(nu=(LOG, 1.0))),
)  # fmt: skip


def answer(
    caller: Caller, group: Group, probes: list[Probe], until: float = float('inf')
) -> tuple[LossSpec, int, float, Difference] | None:
    """(spec, sign, offset, difference) of the first that equals the function; None where none does until then."""
    if group.values is None:
        return None
    chosen = list(range(0, len(probes), max(1, len(probes) // 24)))
    some, values = [probes[k] for k in chosen], group.values[chosen]
    exclusive = [k for k, p in enumerate(some) if p.exclusive]
    for name, fixed, free in TRIED:
        for given in combinations(fixed):
            if time.process_time() > until:
                return None
            kept = list(range(len(some))) if 'soft' in LOSSES[name].labels else exclusive
            found = fitted(caller, group, name, given, free, [some[k] for k in kept], values[kept])
            if found is not None:
                return found
    return None


def rounded(spec: LossSpec, free: dict[str, tuple[str, float]]) -> LossSpec:
    """With simple numbers for what was fitted; a ``smooth`` that no probe tells from none is 0."""
    found: dict[str, Any] = {k: simple(getattr(spec, k), 1e-5) for k in free}
    return dataclasses.replace(spec, **{k: 0.0 if k == 'smooth' and v < 1e-7 else v for k, v in found.items()})


def combinations(fixed: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}]
    for name, choices in fixed.items():
        found = [{**some, name: choice} for some in found for choice in choices]
    return found


def fitted(
    caller: Caller, group: Group, name: str, given: dict[str, Any], free: dict[str, tuple[str, float]],
    probes: list[Probe], values: np.ndarray,
) -> tuple[LossSpec, int, float, Difference] | None:  # fmt: skip
    """One loss with its parameters fitted, if it then equals the function."""
    convention = group.convention
    spec_class = LOSSES[name]
    hinge = name == 'LovaszHingeLoss'
    if ('one' if convention.channels == 1 else 'many') not in spec_class.channels or (
        hinge and convention.takes != 'logits'
    ):
        return None
    base = dict(given) if hinge else {**given, 'from_logits': False}
    if convention.channels > 1 and convention.takes == 'logits' and convention.activation == 'sigmoid':
        base['activation'] = 'sigmoid'

    def spec_of(theta: np.ndarray) -> LossSpec:
        read = [
            float(np.exp(np.clip(t, -35, 10))) if how == LOG else float(np.clip(t, 0, 1))
            for t, (how, _) in zip(theta, free.values())
        ]
        return spec_class(**base, **dict(zip(free, read)))

    def columns(thetas: np.ndarray) -> np.ndarray:
        return np.stack([one(theta) for theta in thetas])[..., None]

    def one(theta: np.ndarray) -> np.ndarray:
        try:
            return values_of(spec_of(theta), convention, probes)
        except (SpecError, ValueError):
            return np.full(len(probes), np.nan)

    start = [np.log(s) if how == LOG else s for how, s in free.values()]
    first = one(np.array(start))
    if not np.isfinite(first).all():
        return None
    solution = solve(columns, values, [start])
    if not solution.error < 1e-5:
        return None
    spec = rounded(spec_of(solution.theta), free)
    weight, offset = (simple(float(w), 1e-5) for w in solution.weights)
    offset = 0.0 if abs(offset) < 1e-5 * abs(weight) else offset
    sign = 1 if weight > 0 else -1
    spec = type(spec)(**{**{k: getattr(spec, k) for k in spec.parameters()}, 'loss_weight': abs(weight)})
    apart = difference(caller, convention, spec, sign, offset)
    if apart.equal:
        apart.gradient = gradient_difference(caller, convention, spec, sign)
    return (spec, sign, offset, apart) if apart.equal else None
