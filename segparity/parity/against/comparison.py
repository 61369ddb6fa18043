"""One loss of ours and one opponent on the same inputs: what each says, and whether they are the same."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from segparity.parity import replay
from segparity.parity.against.opponents import NotTaken, Opponent
from segparity.parity.cases import Case
from segparity.parity.configurations import shared
from segparity.parity.derivative import along
from segparity.parity.tolerances import SMALLEST_GRADIENT, value_error
from shared_spec import LossSpec

VALUE, GRADIENT = 1e-6, 1e-5  # a function of others may compute in float32
DIRECTIONS = 3  # along which gradients are compared


@dataclasses.dataclass(frozen=True)
class Meeting:
    """Both on one case. error: what the opponent raised.

    slopes: the derivatives of ours along random directions, and those of the opponent's gradient, whose ``norm`` is
    given; None where one has no gradient that is known. The reference's gradient itself would take thousands of calls.
    """

    case_name: str
    case: Case
    ours: float
    theirs: float
    our_slopes: np.ndarray | None = None
    their_slopes: np.ndarray | None = None
    norm: float | None = None
    error: str = ''

    @property
    def difference(self) -> float:
        """Of max(1, |ours|)."""
        return float('inf') if self.error else value_error(self.theirs, self.ours)

    @property
    def gradient_difference(self) -> float | None:
        """Of the length of the gradient; None where one is not known."""
        return self.gradient_error(1.0)

    def gradient_error(self, factor: float) -> float | None:
        """How far the opponent's gradient is from ``factor`` times ours."""
        if self.our_slopes is None or self.their_slopes is None or self.norm is None:
            return None
        ours = factor * self.our_slopes
        if not np.isfinite(self.their_slopes).all():
            return float('inf')
        return float(np.abs(self.their_slopes - ours).max() / max(self.norm, np.abs(ours).max(), SMALLEST_GRADIENT))

    @property
    def ok(self) -> bool:
        return self.difference <= VALUE and (self.gradient_difference or 0.0) <= GRADIENT


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All cases of one number of channels.

    refused: why the opponent could not be called at all; not_taken: case -> why it was not compared.
    """

    name: str
    spec: LossSpec
    opponent: str
    channels: int
    meetings: tuple[Meeting, ...]
    convention: str = ''
    refused: str = ''
    not_taken: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether both are the same wherever they were compared; False where they were nowhere."""
        return not self.refused and bool(self.meetings) and all(meeting.ok for meeting in self.meetings)


def compare(name: str, spec: LossSpec, opponent: Opponent, inputs: Iterable[tuple[str, Case]]) -> Comparison:
    """A loss and an opponent on (name, case) pairs of one number of channels."""
    given = list(inputs)
    channels = given[0][1].pred.shape[1]
    ours = [of_ours(spec, case) for _, case in given]
    softmax = channels > 1 and shared(spec, 'activation') == 'softmax'
    scouts = [case for case_name, case in given if case_name not in ('ignored_border', 'soft_label')]
    scouted = [value for (case_name, _), value in zip(given, ours) if case_name not in ('ignored_border', 'soft_label')]
    try:
        convention = opponent.fit(scouts, softmax, scouted)
    except ValueError as error:
        return Comparison(name, spec, opponent.name, channels, (), refused=str(error))
    meetings, not_taken = [], {}
    for (case_name, case), value in zip(given, ours):
        try:
            meetings.append(meet(spec, opponent, case_name, case, value))
        except NotTaken as error:
            not_taken[case_name] = str(error)
    return Comparison(name, spec, opponent.name, channels, tuple(meetings), convention, not_taken=not_taken)


def meet(spec: LossSpec, opponent: Opponent, case_name: str, case: Case, value: float) -> Meeting:
    """Both on a case, and their gradients along random directions."""
    try:
        theirs, gradient = opponent.on(case)
    except NotTaken:
        raise
    except Exception as error:
        said = f'{type(error).__name__}: {" ".join(str(error).split())[:160]}'
        return Meeting(case_name, case, value, float('nan'), error=said)
    if gradient is None:
        return Meeting(case_name, case, value, theirs)
    norm = float(np.linalg.norm(gradient))
    pairs = [(slope, float((gradient * d).sum())) for slope, d in our_slopes(spec, case)] if np.isfinite(value) else []
    if not pairs:
        return Meeting(case_name, case, value, theirs, norm=norm)
    ours, of_theirs = np.array(pairs).T
    return Meeting(case_name, case, value, theirs, ours, of_theirs, norm)


def our_slopes(spec: LossSpec, case: Case) -> Iterator[tuple[float, np.ndarray]]:
    """(slope, direction) of the reference wherever it is smooth."""
    finite = np.where(np.isfinite(case.pred), case.pred, 0)
    own = with_logits(spec, case)
    near = own.reference_near(finite, case.target, case.weight, ignore_index=case.call_ignore_index)
    if near is None:
        return
    rng = np.random.default_rng(0)
    for _ in range(DIRECTIONS):
        direction = rng.choice([-1.0, 1.0], finite.shape)
        try:
            slope = along(near, finite, direction, 2.0**-9 if case.from_logits else 2.0**-12)
        except ValueError:
            return  # beyond the probabilities that there are
        if np.isfinite(slope):
            yield slope, direction


def of_ours(spec: LossSpec, case: Case) -> float:
    """The reference on a case; of logits where the case has logits, whatever the configuration takes."""
    own = with_logits(spec, case)
    return own.reference(case.pred, case.target, case.weight, ignore_index=case.call_ignore_index)


def with_logits(spec: LossSpec, case: Case) -> LossSpec:
    return spec if shared(spec, 'from_logits') == case.from_logits else replay.on_case(spec, case)


def values_of(spec: LossSpec, meetings: Sequence[Meeting]) -> np.ndarray:
    """What another configuration of ours says of the same cases; NaN where it refuses one."""
    found = []
    for meeting in meetings:
        try:
            found.append(of_ours(spec, meeting.case))
        except ValueError:
            found.append(float('nan'))
    return np.array(found)
