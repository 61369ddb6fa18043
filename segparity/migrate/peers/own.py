"""Losses that a project writes itself: which of ours they are, found by computing what their source says."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from segparity.migrate.items import Context, Item, Reading, Verdict
from shared_spec import LOSSES
from shared_spec.spec import LossSpec

if TYPE_CHECKING:
    from segparity.migrate.computing.formula import Formula
    from segparity.recognise.calls import Convention
    from segparity.recognise.recognition import Answer, Recognition

ORDER = 'exact', 'float32', 'nearest', 'not yet', 'none'  # of verdicts, the best first
SECONDS, PATIENCE = 3.0, 3.0  # of the calls of a formula, of the search
MANY = 4  # channels of which the search is made; of more it is made with 3, and what it finds is measured with all
LARGEST = 12  # channels of which the search is made where it needs all of them
NEAR = 0.1  # of the largest value: the mean difference up to which a loss of another form is called the nearest
NOT_NEAR = 'no region loss', 'no loss of ours is that', 'it thresholds its prediction', 'it is a constant'
SUMMED = re.compile(r"""reduction\s*=\s*(?:[\w.]*\.SUM\b|['"]sum['"])""")
SCORES = {'Dice': 'mDice', 'Jaccard': 'mIoU', 'Tversky': 'mFscore', 'CrossEntropy': 'aAcc'}
COUNTED = 'our metrics count predicted classes over the whole data set'


def readings(item: Item, context: Context) -> list[Reading]:
    """What a loss or metric of the project is, for one channel and several where the source does not show which."""
    formula = item.formula
    if formula is None:
        return [sum_of_terms(item, context) or Reading('none', None, differences=[unknown(item)])]
    if formula.metric:
        return [of_metric(item, formula, context)]
    found = recognised(formula, context)
    if found is None:
        together = sum_of_terms(item, context)
        return [together or Reading('none', None, differences=[not_computed(item, formula)])]
    answers = sorted(found.answers, key=lambda answer: -answer.rank)  # the best is written
    if not answers:
        return [Reading('none', None, differences=found.remarks, bug=' '.join(found.wrong))]
    made = [reading(answer, found, item, formula, context) for answer in answers]
    if channels_of(context) is None and [answer.channels for answer in answers] == [1] and formula.takes_several():
        told = Reading('none', None, versions='with several channels', differences=['nothing of ours was found'])
        return [told, dataclasses.replace(made[0], versions='with one channel')]
    if len(made) > 1:
        for k, answer in enumerate(answers):
            channels = 'with one channel' if answer.channels == 1 else 'with several channels'
            made[k] = dataclasses.replace(made[k], versions=channels)
    return made


def unknown(item: Item) -> str:
    """The sentence of a function that cannot be computed at all."""
    return f'{item.name} is defined by the project itself, and is no function of labels and prediction that was read'


def not_computed(item: Item, formula: 'Formula') -> str:
    told = f'{item.name} is not computed without running it ({formula.fault or "it gives no finite number"})'
    if formula.target:
        return f'{told}: segparity recognise {formula.target} runs it and says which of ours it is'
    return told


def sum_of_terms(item: Item, context: Context) -> Reading | None:
    """A sum of losses of libraries, each by the table of peers; None where one of them is nothing of ours."""
    from segparity.migrate.peers import migrate_item

    terms, constant = item.arguments.get('terms'), item.arguments.get('constant', 0.0)
    if not terms or not all(isinstance(term.weight, (int, float)) and term.weight > 0 for term in terms):
        return None
    specs: list[LossSpec] = []
    shares: list[float] = []
    verdicts: list[Verdict] = []
    told: list[str] = []
    bugs: list[str] = []
    offset = float(constant)
    for term in terms:
        best = migrate_item(term, context).readings[-1]
        if not isinstance(best.spec, LossSpec):
            return None
        specs.append(best.spec)
        shares.append(float(term.weight))
        verdicts.append(best.verdict)
        told += [f'{term.name}: {sentence}' for sentence in best.differences]
        bugs += [f'{term.name}: {best.bug}'] if best.bug else []
        offset += term.weight * best.offset
    spec: LossSpec = LOSSES['WeightedSumLoss'](losses=specs, weights=shares)
    if len(specs) == 1:
        weight: Any = {'loss_weight': shares[0] * specs[0].loss_weight}
        spec = dataclasses.replace(specs[0], **weight)
    return Reading(max(verdicts, key=ORDER.index), spec, offset=offset, differences=told, bug=' '.join(bugs))


# The search


def recognised(formula: 'Formula', context: Context) -> 'Recognition | None':
    """What the search says, remembered; None where the formula is not computed."""
    key = context.world, context.channels, context.num_classes, context.activation, context.labels
    if key not in formula.answers:
        formula.answers[key] = search(formula, context)
    found: Recognition | None = formula.answers[key]
    return found


def search(formula: 'Formula', context: Context) -> 'Recognition | None':
    from segparity.recognise.recognition import recognise

    channels = channels_of(context)
    tries = [channels] if channels is None or channels <= MANY else [3, channels]
    patience = PATIENCE / 2 if formula.metric else PATIENCE
    found = None
    for classes in tries:
        if classes is not None and classes > LARGEST:
            break
        try:
            found = recognise(formula, classes, SECONDS, formula.__name__, accepts(formula, context), patience)
        except TypeError:
            continue
        if channels is None or classes == channels or holds(formula, found, channels):
            return found
    if found is not None:
        for answer in found.answers:
            answer.verdict, answer.spec = 'different', None
            answer.reasons = [f'what it is with 3 channels it is not with {channels}']
    return found


def channels_of(context: Context) -> int | None:
    """Channels of the prediction; two classes may be one channel or two."""
    return context.channels or (context.num_classes if (context.num_classes or 0) > 2 else None)


def holds(formula: 'Formula', found: 'Recognition', channels: int) -> bool:
    """Whether what was found with three channels is so with all of them; the answers then speak of these."""
    if not found.answers:
        return False
    for answer in found.answers:
        if answer.spec is None or not answer.equal:
            if by_class(answer.spec):
                return False
        elif not measured_with_all(formula, answer, channels):
            return False
    for answer in found.answers:
        answer.channels = channels
    return True


def by_class(spec: LossSpec | None) -> bool:
    """Whether a parameter has a value for each class."""
    parts = getattr(spec, 'parts', None) or (spec,)
    return any(isinstance(getattr(part, name, None), tuple) for part in parts for name in ('classes', 'class_weight'))


def measured_with_all(formula: 'Formula', answer: 'Answer', channels: int) -> bool:
    """Whether the answer, or what it is of a sum over more classes, is equal; it is then that."""
    from segparity.recognise.calls import Caller
    from segparity.recognise.confirm import difference, values_of
    from segparity.recognise.probes import fresh

    convention = dataclasses.replace(answer.group.convention, channels=channels)
    probes = fresh(channels, 7, count=1)
    for spec in with_all(answer.spec, channels):
        try:
            (theirs,) = [Caller(formula, SECONDS).on(convention, probe) for probe in probes]
            offset = float(f'{theirs - answer.sign * values_of(spec, convention, probes)[0]:.6g}')
            offset = 0.0 if abs(offset) < 1e-9 else offset
            apart = difference(Caller(formula, SECONDS), convention, spec, answer.sign, offset)
        except (ValueError, TypeError):  # a list of three weights, a class that is not there
            continue
        if apart.equal:
            answer.spec, answer.offset, answer.difference = spec, offset, apart
            return True
    return False


def with_all(spec: Any, channels: int) -> list[LossSpec]:
    """What a loss of three channels may be of more: with the same weight, or with that of a sum over classes."""
    kept = 3
    if getattr(spec, 'classes', None) == (1, 2):
        kept, spec = 2, dataclasses.replace(spec, classes=tuple(range(1, channels)))
    factor = (channels - 3 + kept) / kept
    return [spec, dataclasses.replace(spec, loss_weight=spec.loss_weight * factor)]


def accepts(formula: 'Formula', context: Context) -> 'Callable[[Convention], bool]':
    """Which ways to call it come into question by what the source shows."""
    named = order(formula)
    keras = context.world == 'keras'
    known: dict[int, tuple[set[str], set[str]]] = {}

    def accept(convention: 'Convention') -> bool:
        if (convention.kind, convention.dtype, convention.device) != ('numpy', 'float64', 'cpu'):
            return False
        if convention.labels_first != (True if keras else named) and (keras or named is not None):
            return False
        if convention.layout == ('first' if keras else 'last'):
            return False
        if convention.form != 'maps' and (convention.channels == 1 or context.labels in ('one_hot', 'soft')):
            return False
        if convention.form == 'maps' and convention.channels > 1 and context.labels == 'ids':
            return False
        c = convention.channels
        if c not in known:
            known[c] = taken(formula, context, c)
        takes, activations = known[c]
        one = convention.takes == 'probabilities' or c == 1
        return convention.takes in takes and (one or convention.activation in activations)

    return accept


def taken(formula: 'Formula', context: Context, channels: int) -> tuple[set[str], set[str]]:
    """(what it is given: probabilities or logits, the activations that it may apply)."""
    tried(formula, context, channels)
    inside = {name for name in ('sigmoid', 'softmax') if formula.applies(name)}
    activations = inside or {'sigmoid', 'softmax'}
    if context.activation in ('sigmoid', 'softmax'):
        return {'probabilities'}, activations
    if not inside and formula.programs:
        return {'probabilities'}, activations  # with logits, too: what is meant
    return {'logits'}, activations


def tried(formula: 'Formula', context: Context, channels: int) -> None:
    """Computes it once in each layout that works, so that it is known what it applies."""
    import numpy as np

    maps = np.full((2, 4, 5, channels) if context.world == 'keras' else (2, channels, 4, 5), 1 / max(channels, 2))
    ids = np.zeros((2, 4, 5), int)
    ids[:, 1, 1] = max(channels, 2) - 1
    true = maps if context.labels != 'ids' else ids
    for labels in (true, ids, ids[..., None] if context.world == 'keras' else ids[:, None]):
        for pair in ((labels, maps), (maps, labels)):
            try:
                formula(*pair)
            except ValueError:
                continue
            return


def order(formula: 'Formula') -> bool | None:
    from segparity.recognise.calls import order_of_names

    return order_of_names(formula)


# What it says


def reading(answer: 'Answer', found: 'Recognition', item: Item, formula: 'Formula', context: Context) -> Reading:
    from segparity.recognise.report import relation

    spec, told, wrong = spec_of(answer, context), [], []
    if answer is found.answers[0]:
        wrong = list(found.wrong)
        said = 'of several channels', 'the search', *(('with soft labels',) if context.labels == 'soft' else ())
        told = [remark for remark in found.remarks if remark.startswith(said)]
        wrong += no_gradient(answer, formula)
    if context.activation == 'logits' and answer.group.convention.takes == 'probabilities':
        wrong.insert(0, 'It takes logits for probabilities: the last layer has no activation, and it applies none.')
    if int(answer.group.convention.labels_first) in formula.detached:
        wrong.insert(0, 'It stops the gradient of a part of what it computes, which its values do not show.')
    if SUMMED.search(f'{item.arguments.get("source", "")} {item.text}'):
        told.append('its reduction is a sum, ours a mean: its weight grows with the batch')
    clips = of_extremes(answer, formula)
    told += clips
    doubtful = grave(wrong) or any('reduction is a sum' in one for one in told)
    verdict = verdict_of(answer, doubtful, bool(clips))
    if verdict == 'none':
        spec = None
    apart = answer.difference
    if not answer.equal and not answer.reasons and answer.spec is not None and apart is not None:
        of = relation(answer)
        told.append(
            f'no form of ours is the same; {of} differs by {apart.typical:.2g} on average, {apart.largest:.2g} at most'
        )
    if verdict == 'nearest' and answer.sign < 0:
        told.append('ours has the sign of a loss')
    told = [*answer.reasons, *answer.notes, *told]
    if answer.verdict == 'equal on hard labels':
        told.append('it is the same on hard labels, not on soft ones')
    return Reading(
        verdict,
        spec,
        offset=answer.offset if spec is not None and answer.sign > 0 and answer.rank <= 2 else 0.0,
        differences=list(dict.fromkeys(told)),
        measured=apart.largest if apart is not None and spec is not None else None,
        bug=' '.join(dict.fromkeys(wrong)),
    )


def of_extremes(answer: 'Answer', formula: 'Formula') -> list[str]:
    """Whether it parts from ours where probabilities are next to 0 and 1, which no other probe has."""
    import numpy as np

    from segparity.recognise.calls import Caller
    from segparity.recognise.confirm import labels_for_us, softmax, values_of
    from segparity.recognise.probes import Probe, fresh
    from segparity.recognise.report import with_from_logits

    if not answer.equal or answer.spec is None:
        return []
    found = []
    for probe in fresh(answer.channels, 31, count=3):
        for likely in (probe.target, np.roll(probe.target, 1, 2)):  # right everywhere, and wrong here and there
            found.append(Probe(1e-9 * probe.prob + (1 - 1e-9) * likely, probe.target))
    convention = answer.group.convention
    if convention.channels != answer.channels:
        convention = dataclasses.replace(convention, channels=answer.channels)
    try:
        theirs = np.array([Caller(formula, SECONDS).on(convention, probe) for probe in found])
    except ValueError:
        return []
    if convention.takes == 'logits':
        spec, soft = with_from_logits(answer.spec, True), 'soft' in answer.spec.labels
        logits = [p.softmax_logits if softmax(convention) else p.sigmoid_logits for p in found]
        ids = [p.ids[:, None] if p.channels == 1 else p.ids for p in found]
        labels = [labels_for_us(convention, p) for p in found] if soft else ids
        ours = np.array([spec.reference(z, y) for z, y in zip(logits, labels)])
    else:
        ours = values_of(answer.spec, convention, found)
    ours = answer.sign * ours + answer.offset
    if (np.abs(theirs - ours) <= 1e-9 * np.maximum(np.abs(ours), 1)).all():
        return []
    return ['it keeps probabilities away from 0 and 1 by an epsilon of its own, or adds one']


def verdict_of(answer: 'Answer', doubtful: bool, clips: bool) -> Verdict:
    if answer.spec is None:
        return 'none'
    if answer.equal:
        if doubtful or answer.sign < 0:
            return 'nearest'
        apart = answer.difference
        inexact = answer.notes or clips or apart is None or apart.hard > 1e-9
        return 'float32' if inexact else 'exact'
    if any(part in reason for reason in answer.reasons for part in NOT_NEAR if ' yet' not in reason):
        return 'none'
    if answer.reasons and all(' yet' in reason for reason in answer.reasons):
        return 'not yet'
    if answer.verdict == 'equal on flattened classes':
        return 'not yet'
    if answer.fit is not None and answer.reasons:
        return 'nearest'
    apart = answer.difference
    if apart is None or not apart.typical <= NEAR * max(apart.largest / max(apart.hard, 1e-30), 1e-30):
        return 'none'
    return 'nearest'


def grave(wrong: Sequence[str]) -> bool:
    """Whether something makes the loss another one than ours, and is no remark on extremes or smoothing."""
    words = (
        'wrong way',
        'No gradient',
        'logits for probabilities',
        'stops the gradient',
        'named the other way',
        'prediction first',
    )
    return any(word in sentence for sentence in wrong for word in words)


def no_gradient(answer: 'Answer', formula: 'Formula') -> list[str]:
    from segparity.recognise.calls import Caller
    from segparity.recognise.recognition import stepwise

    try:
        flat = stepwise(Caller(formula, SECONDS), answer.group)
    except Exception:
        return []
    told = 'No gradient reaches the prediction (it is rounded, compared or an argmax is taken): training learns nothing from it.'
    return [told] if flat else []


def spec_of(answer: 'Answer', context: Context) -> LossSpec | None:
    """Ours, which reads what the source hands over."""
    from segparity.recognise.report import with_from_logits

    spec = answer.spec
    if spec is None:
        return None
    logits = answer.group.convention.takes == 'logits' or context.activation == 'logits'
    spec = with_from_logits(spec, logits)
    if answer.channels == 1 or context.activation == 'sigmoid':
        spec = with_sigmoid(spec, one=answer.channels == 1)
    return spec


def with_sigmoid(spec: LossSpec, one: bool) -> LossSpec:
    """The same of one channel, or of channels that are each by themselves, where the loss has that."""
    parts: tuple[LossSpec, ...] | None = getattr(spec, 'parts', None)
    if parts is not None:
        changed: Any = dataclasses.replace(spec, losses=tuple(with_sigmoid(part, one) for part in parts))
        return changed
    if 'activation' in spec.parameters() and (one or 'CrossEntropy' not in type(spec).__name__):
        return dataclasses.replace(spec, activation='sigmoid')
    return spec


def of_metric(item: Item, formula: 'Formula', context: Context) -> Reading:
    """A metric: what it counts, and which of our results is nearest."""
    found = recognised(formula, context)
    if found is None:
        return Reading('none', None, differences=[not_computed(item, formula)])
    best = found.answers[0] if found.answers else None
    spec = best.spec if best is not None and (best.equal or best.reasons) else None
    hard = best is not None and bool(no_gradient(best, formula))
    kind = type(spec).__name__ if spec is not None else ''
    result = next((name for word, name in SCORES.items() if word in kind), '')
    if (
        best is not None
        and spec is not None
        and hard
        and any('share of wrong pixels' in reason for reason in best.reasons)
    ):
        result = 'aAcc'
    near = f'; the nearest of them is {result}' if result else ''
    if hard:
        told = f'it counts predicted classes of each batch, and the mean over batches is taken; {COUNTED}{near}'
    else:
        told = f'it is a score of probabilities, the mean over batches; {COUNTED}{near}'
    return Reading('none', None, differences=[told])
