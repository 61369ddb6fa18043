"""What a source becomes: each loss of each output, each metric, in the order of the source, before it is written anywhere."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from segparity.migrate.items import WORDS, Context, Item, Migrated, Output, Reading, Source, Unread
from segparity.migrate.peers.page import brief
from shared_spec.parameters import SpecError
from shared_spec.spec import LossSpec, Spec

ORDER = 'exact', 'float32', 'nearest', 'not yet', 'none'  # of verdicts, the best first
HEAD = re.compile(r'(decode_head|auxiliary_head)(?:_(\d{1,3})|\[(\d{1,3})\])?')
LEVELS = 'D', 'I', 'C'
NAMES = 'mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore', 'ECE', 'SCE', 'HD', 'HD95', 'ASSD'  # of results, in order

BOUNDARY = 'BoundaryIoU', 'HD', 'HD95', 'ASSD'
REPORTS = 'SegmentationReport', 'MeanIoU', 'MeanDice', 'MeanAccuracy', 'MeanPrecision', 'MeanFscore', 'PixelAccuracy'
LEAST: dict[str, Any] = {'q': [], 'metrics': ['mIoU']}  # scores of HostMetrics that stand there because some must
COMMON = '1', 'num_classes', 'ignore_class', 'from_logits', 'binary', 'levels'  # '1': num_classes, after the data

Translate = Callable[[Item, Context, bool], Migrated]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A source with what its items become. outputs: (output, its losses); group: outputs that are trained together."""

    source: Source
    outputs: tuple[tuple[Output, tuple[Migrated, ...]], ...]
    metrics: tuple[Migrated, ...]

    @property
    def groups(self) -> list[list[tuple[Output, tuple[Migrated, ...]]]]:
        """The outputs that are trained together: the heads of a model, the outputs of one ``compile``."""
        groups: dict[str, list[tuple[Output, tuple[Migrated, ...]]]] = {}
        for output, losses in self.outputs:
            groups.setdefault('' if HEAD.fullmatch(output.name) else output.name.partition(', output ')[0], []).append(
                (output, losses)
            )
        return list(groups.values())

    @property
    def items(self) -> Iterator[Migrated]:
        """All of them, losses first."""
        for _, losses in self.outputs:
            yield from losses
        yield from self.metrics

    @property
    def complete(self) -> bool:
        """Whether everything that was found is the same in the other world, and nothing was left unread or refused."""
        return (
            all(verdict_of(migrated) in ('exact', 'float32') for migrated in self.items)
            and not self.source.unread
            and not any(output.refused for output, _ in self.outputs)
            and any(True for _ in self.items)
        )


def shorten_places(source: Source) -> Source:
    """The source with files named as short as they can be: the one that was given as it was given, the others from its
    folder, or ``mmseg::...`` where they are MMSegmentation's own."""
    if not source.files:
        return source
    folder = os.path.dirname(source.files[0])

    def short(file: str) -> str:
        cell = ''
        if file.endswith(']') and '[' in file:
            file, _, cell = file.rpartition('[')
        _, own, within = file.replace(os.sep, '/').partition('/mmseg/.mim/configs/')
        if own:
            return f'mmseg::{within}'
        if os.path.isabs(file) and len(os.path.relpath(file, folder or '.')) < len(file):
            file = os.path.relpath(file, folder or '.')
        return f'{file}[{cell}' if cell else file

    def move(value: Any) -> Any:
        if isinstance(value, (Item, Output, Unread)):
            place = dataclasses.replace(value.place, file=short(value.place.file))
            changes: dict[str, Any] = {'place': place}
            if isinstance(value, Output):
                changes['losses'] = [move(loss) for loss in value.losses]
            return dataclasses.replace(value, **changes)
        return value

    return dataclasses.replace(
        source,
        outputs=[move(output) for output in source.outputs],
        metrics=[(move(item), context) for item, context in source.metrics],
        unread=[move(unread) for unread in source.unread],
    )


def make_plan(source: Source, translate: Translate, compat: bool = False) -> Plan:
    """The plan of a source; ``translate`` is the table of peers."""
    outputs = tuple(
        (output, () if output.refused else tuple(translate(item, output.context, compat) for item in output.losses))
        for output in source.outputs
    )
    scored = any(item.library == 'segparity' and item.name in REPORTS for item, _ in source.metrics)
    metrics = [(one, context) for item, context in source.metrics for one in split(item, scored)]
    return Plan(source, outputs, tuple(translate(item, context, compat) for item, context in metrics))


def split(item: Item, scored: bool = False) -> list[Item]:
    """A metric as one for each spec: BoundaryMetric and HostMetrics report those of several.

    scored: whether the source has the scores of HostMetrics, which cannot be left out there, from another metric.
    """
    if item.library != 'segparity' or item.name not in ('BoundaryMetric', 'HostMetrics'):
        return [item]
    if item.name == 'BoundaryMetric':
        asked = item.arguments.get('metrics', BOUNDARY)
        if not isinstance(asked, (list, tuple)):
            return [item]
        halves = [[name for name in asked if (name == 'BoundaryIoU') == first] for first in (True, False)]
        return [dataclasses.replace(item, arguments={**item.arguments, 'metrics': half}) for half in halves if half]
    given = {'distances': ['HD95'], 'q': [1, 5], 'metrics': ['mAcc', 'mIoU', 'mDice'], **item.arguments}
    least = all(
        item.arguments.get(key) == value for key, value in LEAST.items()
    )  # beside distances, as it is written here
    found = []
    for name, switch, own in (
        ('SegmentationReport', not scored and not least, ('q', 'metrics', 'beta', 'present_in')),
        ('SurfaceDistance', given['distances'], ('distances', 'spacing', 'empty', 'present_in')),
        ('BoundaryIoU', given.get('boundary_iou'), ('ratio', 'present_in')),
        ('Calibration', given.get('calibration'), ('bins', 'hit')),
    ):
        if switch:
            kept = {key: given[key] for key in (*COMMON, *own) if key in given}
            found.append(dataclasses.replace(item, name=name, arguments=kept))
    return found


