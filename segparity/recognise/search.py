"""Which form, with which parameters, gives the numbers of a function: the simple ones first."""

import dataclasses
import time
from collections.abc import Iterable, Iterator

import numpy as np

from segparity.recognise.fit import solve, weights_of
from segparity.recognise.forms import CrossEntropy, Region
from segparity.recognise.probes import Probe
from segparity.recognise.simple import simple
from segparity.recognise.sums import Sums

ENOUGH = 2e-6  # of the largest value: what float32 leaves of an exact fit


@dataclasses.dataclass
class Fit:
    """A function as weights of columns. theta: of each region, then of the cross-entropy; error: largest, relative."""

    regions: tuple[Region, ...]
    ce: CrossEntropy | None
    theta: np.ndarray
    weights: list[np.ndarray]  # of each region, then of the cross-entropy
    offset: float
    error: float

    def parts(self) -> list[np.ndarray]:
        return _split(self.regions, self.ce, self.theta)


def _split(regions: Iterable[Region], ce: CrossEntropy | None, theta: np.ndarray) -> list[np.ndarray]:
    """theta (..., T) -> that of each part."""
    found, at = [], 0
    for region in regions:
        size = len(region.starts[0])
        found.append(theta[..., at : at + size])
        at += size
    return [*found, theta[..., at:]] if ce is not None else found


def columns(sums: Sums, regions: tuple[Region, ...], ce: CrossEntropy | None, theta: np.ndarray) -> list[np.ndarray]:
    """theta (B, T) -> the columns (B, K, J) of each part."""
    parts = _split(regions, ce, theta)
    found = [region.columns(sums, part) for region, part in zip(regions, parts)]
    return [*found, ce.columns(sums, parts[-1])] if ce is not None else found


def fit(
    sums: Sums,
    values: np.ndarray,
    regions: tuple[Region, ...],
    ce: CrossEntropy | None = None,
    starts: list[list[float]] | None = None,
    best: int = 3,
    two: bool = True,
) -> Fit:
    """The best fit of one form; ``two``: its smooth may differ above and below the line."""
    if starts is None:
        lists = [[s for s in region.starts if len(regions) == 1 or _usual(s)] for region in regions]
        lists += [ce.starts(sums.prob.shape[2])] if ce is not None else []
        starts = [[]]
        for some in lists:
            starts = [[*a, *b] for a in starts for b in some]

    def all_columns(theta: np.ndarray) -> np.ndarray:
        return np.concatenate(columns(sums, regions, ce, theta), 2)

    solution = None
    if len(regions) == 1:  # with one smooth above and below the line, which is the rule and found more surely
        one = [[start[0], *start[2:]] for start in starts if start[0] == start[1]]
        if one:
            solution = solve(lambda t: all_columns(np.concatenate([t[:, :1], t], 1)), values, one, best=best)
            solution = solution._replace(theta=np.concatenate([solution.theta[:1], solution.theta]))
    if solution is None or (solution.error > ENOUGH and two):
        freely = solve(all_columns, values, starts, best=best)
        solution = freely if solution is None or freely.error < solution.error else solution
    sizes = np.cumsum([part.shape[2] for part in columns(sums, regions, ce, solution.theta[None])])
    weights = np.split(solution.weights, sizes)
    return Fit(regions, ce, solution.theta, weights[:-1], float(solution.weights[-1]), solution.error)


def _usual(start: list[float]) -> bool:
    """The starts of a part of a sum, where every pair is tried: smooth 1/2 of Dice and of Jaccard."""
    return start[0] == start[1] and start[0] > -16 and start[2] == start[3]


