"""How a function of others wants to be called: whose tensors, which argument first, which layout, labels and activation."""

import contextlib
import dataclasses
import io
import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from segparity.loading import parameters, short
from segparity.recognise import tensors
from segparity.recognise.clock import TooSlow
from segparity.recognise.probes import Probe, apart

LABELS = ('true', 'target', 'label', 'mask', 'gt', 'ground', 'truth', 'gold', 'ref')
PREDICTIONS = ('pred', 'logit', 'prob', 'output', 'input', 'score', 'hat', 'net')
LAYOUTS = {
    'first': '(N, C, H, W)', 'last': '(N, H, W, C)', 'none': '(N, H, W)', 'flat': '(pixels,)', 'flat_last': '(pixels, C)',
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Convention:
    """One way to call a function.

    layout: 'first', 'last', 'none' (no channel axis), 'flat' or 'flat_last'; form of the labels: 'maps' like the
    prediction, 'ids' as integers in its shape (one channel) or (N, H, W), 'ids_axis' with a channel axis of length 1.
    takes: 'probabilities' or 'logits', which ``activation`` turns into probabilities.
    """

    kind: str
    labels_first: bool
    layout: str
    form: str
    takes: str
    activation: str
    channels: int
    dtype: str = 'float64'
    device: str = 'cpu'

    def pred(self, probe: Probe) -> np.ndarray:
        """What the function is given as its prediction, in its layout."""
        if self.takes == 'probabilities':
            return self.arrange(probe.prob)
        return self.arrange(probe.softmax_logits if self.activation == 'softmax' else probe.sigmoid_logits)

    def target(self, probe: Probe) -> np.ndarray:
        if self.form == 'maps':
            return self.arrange(probe.target)
        ids = probe.ids
        if self.form == 'ids_axis':
            return ids[:, None] if self.layout == 'first' else ids[..., None]
        if self.channels == 1:
            return self.arrange(ids[:, None])
        return ids.reshape(-1) if self.layout == 'flat_last' else ids

    def arrange(self, maps: np.ndarray) -> np.ndarray:
        """(N, C, H, W) -> the layout."""
        if self.layout == 'first':
            return maps
        if self.layout == 'none':
            return maps[:, 0]
        if self.layout == 'flat':
            return maps.reshape(-1)
        last = maps.transpose(0, 2, 3, 1)
        return last.reshape(-1, last.shape[-1]) if self.layout == 'flat_last' else last

    def back(self, found: np.ndarray, probe: Probe) -> np.ndarray:
        """What ``arrange`` gave, as (N, C, H, W)."""
        n, c, h, w = probe.prob.shape
        if self.layout in ('last', 'flat_last'):
            return found.reshape(n, h, w, c).transpose(0, 3, 1, 2)
        return found.reshape(n, c, h, w)

    @property
    def independent(self) -> bool:
        """Whether each channel has a sigmoid of its own, so that the channels do not add up to 1."""
        return self.channels > 1 and self.takes == 'logits' and self.activation == 'sigmoid'

    def suited(self, probes: list[Probe]) -> list[Probe]:
        """The probes, or such with independent channels where the function takes a sigmoid of each."""
        return apart(probes, self.form == 'maps') if self.independent else probes

    def words(self) -> dict[str, str]:
        """The convention as facts to print."""
        labels = {
            'maps': 'one map per class, like the prediction',
            'ids': 'class ids',
            'ids_axis': 'class ids with a channel axis',
        }
        if self.channels == 1:
            labels['maps'] = 'a map of 0 and 1, like the prediction'
        of = 'the sigmoid is' if self.activation == 'sigmoid' or self.channels == 1 else 'the softmax is'
        return dict(
            arguments='labels, prediction' if self.labels_first else 'prediction, labels',
            layout=LAYOUTS[self.layout],
            labels=labels[self.form],
            takes='probabilities' if self.takes == 'probabilities' else f'logits ({of} inside)',
        )


class Caller:
    """Calls a function, and remembers what there is to say of it.

    prints, mutates: whether it was seen to; shapes: of the results that were no single number.
    """

    def __init__(self, function: Any, seconds: float = 60.0) -> None:
        self.function, self.left = function, seconds
        self.deadline = float('inf')  # of the clock
        self.prints = self.mutates = False
        self.shapes: set[tuple[int, ...]] = set()
        self.calls = 0

    def value(self, convention: Convention, pred: np.ndarray, target: np.ndarray) -> float:
        """The mean of what the function returns; NaN stays. Raises whatever the function raises, or TooSlow."""
        with self._quiet():
            given, labels = self._pred(convention, pred), self._labels(convention, target)
            found = tensors.array(self._call(convention, given, labels))
            if convention.kind in ('numpy', 'torch') and not self.mutates:
                before = self._pred(convention, pred), self._labels(convention, target)
                self.mutates = not all(
                    np.array_equal(tensors.array(a), tensors.array(b), equal_nan=True)
                    for a, b in zip((given, labels), before)
                )
            return float(np.mean(found))

    def on(self, convention: Convention, probe: Probe) -> float:
        return self.value(convention, convention.pred(probe), convention.target(probe))

    def gradient(self, convention: Convention, pred: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """In the shape of ``pred``; None where the framework has no gradients."""
        with self._quiet():
            labels = self._labels(convention, target)
            return tensors.gradient(
                convention.kind, lambda x: self._call(convention, x, labels), pred, convention.dtype
            )

    def _pred(self, convention: Convention, pred: np.ndarray) -> Any:
        return tensors.tensor(convention.kind, pred, convention.dtype)

    def _labels(self, convention: Convention, target: np.ndarray) -> Any:
        return tensors.tensor(convention.kind, target, '' if target.dtype.kind in 'iu' else convention.dtype)

    def _call(self, convention: Convention, pred: Any, labels: Any) -> Any:
        if convention.device != 'cpu':
            pred, labels = pred.to(convention.device), labels.to(convention.device)
        for name in ('reset_state', 'reset'):  # of a metric that would add up its calls
            if callable(getattr(self.function, name, None)):
                getattr(self.function, name)()
        found = self.function(labels, pred) if convention.labels_first else self.function(pred, labels)
        if hasattr(found, '__await__'):
            found.close()
            raise TypeError('returned a coroutine: it is an async function')
        with contextlib.suppress(TypeError, AttributeError):
            if tuple(found.shape):
                self.shapes.add(tuple(int(size) for size in found.shape))
        return found

    @contextlib.contextmanager
    def _quiet(self) -> Any:
        if self.left <= 0:
            raise TooSlow('its calls take too long')
        if time.monotonic() > self.deadline:
            raise TooSlow('the time is over')
        self.calls += 1
        start, said = time.perf_counter(), io.StringIO()
        try:
            with (
                contextlib.redirect_stdout(said),
                contextlib.redirect_stderr(said),
                warnings.catch_warnings(),
                np.errstate(all='ignore'),
            ):
                warnings.simplefilter('ignore')
                yield
        except SystemExit as error:
            raise RuntimeError('it ends the program') from error
        finally:
            self.left -= time.perf_counter() - start
            self.prints = self.prints or bool(said.getvalue().strip())


def order_of_names(function: Any) -> bool | None:
    """Whether the names of the first two parameters say that labels come first; None where they say nothing."""
    names = [p.name.lower() for p in parameters(function)][:2]
    if len(names) < 2:
        return None

    def looks(name: str, words: Iterable[str]) -> bool:
        return (
            any(word in name for word in words)
            or (name in ('y', 't') and words is LABELS)
            or (name in ('x', 'p', 'logits') and words is PREDICTIONS)
        )

    first, second = names
    if (looks(first, LABELS) and not looks(first, PREDICTIONS)) or (
        looks(second, PREDICTIONS) and not looks(second, LABELS)
    ):
        return True
    if (looks(first, PREDICTIONS) and not looks(first, LABELS)) or (
        looks(second, LABELS) and not looks(second, PREDICTIONS)
    ):
        return False
    return None


def candidates(
    function: Any, channels: int, kind: str, dtype: str = 'float64', device: str = 'cpu'
) -> list[Convention]:
    """Every convention worth a call, the likeliest first."""
    named = order_of_names(function)
    keras = tensors.of_keras(function) or kind == 'tensorflow'
    orders = [named, not named] if named is not None else [keras, not keras]
    many = channels > 1
    if many:
        layouts = ['last', 'first', 'flat_last'] if keras or kind == 'numpy' else ['first', 'last', 'flat_last']
    else:
        layouts = ['last', 'first', 'none', 'flat'] if keras or kind == 'numpy' else ['first', 'none', 'last', 'flat']
    guess = [p.name.lower() for p in parameters(function)][:2]
    takes = (
        ['logits', 'probabilities']
        if any('logit' in g for g in guess) or (kind == 'torch' and not keras)
        else ['probabilities', 'logits']
    )
    found = []
    for labels_first in orders:
        for form in ('maps', 'ids', 'ids_axis'):
            for layout in layouts:
                if form == 'ids_axis' and layout not in ('first', 'last'):
                    continue
                for what in takes:
                    for activation in ('softmax', 'sigmoid') if many and what == 'logits' else ('softmax',):
                        if form == 'ids_axis' and not many:
                            continue  # what 'ids' is for one channel
                        found.append(
                            Convention(
                                kind, bool(labels_first), layout, form, what, activation, channels, dtype, device
                            )
                        )
    return found


@dataclasses.dataclass
class Group:
    """Conventions under which a function gives the same numbers, the likeliest first."""

    conventions: list[Convention]
    scouted: np.ndarray
    values: np.ndarray | None = None

    @property
    def convention(self) -> Convention:
        return self.conventions[0]


def groups(caller: Caller, found: Iterable[Convention], scouts: list[Probe], errors: dict[str, str]) -> list[Group]:
    """The conventions that work, those of equal numbers together; what the others raise is added to ``errors``,
    error -> the first convention."""
    grouped: list[Group] = []
    broken: set[tuple[Any, ...]] = set()
    for convention in found:
        place = (convention.kind, convention.labels_first, convention.layout, convention.form, convention.dtype)
        if place in broken:
            continue
        try:
            values = np.array([caller.on(convention, probe) for probe in scouts])
        except (TooSlow, KeyboardInterrupt):
            raise
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
                raise
            broken.add(place)
            words = convention.words()
            errors.setdefault(short(error, 120), f'{words["arguments"]}, {words["layout"]}, {words["labels"]}')
            continue
        if not np.isfinite(values).all():
            words = convention.words()
            errors.setdefault(
                'it gives NaN or infinity for ordinary labels and predictions',
                f'{words["arguments"]}, {words["layout"]}, {words["labels"]}',
            )
            continue
        scale = np.abs(values).max() or 1.0
        same = [g for g in grouped if np.abs(g.scouted - values).max() <= 1e-6 * scale]
        if same:
            same[0].conventions.append(convention)
        else:
            grouped.append(Group([convention], values))
    return grouped