def verdict_of(migrated: Migrated) -> str:
    """The worst verdict of its readings; 'nearest' at best where they differ, or an outer weight was not read."""
    verdicts = [reading.verdict for reading in migrated.readings] or ['none']
    if unknown_weight(migrated.item) or depends_on_version(migrated):
        verdicts.append('nearest')
    return max(verdicts, key=ORDER.index)


def depends_on_version(migrated: Migrated) -> str:
    """What an item is in each version, where its readings are not all the same of ours; '' where they are."""
    specs = [reading.spec for reading in migrated.readings]
    if all(spec == specs[0] for spec in specs):
        return ''
    found = [f'{r.versions} {brief(r.spec) if r.spec else "nothing of ours"}' for r in migrated.readings]
    hosted = migrated.item.library == migrated.context.world and migrated.context.version is None
    return f'what it means depends on the version: {"; ".join(found)}' + ('; say --host-version' if hosted else '')


def unknown_weight(item: Item) -> str:
    """Why the factor that the source puts on a loss is not in ours; '' where it is."""
    weight = item.weight
    if isinstance(weight, Unread):
        return f'its weight was not read ({weight.reason}) and is 1 here'
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        return f'its weight {weight!r} is no number and is 1 here'
    if not 0 <= weight < float('inf'):
        return f'its weight {weight!r} is no number >= 0 and is 1 here'
    return ''


def chosen(migrated: Migrated) -> Reading | None:
    """The reading that is written: of the newest version that has a spec."""
    return next((reading for reading in reversed(migrated.readings) if reading.spec is not None), None)


def parts_of(migrated: Migrated) -> list[LossSpec]:
    """Ours for a loss, with its outer weight, a sum in its parts; [] where there is none."""
    reading = chosen(migrated)
    if reading is None or not isinstance(reading.spec, LossSpec):
        return []
    weight = 1.0 if unknown_weight(migrated.item) else float(migrated.item.weight)
    return list(flatten(reading.spec, weight))


def flatten(spec: LossSpec, weight: float) -> Iterator[LossSpec]:
    """``weight`` times a loss; a weighted sum as its parts, each with its share in its loss_weight."""
    parts: Sequence[LossSpec] | None = getattr(spec, 'parts', None)
    if parts is None:
        yield spec if weight == 1 else with_parameters(spec, loss_weight=spec.loss_weight * weight)
        return
    shares: Sequence[float] = spec.shares  # type: ignore[attr-defined]  # WeightedSumLoss has both
    for share, part in zip(shares, parts):
        yield from flatten(part, share * spec.loss_weight * weight)


def with_parameters(spec: Any, **changes: object) -> Any:
    """The spec with other parameters; those that it does not have are left out."""
    known = type(spec).parameters()
    return dataclasses.replace(spec, **{name: value for name, value in changes.items() if name in known})


def on_logits(spec: LossSpec) -> LossSpec:
    """The loss as it takes logits."""
    if getattr(spec, 'from_logits', True):
        return spec
    return with_parameters(spec, from_logits=True)


def metric_specs(metrics: Iterable[Migrated]) -> list[Spec]:
    """Ours for all metrics: those that differ in what they report alone are one, and none comes twice."""
    found: list[Spec] = []
    for migrated in metrics:
        reading = chosen(migrated)
        spec = None if reading is None else reading.spec
        if spec is None:
            continue
        for place, other in enumerate(found):
            both = merge(other, spec)
            if both is not None:
                found[place] = both
                break
        else:
            found.append(merge(spec, spec) or spec)  # in their order
    return found


def merge(first: Any, second: Any) -> Spec | None:
    """One spec that reports what both do, or None where they differ in more than names, levels and q."""
    if type(first) is not type(second):
        return None
    known = type(first).parameters()
    union: dict[str, Any] = {}
    for name, order in (('levels', LEVELS), ('metrics', NAMES), ('q', range(1, 101))):
        if name in known:
            union[name] = [value for value in order if value in (*getattr(first, name), *getattr(second, name))]
    try:
        both = with_parameters(first, **union)
        return both if both == with_parameters(second, **union) else None
    except SpecError:
        return None


def comments_of(migrated: Migrated) -> list[str]:
    """What a reader of the written code has to know of an item; [] where it is the same."""
    verdict, reading = verdict_of(migrated), chosen(migrated)
    lines = []
    if verdict not in ('exact', 'float32'):
        said = [WORDS[verdict]] if reading else [f'{WORDS[verdict]} here']
        lines.append(f'{migrated.item.name} ({migrated.item.place}): {said[0]}')
        lines += [f'- {sentence}' for sentence in sentences_of(migrated)]
    elif reading and reading.offset:
        lines.append(f'{migrated.item.name} ({migrated.item.place}) is this {reading.offset:+g}, which trains the same')
    return lines


def sentences_of(migrated: Migrated) -> list[str]:
    """Every difference, bug and reading of an item, each a sentence."""
    lines = []
    for reading in migrated.readings:
        before = f'{reading.versions}: ' if len(migrated.readings) > 1 else ''
        lines += [before + sentence for sentence in reading.differences]
        if reading.offset:
            lines.append(f'{before}it is ours {reading.offset:+g}, a constant that trains the same')
        if reading.bug:
            lines.append(f'{before}{reading.bug}')
    told = (depends_on_version(migrated), unknown_weight(migrated.item))
    return lines + [sentence for sentence in told if sentence]