def regions(c: int, transforms: Iterable[str] = ('linear',), pred: str = 'prob') -> Iterator[Region]:
    """The scores that a loss of ``c`` channels may be made of."""
    for transform in transforms:
        for means in (False, True):
            for cells in ('D', 'I', 'pooled D', 'pooled I', 'pixels') if c > 1 else ('D', 'I', 'pixels'):
                by_class = cells in ('D', 'I') and not means
                counts = ['all', 'present', 'masked'] if by_class else ['all']
                counts += ['present of class'] if cells == 'I' and by_class and c > 1 else []
                for counting in counts:
                    for norm in (1, 2):
                        drops = (False, True) if transform.startswith('then') and c > 1 and by_class else (False,)
                        for dropped in drops:
                            yield Region(norm, cells, counting, means, transform, dropped, pred)


def entropies(c: int) -> Iterator[CrossEntropy]:
    """The cross-entropies that a loss of ``c`` channels may be, the simple ones first."""
    for smoothing in (False, True):
        for reduce in ('mean', 'sum', 'image sum'):
            if c > 1:
                yield CrossEntropy(binary=False, smoothing=smoothing, reduce=reduce)
            yield CrossEntropy(binary=True, smoothing=smoothing, reduce=reduce)
        yield CrossEntropy(binary=False, smoothing=smoothing, normalised=True)
    for binary in (False, True) if c > 1 else (True,):
        yield CrossEntropy(binary=binary, focal=True)
    for error in ('squared', 'absolute'):
        yield CrossEntropy(binary=False, error=error)


def exact(sums: Sums, values: np.ndarray, which: str, until: float = float('inf')) -> Iterator[Fit]:
    """Every form that gives the values, the simple ones first.

    which: 'simple': one score or cross-entropy, or the error of pixels; 'thorough': powers, logarithms and sums of two;
    'brief': the commonest of these; 'hard': scores of thresholded predictions. until: when it ends, in seconds of the
    process.
    """
    for some, ce in {'simple': _simple, 'thorough': _thorough, 'brief': _brief, 'hard': _hard}[which](
        sums.prob.shape[2]
    ):
        if time.process_time() > until:
            return
        plain = all(r.norm == 1 and r.counting == 'all' and r.transform in ('linear', 'power') for r in some)
        found = fit(sums, values, some, ce, two=which == 'simple' or plain)
        if found.error < ENOUGH and sensible(found):
            yield found


def sensible(found: Fit) -> bool:
    """Whether the parameters are of a size that means something."""
    for theta in found.parts()[: len(found.regions)]:
        power = theta[4] if len(theta) > 4 else 1.0
        if not (0.05 < power < 20 and -1e-6 < theta[2] < 100 and -1e-6 < theta[3] < 100):
            return False
    return found.ce is None or not found.ce.focal or 0 < found.theta[-1] < 20


Form = tuple[tuple[Region, ...], CrossEntropy | None]


def _simple(c: int) -> Iterator[Form]:
    for ce in entropies(c):
        yield (), ce
    for region in regions(c):
        yield (region,), None


def _hard(c: int) -> Iterator[Form]:
    yield (), CrossEntropy(binary=False, error='hard')
    for pred in ('hard', 'over half') if c > 1 else ('hard',):
        for region in regions(c, pred=pred):
            if region.norm == 1 and not region.means:  # of zeros and ones
                yield (region,), None


def _plain(c: int) -> list[CrossEntropy]:
    return [ce for ce in (CrossEntropy(False), CrossEntropy(True)) if c > 1 or ce.binary]


def _brief(c: int) -> Iterator[Form]:
    for ce in _plain(c):
        for kind in ('pooled D', 'pooled I') if c > 1 else ('D', 'I'):
            for norm in (1, 2):
                yield (Region(norm=norm, cells=kind),), ce
    for kind in ('pooled D', 'pooled I') if c > 1 else ('D', 'I'):
        for transform in ('power', 'log', 'then log cosh'):
            yield (Region(cells=kind, transform=transform),), None


