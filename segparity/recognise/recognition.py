"""What a function is: the search over conventions and forms, and its result."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from segparity.loading import function_of
from segparity.recognise import advice as advising
from segparity.recognise import nearest as nearest_of
from segparity.recognise import other_losses, tensors
from segparity.recognise.calls import Caller, Convention, Group, TooSlow, candidates, groups, order_of_names
from segparity.recognise.clock import ending
from segparity.recognise.confirm import TOLERANCE, Difference, difference, gradient_difference, values_of
from segparity.recognise.probes import Probe, apart, fitting, fresh, labels, one_hot, probabilities, tiny
from segparity.recognise.search import ENOUGH, Fit, columns, exact, refine, tidy
from segparity.recognise.search import fit as fit_form
from segparity.recognise.sums import Sums
from segparity.recognise.translate import Match, match
from shared_spec import LossSpec

MORE_CHANNELS = 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 19, 21, 150
PATIENCE = 8  # seconds of computing, for the search
EQUAL, ON_HARD, FLATTENED, DIFFERENT = 'equal', 'equal on hard labels', 'equal on flattened classes', 'different'


@dataclasses.dataclass
class Answer:
    """What a function is for predictions of ``channels`` channels.

    function = sign * spec + offset where ``verdict`` says so, else the spec is the nearest; ``reasons``: how it differs.
    """

    channels: int
    group: Group
    verdict: str
    spec: LossSpec | None
    sign: int = 1
    offset: float = 0.0
    difference: Difference | None = None
    reasons: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    equals: list[LossSpec] = dataclasses.field(default_factory=list)
    fit: Fit | None = None
    on_ids: bool = True  # whether class ids, which MMSegmentation hands over, give the same number

    @property
    def matched(self) -> bool:
        """Whether its form is known, so that how it is called is, too."""
        return self.equal or self.fit is not None

    @property
    def equal_in_mmseg(self) -> bool:
        return self.equal and self.on_ids

    @property
    def equal(self) -> bool:
        return self.verdict in (EQUAL, ON_HARD)

    @property
    def rank(self) -> int:
        return (EQUAL, ON_HARD, FLATTENED, DIFFERENT).index(self.verdict)


@dataclasses.dataclass
class Recognition:
    """The answers, the best first, and what is likely wrong with the function."""

    name: str
    framework: str
    answers: list[Answer]
    remarks: list[str]
    wrong: list[str]

    @property
    def equal(self) -> bool:
        """Whether the function equals a configuration of ours."""
        return bool(self.answers) and self.answers[0].equal

    @property
    def trains_the_wrong_way(self) -> bool:
        """Whether it is named like a loss, and larger for better predictions."""
        return any(sentence in (advising.SCORE_AS_LOSS, advising.BETTER_IS_LARGER) for sentence in self.wrong)

    @property
    def spec(self) -> LossSpec | None:
        """The configuration that the function equals, or the nearest; it reads what the function reads."""
        return self.answers[0].spec if self.answers else None


def recognise(
    function: Any,
    classes: int | None = None,
    seconds: float = 60.0,
    name: str = '',
    accept: Callable[[Convention], bool] | None = None,
    patience: float = PATIENCE,
    wall: float = float('inf'),
    progress: Callable[[str], None] | None = None,
) -> Recognition:
    """Which of our losses ``function`` equals, or how it differs from the nearest.

    function: what takes labels and prediction in either order, a class or a maker of such without arguments, or
    'MODULE:NAME' or 'FILE.py:NAME'. classes: the number of channels to try alone, else one and three. seconds: what the
    calls of the function may take, patience: of computing, the search, wall: on the clock, all of it about. progress: is
    told in a sentence that the search begins. accept: which ways to call it come into question,
    where more is known of it. TypeError where no way to call it works.
    """
    if isinstance(function, str):
        from segparity.loading import load

        name, function = name or function, load(function)
    name = name or getattr(function, '__name__', type(function).__name__)
    called, _ = function_of(function)
    caller = Caller(called, seconds)
    start = time.monotonic()
    caller.deadline = start + 0.5 * wall
    try:
        kind, tasks = conventions(caller, classes, name, accept or (lambda convention: True))
        steady = deterministic(caller, tasks[0])
    except TooSlow as error:
        raise TypeError(
            f'{name}: how to call it was not found before the time was over ({error}): give it more than '
            f'{min(seconds, wall):g} seconds'
        ) from error
    answers: list[Answer] = []
    remarks: list[str] = []
    if not steady:
        return Recognition(
            name,
            framework(called, kind),
            [],
            ['it gives different numbers for the same input'],
            ['It is random: nothing can be compared. Switch off what draws random numbers.'],
        )
    try:
        answers = answers_of_all(caller, tasks, remarks, patience, (start, wall), progress)
    except TooSlow as error:
        remarks.append(f'the search is not complete, it was stopped: {error}')
    caller.deadline = max(start + wall, time.monotonic() + 0.1 * wall)
    unused = advising.unused(tasks, order_of_names(called))
    answers.sort(key=lambda a: a.rank)
    if answers and answers[0].rank <= 2:  # for another number of channels it is perhaps not meant
        answers = [a for a in answers if a.fit is not None or a.equal]
    merge(answers)
    if any(a.equal and a.channels > 1 and has_class_weight(a.spec) for a in answers):
        answers = [a for a in answers if a.channels > 1]  # weights of classes, added up for one channel by broadcasting
    if answers and caller.left > 0:
        with contextlib.suppress(TooSlow):
            remarks += advising.remarks(caller, answers)
    wrong = unused or []
    if answers and not unused:
        try:
            wrong = advising.wrong(caller, answers, name, called)
        except TooSlow:
            remarks.append('there was no time left to look for what is likely wrong')
    return Recognition(name, framework(called, kind), answers, remarks, wrong)


def calling_convention(
    function: Any, spec: LossSpec, classes: int, seconds: float = 60.0
) -> tuple[Caller, Convention, Difference]:
    """(caller, convention, difference): of the ways to call ``function`` that work, the one that is nearest to ``spec``.

    function: an object as ``recognise`` takes it; ``caller.value(convention, pred, target)`` then calls it on arrays that
    ``convention.arrange`` has put in its layout. TypeError where no way works.
    """
    name = getattr(function, '__name__', type(function).__name__)
    caller = Caller(function_of(function)[0], seconds)
    _, tasks = conventions(caller, classes, name)
    plain = with_from_logits(spec, value=False)
    tried = []
    for group in tasks[0]:
        with contextlib.suppress(ValueError, TypeError):
            tried.append((difference(caller, group.convention, plain, 1, 0.0), group.convention))
    tried = [t for t in tried if np.isfinite(t[0].largest)]
    if not tried:
        raise TypeError(f'{name}: no way to call it is comparable with {type(spec).__name__}')
    apart, convention = min(tried, key=lambda t: t[0].typical)
    return caller, convention, apart


def with_from_logits(spec: LossSpec, value: bool) -> LossSpec:
    """The same loss of logits or of probabilities, and so its parts."""
    if type(spec).__name__ == 'WeightedSumLoss':
        parts: Any = tuple(with_from_logits(p, value) for p in getattr(spec, 'parts', ()))
        return type(spec)(losses=parts, weights=getattr(spec, 'shares', None), loss_weight=spec.loss_weight)
    if spec.needs_logits or spec.from_logits == value:
        return spec
    return dataclasses.replace(spec, from_logits=value)


def framework(function: Any, kind: str) -> str:
    """In words."""
    words = {'torch': 'PyTorch', 'tensorflow': 'TensorFlow', 'jax': 'JAX', 'numpy': 'NumPy'}[kind]
    return f'Keras on {words}' if tensors.of_keras(function) and kind == tensors.keras_backend() else words


def scouts(c: int) -> list[Probe]:
    """Four probes of the first shape, one, another prediction, other labels, both; and one of another shape."""
    rng = np.random.default_rng(3)
    p, q = (probabilities(rng, 2, c, 4, 5) for _ in range(2))
    y, z = (one_hot(labels(rng, 2, c, 4, 5), c) for _ in range(2))
    of_another_size = fresh(c, 4, count=2)[1]
    return [Probe(p, y), Probe(q, y), Probe(p, z), Probe(q, z), of_another_size]


def conventions(
    caller: Caller, classes: int | None, name: str, accept: Callable[[Convention], bool] = lambda convention: True
) -> tuple[str, list[list[Group]]]:
    """(kind of tensors, groups of conventions for each number of channels that works). TypeError where none does."""
    errors: dict[str, str] = {}
    for kind, dtype, device in ways(caller.function):

        def accepted(c: int, *way: str) -> list[Convention]:
            return [one for one in candidates(caller.function, c, *way) if accept(one)]

        found = []
        for c in [classes] if classes else [1, 3]:
            some = groups(caller, accepted(c, kind, dtype, device), scouts(c), errors)
            if some:
                found.append(some)
        if dtype == 'float64' and found and not any(first_order(caller.function, g) for some in found for g in some):
            likely = accepted(found[0][0].convention.channels, kind, 'float32', device)
            likely = [c for c in likely if c.labels_first == likely[0].labels_first]
            if any(uses(g) for g in groups(caller, likely, scouts(found[0][0].convention.channels), {})):
                continue  # an error of dtypes, not of the order
        used = [some for some in found if any(uses(g) for g in some)]
        if not classes and not any(some[0].convention.channels == 3 for some in used):
            for c in MORE_CHANNELS:
                some = groups(caller, accepted(c, kind, dtype, device), scouts(c), errors)
                if some and any(uses(g) for g in some):
                    used.insert(0, some)
                    break
        if used or found:
            return kind, used or found
    told = (
        '; '.join(f'{error} (with {way})' for error, way in list(errors.items())[:4])
        or 'it gives no finite number for ordinary labels and probabilities'
    )
    raise TypeError(f'{name}: no way to call it with labels and a prediction works ({told})')


def first_order(function: Any, group: Group) -> bool:
    """Whether the group has the likeliest order of the arguments."""
    convention = group.convention
    first = candidates(function, convention.channels, convention.kind)[0].labels_first
    return any(c.labels_first == first for c in group.conventions)


def ways(function: Any) -> Iterator[tuple[str, str, str]]:
    """(kind, dtype, device) to try."""
    for kind in tensors.kinds(function):
        for dtype in ('float64', 'float32'):
            yield kind, dtype, 'cpu'
        if kind == 'torch' and tensors.has_gpu():
            yield kind, 'float32', 'cuda'


def uses(group: Group) -> bool:
    """Whether the values depend on prediction and labels."""
    a, b, c, d = group.scouted[:4]
    scale = 1e-9 * max(np.abs(group.scouted).max(), 1e-30)
    return max(abs(a - b), abs(c - d)) > scale and max(abs(a - c), abs(b - d)) > scale


def deterministic(caller: Caller, found: list[Group]) -> bool:
    group = found[0]
    again = [caller.on(group.convention, probe) for probe in scouts(group.convention.channels)]
    return bool(np.allclose(again, group.scouted, rtol=1e-5, atol=1e-12))


def answers_of_all(
    caller: Caller,
    tasks: list[list[Group]],
    remarks: list[str],
    patience: float,
    clock: tuple[float, float] = (0.0, float('inf')),
    progress: Callable[[str], None] | None = None,
) -> list[Answer]:
    """The best answer for each number of channels, the simple forms first; others only where nothing is found."""
    searches = [Search(caller, found, order_of_names(caller.function)) for found in tasks]
    until = time.process_time() + patience
    for search in searches if patience < PATIENCE else ():
        search.until = until
    start, wall = clock
    ended = False  # by the clock

    @contextlib.contextmanager
    def within(share: float) -> Iterator[None]:
        nonlocal ended
        end = start + share * wall
        caller.deadline = end
        try:
            with ending(end):
                yield
        except TooSlow:
            if caller.left <= 0:
                raise
            ended = True

    if progress is not None:
        progress('the loss that gives its numbers is searched')
    with within(0.5):
        for tier in range(2):  # the order of the arguments that their names tell, then the other
            for search in searches:
                search.run(tier, simple_forms(search), until)
            for search in sorted(searches, key=lambda s: s.answer is None):
                brief = any(s.answer is not None and s.answer.rank <= 2 for s in searches)
                search.run(tier, thorough_forms(search, brief), until, enough=1)
            if any(s.answer is not None for s in searches):
                break
    if not any(s.answer is not None and s.answer.equal for s in searches):
        until = time.process_time() + PATIENCE / 2
        with within(0.8):
            for search in searches:
                search.others(until)
    if not any(s.answer is not None and s.answer.rank <= 2 for s in searches):
        with within(1.0):
            for search in searches:
                search.near([s.answer for s in searches if s.answer is not None])
    if ended:
        remarks.append(f'the search was ended by the clock, within {wall:g} seconds: it is not complete')
    if not any(s.answer is not None and s.answer.rank <= 2 for s in searches):
        if any(s.cut and (s.answer is None or s.answer.fit is None) for s in searches):
            remarks.append(f'the search was stopped after {patience:g} seconds of computing')
    return [s.answer for s in searches if s.answer is not None]


class Search:
    """What is found for one number of channels."""

    def __init__(self, caller: Caller, found: list[Group], labels_first: bool | None) -> None:
        self.caller, self.answer, self.cut = caller, None, False  # type: tuple[Caller, Answer | None, bool]
        self.channels, self.until = found[0].convention.channels, float('inf')
        self.plain: Sums = Sums(fitting(self.channels))
        self.apart: dict[str, Sums] = {}
        found = [g for g in found if uses(g)]
        pictures = [g for g in found if not g.convention.layout.startswith('flat')]
        found = [g for g in pictures or found if evaluated(caller, g, self.sums(g))]
        named = [g for g in found if any(c.labels_first == labels_first for c in g.conventions)]
        rest = [g for g in found if g not in named]
        self.tiers = [named, rest] if named else [found]
        self.stepwise = {id(g): stepwise(caller, g) for g in found}

    def sums(self, group: Group) -> Sums:
        """Of the probes that suit the group."""
        convention = group.convention
        if not convention.independent:
            return self.plain
        if convention.form not in self.apart:
            self.apart[convention.form] = Sums(convention.suited(self.plain.probes))
        return self.apart[convention.form]

    def run(self, tier: int, forms: Callable[[Group], Iterator[Fit]], until: float, enough: int = 6) -> None:
        """Takes the first answer that equals one of ours, else the best of those of a group whose form is known."""
        if self.answer is not None or tier >= len(self.tiers):
            return
        for group in self.tiers[tier]:
            known: list[Answer] = []
            for answer in answers_of(self.caller, group, self.sums(group), forms(group)):
                known.append(answer)
                if answer.equal or len(known) >= enough:
                    break
            if known:
                self.answer = min(known, key=lambda a: (a.rank, max(a.fit.error, 1e-8) if a.fit else 1.0))
                return
            if time.process_time() > until:
                self.cut = True
                return

    def others(self, until: float) -> None:
        """Tries our losses that are no form of the search."""
        some = [g for tier in self.tiers for g in tier if not self.stepwise[id(g)]]
        if (
            self.answer is not None
            and some
            and any(c.layout == some[0].convention.layout for c in self.answer.group.conventions)
        ):
            return
        if self.answer is not None:  # whose form is known, but of a less likely layout
            some = list(itertools.takewhile(lambda g: g is not self.answer.group, some))  # type: ignore[union-attr]
        for group in some[:4]:
            if time.process_time() > until:
                self.cut = True
                return
            found = other_losses.answer(self.caller, group, self.sums(group).probes, self.until)
            if found is not None:
                spec, sign, offset, apart = found
                hard = apart.soft is not None and not apart.equal_on_soft
                self.answer = Answer(self.channels, group, ON_HARD if hard else EQUAL, spec, sign, offset, apart)
                return

    def near(self, others: list[Answer]) -> None:
        """The nearest of ours, where none is equal or it is nearer than what the form suggests."""
        if self.answer is not None and self.answer.verdict == FLATTENED:
            return
        groups_ = [self.answer.group] if self.answer is not None else (self.tiers[0] or [])
        known = {a.group.convention.takes for a in others if a.matched and a is not self.answer}
        groups_ = [g for g in groups_ if g.convention.takes in known] or groups_  # as with another number of channels
        nearest = [n for n in (nearest_of.nearest(self.caller, g, self.sums(g)) for g in groups_) if n is not None]
        if not nearest:
            return
        group, spec, sign, offset, apart = min(nearest, key=lambda n: n[4].typical)
        if self.answer is None:
            self.answer = Answer(self.channels, group, DIFFERENT, spec, sign, offset, apart)
        elif self.answer.difference is None or not self.answer.difference.typical <= apart.typical:
            self.answer = dataclasses.replace(self.answer, spec=spec, sign=sign, offset=offset, difference=apart)


def simple_forms(search: Search) -> Callable[[Group], Iterator[Fit]]:
    return lambda g: exact(search.sums(g), finite(g), 'hard' if search.stepwise[id(g)] else 'simple', search.until)


def thorough_forms(search: Search, brief: bool) -> Callable[[Group], Iterator[Fit]]:
    return lambda g: (
        iter(()) if search.stepwise[id(g)] else exact(search.sums(g), finite(g), 'brief' if brief else 'thorough')
    )


def stepwise(caller: Caller, group: Group) -> bool:
    """Whether small changes of the prediction change nothing: it is thresholded."""
    for probe in scouts(group.convention.channels)[:2]:
        moved = 1e-5 * np.random.default_rng(1).normal(size=probe.prob.shape)
        moved -= moved.mean(1, keepdims=True) if probe.channels > 1 else 0.0
        if caller.on(group.convention, Probe(probe.prob + moved * 0.1, probe.target)) != caller.on(
            group.convention, probe
        ):
            return False
    return True


def evaluated(caller: Caller, group: Group, sums: Sums) -> bool:
    """Whether the group has finite values on the probes, which it then holds."""
    try:
        group.values = np.array([caller.on(group.convention, probe) for probe in sums.probes])
    except TooSlow:
        raise
    except Exception:
        return False
    return bool(np.isfinite(group.values).all()) and float(np.ptp(group.values)) > 1e-9 * float(
        np.abs(group.values).max()
    )


def finite(group: Group) -> np.ndarray:
    if group.values is None:
        raise ValueError('the group has no values')
    return group.values


def answers_of(caller: Caller, group: Group, sums: Sums, fits: Iterator[Fit]) -> Iterator[Answer]:
    """An answer for each fit that holds on fresh probes."""
    values, convention = finite(group), group.convention
    c = convention.channels
    for fit in fits:
        if not holds(caller, group, fit):
            continue
        clip = 0.0
        if len(fit.regions) == 1 and min(np.exp(fit.theta[:2])) < 3e-4:
            more = tiny(c)
            some = np.concatenate([values, [caller.on(convention, p) for p in more]])
            if np.isfinite(some).all():
                fit, clip = refine(fit, [*sums.probes, *more], some)
        fit = tidy(fit, sums, values)
        told_apart = convention.independent
        if any(r.cells.startswith('pooled') for r in fit.regions) and convention.takes == 'probabilities':
            fit, told_apart = of_independent(caller, group, sums, fit)
        found = match(fit, c, convention.activation if convention.takes == 'logits' else '', told_apart)
        if clip:
            found.notes.append(f'it keeps probabilities between {clip:g} and 1 - {clip:g}, which ours does not')
        yield judged(caller, group, found, fit)


def of_independent(caller: Caller, group: Group, sums: Sums, found: Fit) -> tuple[Fit, bool]:
    """(the same form fitted to probabilities that do not add up to 1, which tell FP from FN; whether it fits there)."""
    if group.convention.form != 'maps':
        return found, False
    others = Sums(apart(sums.probes, overlapping=True))
    values = np.array([caller.on(group.convention, p) for p in others.probes])
    if not np.isfinite(values).all():
        return found, False
    again = fit_form(others, values, found.regions, found.ce)
    return (tidy(again, others, values), True) if again.error < ENOUGH else (found, False)


def holds(caller: Caller, group: Group, fit: Fit) -> bool:
    """Whether the form itself gives the values of fresh probes."""
    probes = group.convention.suited(fresh(group.convention.channels, 5))
    values = np.array([caller.on(group.convention, p) for p in probes])
    with np.errstate(all='ignore'):
        parts = columns(Sums(probes), fit.regions, fit.ce, fit.theta[None])
    ours = sum(a[0] @ w for a, w in zip(parts, fit.weights)) + fit.offset
    return bool(np.abs(ours - values).max() <= 5 * TOLERANCE * max(np.abs(values).max(), 1e-30))


def judged(caller: Caller, group: Group, found: Match, fit: Fit) -> Answer:
    """The answer of a match: its first variant that agrees on soft labels, else on hard ones."""
    convention = group.convention
    apart = [difference(caller, convention, spec, found.sign, found.offset) for spec in found.specs]
    if not apart:
        return Answer(convention.channels, group, DIFFERENT, None, reasons=found.reasons, fit=fit)
    order = sorted(
        range(len(apart)), key=lambda k: (not apart[k].equal, apart[k].soft is not None and not apart[k].equal_on_soft)
    )
    best = order[0]
    spec, result = found.specs[best], apart[best]
    answer = Answer(
        convention.channels,
        group,
        DIFFERENT,
        spec,
        found.sign,
        found.offset,
        result,
        list(found.reasons),
        list(found.notes),
        fit=fit,
    )
    if result.equal:
        answer.reasons = []
        result.gradient = gradient_difference(caller, convention, spec, found.sign)
        if not result.equal:
            answer.reasons.append('its values are equal, its gradients are not')
        elif result.soft is None or result.equal_on_soft:
            answer.verdict = EQUAL
        else:
            answer.verdict = ON_HARD
        if answer.equal:
            answer.on_ids = same_on_ids(convention, spec)
            answer.notes += empty_classes(caller, convention, answer)
            answer.equals = [
                found.specs[k]
                for k in order[1:]
                if apart[k].equal and (apart[k].soft is None or apart[k].equal_on_soft) == (answer.verdict == EQUAL)
            ]
    elif any(r.startswith('it adds up all classes') for r in found.reasons) and len(found.reasons) == 1:
        answer.verdict = FLATTENED
    return answer


def same_on_ids(convention: Convention, spec: LossSpec) -> bool:
    """Whether the spec has the same value on class ids as on the maps that the function takes."""
    if convention.form != 'maps' or 'soft' not in spec.labels:
        return True
    probes = [p for p in fresh(convention.channels, 9) if p.exclusive]
    ids = np.array([spec.reference(p.prob, p.ids[:, None] if p.channels == 1 else p.ids) for p in probes])
    maps = np.array([spec.reference(p.prob, p.target) for p in probes])
    return bool(np.abs(ids - maps).max() <= TOLERANCE * max(np.abs(maps).max(), 1e-30))


def empty_classes(caller: Caller, convention: Convention, answer: Answer) -> list[str]:
    """A note where a class that is neither labelled nor predicted costs another number than ours."""
    c, spec = convention.channels, answer.spec
    ids = np.zeros((2, 4, 5), int)
    ids[:, ::2] = 1 if c > 2 else 0
    empty = Probe(one_hot(ids, c), one_hot(ids, c))
    if spec is None or spec.needs_logits or convention.takes == 'logits':
        return []  # whose sigmoid and softmax are never 0
    try:
        theirs = caller.on(convention, empty)
        ours = answer.sign * float(values_of(spec, convention, [empty])[0]) + answer.offset
    except TooSlow:
        raise
    except Exception:
        return []
    if not np.isfinite(theirs) or abs(theirs - ours) <= 1e-4 * max(abs(theirs), abs(ours)):
        return []
    return [f'where a class has neither label nor prediction its value is {theirs:.4g}, with ours {ours:.4g}']


def merge(answers: list[Answer]) -> None:
    """Of one channel and several that are the same loss, the one for several is kept: it says the activation."""
    for one in [a for a in answers if a.channels == 1]:
        for many in [a for a in answers if a.channels > 1]:
            if one.rank == many.rank and one.equal and one.offset == many.offset and same(one.spec, many.spec):
                many.notes.append('with one channel, too')
                answers.remove(one)
                return


def has_class_weight(spec: LossSpec | None) -> bool:
    parts = getattr(spec, 'parts', None) or (spec,)
    return any(getattr(part, 'class_weight', None) is not None for part in parts)


def same(one: LossSpec | None, many: LossSpec | None) -> bool:
    if one is None or many is None:
        return False
    plain = [{k: v for k, v in s.to_dict().items() if k != 'activation'} for s in (one, many)]
    return plain[0] == plain[1]
