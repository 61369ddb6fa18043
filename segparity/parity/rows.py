"""What a parity check compares, and what it found: a ``Job`` and a ``Row``."""

import dataclasses
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from segparity.parity.cases import Case
from segparity.parity.tolerances import GRADIENT, VALUE
from shared_spec import LossSpec

Reference = tuple[float, np.ndarray | None]  # value and gradient


@dataclasses.dataclass(frozen=True)
class Row:
    """The worst differences of one loss in one framework, way and precision; ``worst`` names the case of the first."""

    name: str
    framework: str
    dtype: str
    value_error: float
    grad_error: float
    cases: int
    worst: str = ''
    error: str = ''
    way: str = ''
    gradient_tolerance: float | None = None  # that of the precision

    @property
    def ok(self) -> bool:
        """Whether both differences are within the tolerances; False after an error or without a case."""
        largest = GRADIENT[self.dtype] if self.gradient_tolerance is None else self.gradient_tolerance
        return (
            not self.error and self.value_error <= VALUE[self.dtype] and self.grad_error <= largest and self.cases > 0
        )


class Job(NamedTuple):
    """One comparison: an example of a loss on a case. want: a Future of value and gradient, None for a large case.

    yours: a configuration or data of the user, which every way replays.
    """

    name: str
    example: str
    case_name: str
    spec: LossSpec
    case: Case
    want: Future[Reference] | None
    yours: bool = False

    @property
    def label(self) -> str:
        return f'{self.example}, {self.case_name}'


def side(framework: str) -> str:
    """The module that answers for ``framework`` in its worker."""
    return 'segparity.parity.torch_side' if framework == 'torch' else 'segparity.parity.keras_side'


def worse(old: Row | None, new: Row) -> Row:
    """Both rows in one: the larger differences, the number of cases added up."""
    if old is None:
        return new
    leading = max(
        old, new, key=lambda r: (bool(r.error), r.value_error / VALUE[r.dtype] + r.grad_error / GRADIENT[r.dtype])
    )
    return dataclasses.replace(
        leading,
        gradient_tolerance=old.gradient_tolerance or new.gradient_tolerance,
        value_error=max(old.value_error, new.value_error),
        grad_error=max(old.grad_error, new.grad_error),
        cases=old.cases + new.cases,
    )