def _thorough(c: int) -> Iterator[Form]:
    yield from _brief(c)
    for ce in _plain(c):
        for region in regions(c):
            if not region.means and region.cells != 'pixels':
                yield (region,), ce
    for region in regions(c, ('power', 'log', 'then log cosh', 'then power', 'then log')):
        yield (region,), None
    for ce in _plain(c):
        for kind in ('D', 'I', *(('pooled D', 'pooled I') if c > 1 else ())):
            yield (Region(cells=kind),), dataclasses.replace(ce, twice=True)
            yield (Region(cells=kind, pred='logits'),), ce
    for ce in [ce for ce in entropies(c) if ce not in _plain(c)]:
        for region in (Region(), Region(norm=2), Region(cells='I'), Region(norm=2, cells='I')):
            yield (region,), ce
    for some in pairs(c):
        yield some, None
    for ce in _plain(c):
        for region in regions(c):
            if region.means or region.cells == 'pixels':
                yield (region,), ce
        for region in regions(c, ('power', 'log', 'then log cosh')):
            yield (region,), ce


def pairs(c: int) -> Iterator[tuple[Region, ...]]:
    """Sums of two scores of the same cells, and of a score and a power of one."""
    for cells in ('D', 'I', *(('pooled D', 'pooled I') if c > 1 else ())):
        yield Region(cells=cells), Region(cells=cells)
        yield Region(cells=cells), Region(cells=cells, transform='power')
        yield Region(cells=cells), Region(cells=cells, norm=2)


CLIPS = 0.0, 1e-7, 1e-6, 1e-8, 1e-5, 1e-10, 1e-12


def refine(found: Fit, probes: list[Probe], values: np.ndarray) -> tuple[Fit, float]:
    """(the same form with a ``smooth`` that vanishing classes tell, where it clips probabilities or 0)."""
    (region,), theta = found.regions, found.theta
    decades = [np.log(10.0) * k for k in range(-14, -3)]
    low = -200.0
    pairs_ = [(d, d) for d in decades] + [(low, d) for d in decades] + [(low, low), (theta[0], theta[1])]
    pairs_ += [(d + np.log(2), d) for d in decades]
    starts = [[*pair, *theta[2:]] for pair in pairs_]
    for clip in CLIPS:
        better = fit(Sums(probes, clip), values, (region,), found.ce, starts, best=3)
        if better.error < ENOUGH:
            return better, clip
    return found, 0.0


def tidy(found: Fit, sums: Sums, values: np.ndarray) -> Fit:
    """The same fit with simple numbers, where these fit as well; first with one smooth above and below the line."""
    for enough in (max(1e-9, 3 * found.error), ENOUGH):
        for one in (True, False):
            better = _simplified(found, sums, values, one)
            if better.error < enough:
                return better
    return found


def _simplified(found: Fit, sums: Sums, values: np.ndarray, one: bool) -> Fit:
    theta, at = found.theta.copy(), 0
    for region in found.regions:
        size = len(region.starts[0])
        smooth = np.exp(np.clip(theta[at : at + 2], -300, 30))
        if one and smooth[0] > 1e-13:
            smooth[:] = smooth.mean() if np.ptp(smooth) < 1e-3 * smooth.max() else smooth[1]
        smooth = np.array([0.0 if s < 3e-14 else simple(s, 1e-2 if s < 1e-4 else 2e-5) for s in smooth])
        rest = [simple(t, 2e-5) for t in theta[at + 2 : at + size]]
        theta[at : at + size] = [*np.log(np.maximum(smooth, 1e-300)), *rest]
        at += size
    if found.ce is not None and found.ce.normalised:
        theta[at:] = np.log([simple(float(np.exp(t)), 2e-5) for t in theta[at:]])
    elif found.ce is not None:
        theta[at:] = [simple(t, 2e-5) for t in theta[at:]]
    with np.errstate(all='ignore'):
        parts = [part[0] for part in columns(sums, found.regions, found.ce, theta[None])]
    scale = float(np.abs(values).max()) or 1.0
    weights, left = weights_of(np.concatenate(parts, 1), values / scale)
    pieces = np.split(weights * scale, np.cumsum([p.shape[1] for p in parts]))
    return Fit(found.regions, found.ce, theta, pieces[:-1], float(pieces[-1][0]), float(np.abs(left).max()))
