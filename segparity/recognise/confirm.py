"""Whether a function is a loss of ours: on random probes that no search has seen, gradients too."""

import dataclasses
from collections.abc import Callable

import numpy as np

from segparity.parity.derivative import gradient
from segparity.recognise.calls import Caller, Convention
from segparity.recognise.probes import Probe, fresh
from shared_spec import LossSpec

TOLERANCE = 1e-6  # of the largest value


@dataclasses.dataclass
class Difference:
    """How far a function is from a spec on fresh probes, relative to its largest value; None where it was not asked.

    gradient: relative to the largest entry, with respect to logits. typical: the mean absolute difference.
    """

    hard: float
    soft: float | None
    gradient: float | None
    typical: float = 0.0
    largest: float = 0.0

    @property
    def equal(self) -> bool:
        return self.hard <= TOLERANCE and (self.gradient is None or self.gradient <= 10 * TOLERANCE)

    @property
    def equal_on_soft(self) -> bool:
        return self.soft is not None and self.soft <= TOLERANCE


def labels_for_us(convention: Convention, probe: Probe) -> np.ndarray:
    """The labels of a probe in the form in which the function takes them: maps, or ids (N, H, W)."""
    if convention.form == 'maps':
        return probe.target
    return probe.ids[:, None] if probe.channels == 1 else probe.ids


def values_of(spec: LossSpec, convention: Convention, probes: list[Probe]) -> np.ndarray:
    """The reference's loss of each probe; ``spec`` has ``from_logits=False`` unless it needs logits."""
    hard = 'soft' not in spec.labels
    labels = [
        (p.ids[:, None] if p.channels == 1 else p.ids) if hard and p.exclusive else labels_for_us(convention, p)
        for p in probes
    ]
    preds = [p.sigmoid_logits if spec.needs_logits else p.prob for p in probes]
    return np.array([spec.reference(pred, target) for pred, target in zip(preds, labels)])


def difference(
    caller: Caller, convention: Convention, spec: LossSpec, sign: float, offset: float, seed: int = 7
) -> Difference:
    """The largest difference of ``function`` and ``sign * spec + offset``."""
    hard = convention.suited(fresh(convention.channels, seed))
    if 'soft' not in spec.labels:
        hard = [p for p in hard if p.exclusive]
    found = np.array([caller.on(convention, p) for p in hard])
    ours = sign * values_of(spec, convention, hard) + offset
    scale = max(np.abs(found).max(), np.abs(ours).max(), 1e-30)
    apart = np.abs(found - ours)
    result = Difference(float(apart.max() / scale), None, None, float(apart.mean()), float(apart.max()))
    if not result.hard <= TOLERANCE:
        result.hard = float('inf') if np.isnan(result.hard) else result.hard
        return result
    if convention.form == 'maps' and 'soft' in spec.labels:
        soft = convention.suited(fresh(convention.channels, seed + 1, soft=True, count=4))
        found = np.array([caller.on(convention, p) for p in soft])
        apart = np.abs(found - sign * values_of(spec, convention, soft) - offset)
        result.soft = float(apart.max() / max(np.abs(found).max(), 1e-30))
        result.soft = float('inf') if np.isnan(result.soft) else result.soft
    return result


def gradient_difference(
    caller: Caller, convention: Convention, spec: LossSpec, sign: float, seed: int = 11
) -> float | None:
    """The largest difference of the gradients that reach the logits, relative to ours; None without gradients."""
    worst = None
    probes = convention.suited(fresh(convention.channels, seed, count=4))
    for probe in [p for p in probes if p.exclusive or 'soft' in spec.labels][:2]:
        small = Probe(probe.prob[:2, :, :2, :2], probe.target[:2, :, :2, :2])
        theirs = gradient_at(caller, convention, small)
        if theirs is None:
            return None
        ours = sign * reference_gradient(spec, convention, small)
        scale = max(np.abs(ours).max(), np.abs(theirs).max(), 1e-30)
        apart = float(np.abs(theirs - ours).max() / scale)
        worst = max(worst or 0.0, float('inf') if np.isnan(apart) else apart)
    return worst


def gradient_at(caller: Caller, convention: Convention, probe: Probe) -> np.ndarray | None:
    """(N, C, H, W) the function's gradient with respect to logits, whatever it takes."""
    found = caller.gradient(convention, convention.pred(probe), convention.target(probe))
    if found is None:
        return None
    found = convention.back(found, probe)
    if convention.takes == 'logits':
        return found
    p = probe.prob
    if softmax(convention):
        return p * (found - (p * found).sum(1, keepdims=True))
    return p * (1 - p) * found


def softmax(convention: Convention) -> bool:
    return convention.channels > 1 and convention.activation == 'softmax'


def reference_gradient(spec: LossSpec, convention: Convention, probe: Probe) -> np.ndarray:
    """The same of ours, by differences of the reference on probabilities of logits."""
    hard = 'soft' not in spec.labels
    labels = (probe.ids[:, None] if probe.channels == 1 else probe.ids) if hard else labels_for_us(convention, probe)
    if spec.needs_logits:
        return gradient(lambda z: spec.reference(z, labels), probe.sigmoid_logits)
    if softmax(convention):
        logits, activate = probe.softmax_logits, _softmax
    else:
        logits, activate = probe.sigmoid_logits, _sigmoid
    loss: Callable[[np.ndarray], float] = lambda z: spec.reference(activate(z), labels)  # noqa: E731
    return gradient(loss, logits)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))
