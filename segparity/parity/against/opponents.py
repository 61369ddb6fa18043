"""What a loss of ours is compared with: an ``Opponent`` gives its value and gradient on a case.

A function of the user is one kind. Another library is one more: a class with the same two methods, found in ``opponent``.
"""

import contextlib
import dataclasses
import inspect
import itertools
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from segparity.loading import load_function
from segparity.parity.against import tensors
from segparity.parity.cases import Case

LABELS = ('true', 'target', 'label', 'mask', 'gt', 'truth')
PREDICTIONS = ('pred', 'logit', 'prob', 'output', 'input', 'score')
LAYOUTS = {'first': '(N, C, *space)', 'last': '(N, *space, C)', 'none': '(N, *space)'}


class NotTaken(Exception):
    """A case that an implementation is not meant for; why, as words that follow 'not compared: '."""


class Opponent(Protocol):
    """Another implementation of a loss."""

    name: str

    def fit(self, cases: Sequence[Case], softmax: bool, ours: Sequence[float]) -> str:
        """Finds how it is called on cases of one number of channels; returns that in words. ValueError where it cannot be."""
        ...

    def on(self, case: Case) -> tuple[float, np.ndarray | None]:
        """(value, gradient with respect to ``case.pred``, or None where that is not known) of a case like those of ``fit``.

        Raises NotTaken for a case that it is not meant for, and whatever the implementation raises.
        """
        ...


def opponent(target: str) -> Opponent:
    """The opponent that ``--against`` names; ValueError in one sentence where there is none."""
    return UserFunction(load_function(target), target)


@dataclasses.dataclass(frozen=True)
class Convention:
    """One way to call a function: whose tensors, which argument first, which layout, labels and predictions."""

    kind: str
    labels_first: bool
    layout: str
    maps: bool  # labels as one map for each class; else class ids
    logits: bool
    softmax: bool
    double: bool = True

    def words(self) -> str:
        order = 'labels, predictions' if self.labels_first else 'predictions, labels'
        labels = 'a map for each class' if self.maps else 'class ids'
        return (
            f'called as ({order}) with {self.kind} tensors {LAYOUTS[self.layout]}, labels as {labels}, predictions as '
            f'{"logits" if self.logits else "probabilities"}'
        )

    def arranged(self, maps: np.ndarray) -> np.ndarray:
        return np.moveaxis(maps, 1, -1) if self.layout == 'last' else maps[:, 0] if self.layout == 'none' else maps

    def back(self, found: np.ndarray) -> np.ndarray:
        """(N, C, *space) of what ``arranged`` gave."""
        return (
            np.moveaxis(found, -1, 1) if self.layout == 'last' else found[:, None] if self.layout == 'none' else found
        )

    def prediction(self, case: Case) -> np.ndarray:
        if self.logits:
            return self.arranged(case.pred if case.from_logits else logits_of(case.pred, self.softmax))
        return self.arranged(probabilities_of(case.pred, self.softmax) if case.from_logits else case.pred)

    def labels(self, case: Case) -> np.ndarray:
        channels = case.pred.shape[1]
        if not self.maps:
            if case.labels == 'soft' and case.target.ndim == case.pred.ndim and channels > 1:
                raise NotTaken('it takes class ids')
            return case.target if case.target.dtype.kind == 'f' else case.target.astype(np.int64)
        return self.arranged(maps_of(case))


