"""The nearest of our losses, where a function is none of them."""

import dataclasses

import numpy as np

from segparity.recognise.calls import Caller, Group
from segparity.recognise.confirm import Difference, difference
from segparity.recognise.forms import CrossEntropy, Region
from segparity.recognise.search import Fit, fit
from segparity.recognise.sums import Sums
from segparity.recognise.translate import match
from shared_spec import LossSpec, SpecError


def nearest(caller: Caller, group: Group, sums: Sums) -> tuple[Group, LossSpec, int, float, Difference] | None:
    """(group, spec, sign, offset, difference) of the best of the common forms; None where none can be built."""
    if group.values is None:
        return None
    c = group.convention.channels
    plain = CrossEntropy(binary=c == 1)
    shapes: list[tuple[tuple[Region, ...], CrossEntropy | None]] = [((), plain), ((), CrossEntropy(binary=True))]
    some = [Region(norm=n, cells=cells) for n in (1, 2) for cells in ('D', 'I')]
    shapes += [((region,), None) for region in some] + [((region,), plain) for region in some]
    found = []
    for regions, ce in shapes:
        rough = rounded(fit(sums, group.values, regions, ce))
        try:
            guess = match(rough, c, group.convention.activation if group.convention.takes == 'logits' else 'softmax')
            for spec in guess.specs[:1]:
                if not [r for r in guess.reasons if not r.startswith('its smooth')]:
                    apart = difference(caller, group.convention, spec, guess.sign, guess.offset)
                    found.append((group, spec, guess.sign, guess.offset, apart))
        except (SpecError, ValueError):
            continue
    return min(found, key=lambda f: (f[4].largest if np.isfinite(f[4].largest) else np.inf), default=None)


def rounded(rough: Fit) -> Fit:
    """Three digits of everything, one smooth, no weights below nothing."""

    def short(x: float) -> float:
        return float(f'{x:.2e}')

    theta, at = rough.theta.copy(), 0
    for region in rough.regions:
        theta[at : at + 2] = np.log(max(short(float(np.exp(np.clip(theta[at + 1], -30, 10)))), 1e-9))
        theta[at + 2 : at + len(region.starts[0])] = [max(short(t), 0.0) for t in theta[at + 2 : at + len(region.starts[0])]]
        at += len(region.starts[0])
    weights = [np.array([short(x) for x in w]) for w in rough.weights]
    if any((w > 0).any() for w in weights):
        weights = [np.maximum(w, 0) for w in weights]
    return dataclasses.replace(rough, theta=theta, weights=weights, offset=short(rough.offset))