class UserFunction:
    """A function of labels and predictions, in whatever order, layout and framework."""

    def __init__(self, function: Any, name: str) -> None:
        self.function, self.name = function, name
        self.convention: Convention | None = None

    def fit(self, cases: Sequence[Case], softmax: bool, ours: Sequence[float]) -> str:
        if any(case.weight is not None for case in cases):
            raise ValueError(f'{self.name} is given labels and predictions alone, leave the weights out of the data')
        errors: list[str] = []
        found: list[tuple[float, int, Convention]] = []
        many = cases[0].pred.shape[1] > 1
        for place, convention in enumerate(self.candidates(many, softmax)):
            if found and not convention.double:
                break  # float32 is for what refuses float64
            try:
                values = np.array([self.value(convention, case) for case in cases])
            except Exception as error:
                errors.append(f'{type(error).__name__}: {" ".join(str(error).split())[:120]}')
                continue
            if np.isfinite(values).any():
                found.append((misfit(values, np.array(ours)), place, convention))
        if not found:
            why = ' or '.join(list(dict.fromkeys(errors))[:2]) or 'it is NaN'
            raise ValueError(f'{self.name} cannot be called on labels and predictions ({why})')
        self.convention = min(
            found, key=lambda entry: (sum(entry[0] > limit for limit in (1e-5, 0.05, 0.3)), entry[1])
        )[2]
        return self.convention.words()

    def candidates(self, many: bool, softmax: bool) -> Iterator[Convention]:
        """Every convention, the likeliest first."""
        named = order_of(self.function)
        inside = activates(self.function)
        for kind in tensors.kinds_of(self.function):
            keras = tensors.of_keras(self.function, kind)
            orders = (named,) if named is not None else (keras, not keras)
            layouts = (
                *(('last', 'first') if keras or kind == 'numpy' else ('first', 'last')),
                *(() if many else ('none',)),
            )
            takes = (True, False) if inside else (False, True)
            ways = itertools.product((True, False), orders, (True, False), layouts, takes)
            for double, labels_first, maps, layout, logits in ways:
                yield Convention(kind, bool(labels_first), layout, maps, logits, softmax and many, double)

    def value(self, convention: Convention, case: Case) -> float:
        with quiet():
            return tensors.number(
                self.call(convention, tensors.tensor(convention.kind, self.pred(convention, case)), case)
            )

    def pred(self, convention: Convention, case: Case) -> np.ndarray:
        return convention.prediction(case).astype(np.float64 if convention.double else np.float32)

    def call(self, convention: Convention, pred: Any, case: Case) -> Any:
        labels = convention.labels(case)
        if labels.dtype.kind == 'f':
            labels = labels.astype(np.float64 if convention.double else np.float32)
        target = tensors.tensor(convention.kind, labels)
        return self.function(target, pred) if convention.labels_first else self.function(pred, target)

    def on(self, case: Case) -> tuple[float, np.ndarray | None]:
        convention = self.convention
        if convention is None:
            raise RuntimeError('fit comes first')
        value = self.value(convention, case)
        if convention.logits and not case.from_logits:
            return value, None
        with quiet():
            found = tensors.gradient(
                convention.kind, lambda x: self.call(convention, x, case), self.pred(convention, case)
            )
        if found is None:
            return value, None
        found = convention.back(found)
        return value, found if convention.logits or not case.from_logits else through(
            found, case.pred, convention.softmax
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What a function prints goes to the standard error, its warnings nowhere."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')
        yield


def order_of(function: Any) -> bool | None:
    """Whether the names of its parameters say that labels come first; None where they say nothing."""
    inner = getattr(function, 'forward', None) or getattr(function, 'call', None) or function
    try:
        names = [name.lower() for name in inspect.signature(inner).parameters][:2]
    except (ValueError, TypeError):
        return None
    labels = [any(word in name for word in LABELS) for name in names]
    predictions = [any(word in name for word in PREDICTIONS) for name in names]
    if len(names) < 2 or labels == predictions:
        return None
    return (labels[0] and not labels[1]) or (predictions[1] and not predictions[0])


def activates(function: Any) -> bool:
    """Whether a function's text speaks of logits or of what becomes of them."""
    inner = getattr(function, 'forward', None) or getattr(function, 'call', None) or function
    try:
        return bool(re.search('sigmoid|softmax|logit', inspect.getsource(inner)))
    except (OSError, TypeError):
        return False


def misfit(theirs: np.ndarray, ours: np.ndarray) -> float:
    """How far ``theirs`` is from a line in ``ours``, of what it varies; 0 for a loss that is ours but for sign, factor, offset."""
    good = np.isfinite(theirs) & np.isfinite(ours)
    if good.sum() < 3 or np.ptp(theirs[good]) < 1e-12:
        return 1.0
    design = np.stack([ours[good], np.ones(good.sum())], 1)
    rest = theirs[good] - design @ np.linalg.lstsq(design, theirs[good], rcond=None)[0]
    return float(np.abs(rest).max() / np.ptp(theirs[good])) + 0.1 * float((~good).any())


def maps_of(case: Case) -> np.ndarray:
    """Labels (N, C, *space) as float maps, ignored pixels 0 everywhere."""
    channels = case.pred.shape[1]
    target = case.target
    if target.ndim == case.pred.ndim and target.shape[1] == channels:
        return target.astype(np.float64)
    ids = target.reshape(len(target), *case.pred.shape[2:])
    if channels == 1:
        return np.where(ids == case.ignore_index, 0, ids).astype(np.float64)[:, None]
    return (ids[:, None] == np.arange(channels).reshape(-1, *[1] * (ids.ndim - 1))).astype(np.float64)


def probabilities_of(logits: np.ndarray, softmax: bool) -> np.ndarray:
    if softmax:
        e = np.exp(logits - logits.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)
    return np.exp(-np.logaddexp(0, -logits))


def logits_of(prob: np.ndarray, softmax: bool) -> np.ndarray:
    with np.errstate(divide='ignore'):
        return np.log(prob) if softmax else np.log(prob) - np.log1p(-prob)


def through(gradient: np.ndarray, logits: np.ndarray, softmax: bool) -> np.ndarray:
    """The gradient with respect to logits of one with respect to probabilities."""
    p = probabilities_of(logits, softmax)
    return p * (gradient - (p * gradient).sum(1, keepdims=True)) if softmax else p * (1 - p) * gradient
