"""Data sets and evaluators of a configuration."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from segparity.migrate.items import Context, Item, Unread
from segparity.migrate.reading import mmseg_facts
from segparity.migrate.reading.mmseg_items import item_of, library_of, named, unread_in, written
from segparity.migrate.reading.text import shorten
from segparity.migrate.reading.values import Table

Metrics = list[tuple[Item, Context]]


def data_sets(value: Any) -> list[Table]:
    """The data sets in a value: those that wrappers and lists hold."""
    found: list[Table] = []
    waiting, steps = [value], 0
    while waiting and steps < 1000:
        value = waiting.pop(0)
        steps += 1
        if isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, Table):
            inner = [value[key] for key in ('dataset', 'datasets') if key in value]
            waiting.extend(inner)
            if not inner:
                found.append(value)
    return found


def reduces_zero_label(value: Any, remarks: list[str], unread: list[Unread], what: str, old: bool) -> bool | None:
    """Whether the data sets lower their labels by one; None where it does not show, or where they disagree.

    old: MMSegmentation 0.x trains on what LoadAnnotations of the pipeline says.
    """
    answers = set()
    for table in data_sets(value):
        answer = _of_pipeline(table) if old else _of_data_set(table)
        if isinstance(answer, Unread):
            unread.append(named(f'reduce_zero_label of the {what} data', answer, table.place))
            answer = None
        answers.add(answer)
    if len(answers - {None}) > 1:
        remarks.append(f'the {what} data sets disagree in reduce_zero_label')
        return None
    return next(iter(answers)) if len(answers) == 1 else None


def _of_data_set(table: Table) -> bool | Unread | None:
    if table.rest is not None and 'reduce_zero_label' not in table:
        return table.rest
    found = library_of(table.get('type'), table.get('_scope_'))
    default = mmseg_facts.REDUCE_ZERO_LABEL.get(found[1].rpartition('.')[2]) if found else None
    value = table.get('reduce_zero_label', default)
    if value is None or isinstance(value, (bool, Unread)):
        return value
    return Unread('it is neither True nor False', table.places.get('reduce_zero_label', table.place))


def _of_pipeline(table: Table) -> bool | Unread | None:
    pipeline = table.get('pipeline')
    if isinstance(pipeline, Unread):
        return pipeline
    steps = [step for step in (pipeline if isinstance(pipeline, (list, tuple)) else ()) if isinstance(step, Table)]
    for step in steps:  # a project's own loader too
        if 'reduce_zero_label' in step:
            value = step['reduce_zero_label']
            return value if isinstance(value, (bool, Unread)) else None
    return False if any(step.get('type') == 'LoadAnnotations' for step in steps) else None


class Evaluators:
    """Reads the evaluators. metrics, remarks, unread: what was found."""

    def __init__(self, config: Table, context: Context) -> None:
        self.config = config
        self.context = context
        self.metrics: Metrics = []
        self.remarks: list[str] = []
        self.unread: list[Unread] = []

    def read(self) -> None:
        """val_evaluator, test_evaluator where it differs, and evaluation of 0.x."""
        seen: list[Item] = []
        for key in ('val_evaluator', 'test_evaluator'):
            value, place = self.config.get(key), self.config.places.get(key, self.config.place)
            if isinstance(value, Table) and 'metrics' in value:
                value = value['metrics']
            if value is None:
                continue
            for part in value if isinstance(value, (list, tuple)) else [value]:
                item: Any = (
                    item_of(part, place) if isinstance(part, Table) and 'type' in part else named('', part, place)
                )
                known = [(other.library, other.name, other.arguments) for other in seen]
                if isinstance(item, Item) and (item.library, item.name, item.arguments) in known:
                    continue
                if isinstance(item, Item) and item.arguments.get('format_only') is True:
                    self.remarks.append(
                        f'{item.place}: {key} writes predictions (format_only=True) and evaluates nothing'
                    )
                    continue
                self.unread.extend(unread_in(item, key))
                if isinstance(item, Item):
                    seen.append(item)
                    self.metrics.append((item, self.context))
        self.read_old()

    def read_old(self) -> None:
        """``evaluation=dict(metric=['mIoU', 'mDice'])``, each name a metric."""
        evaluation = self.config.get('evaluation')
        place = self.config.places.get('evaluation', self.config.place)
        if isinstance(evaluation, Unread):
            self.unread.append(named('evaluation', evaluation, place))
        if not isinstance(evaluation, Table):
            return
        value = evaluation.get('metric', 'mIoU')
        where = evaluation.places.get('metric', place)
        for name in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(name, str):
                self.unread.append(named('evaluation.metric', name, where))
                continue
            text = shorten(f'evaluation={written(evaluation)}')
            if name == 'cityscapes':
                self.metrics.append((Item('mmseg', 'CityscapesMetric', {}, where, text=text), self.context))
            else:
                library = 'mmseg' if name in ('mIoU', 'mDice', 'mFscore') else 'own'
                self.metrics.append((Item(library, name, {}, where, text=text), self.context))


def data_of(config: Table, part: str) -> Any:
    """The data sets for 'train', 'val' or 'test', of 1.x or 0.x."""
    loader = config.get(f'{part}_dataloader')
    if isinstance(loader, Table):
        return loader.get('dataset')
    data = config.get('data')
    return data.get(part) if isinstance(data, Table) else None


def ignored_by(values: Sequence[Table]) -> int | None:
    """The label that the data sets say is ignored; 255 where they say nothing, None where they disagree."""
    found = {table.get('ignore_index', mmseg_facts.IGNORE_INDEX) for table in values if _is_label(table)}
    return found.pop() if len(found) == 1 else mmseg_facts.IGNORE_INDEX if not values else None


def _is_label(table: Table) -> bool:
    return type(table.get('ignore_index', 0)) is int


def metric_context(context: Context, config: Table, num_classes: int | None) -> Context:
    """The context of the metrics: the classes of the head that predicts, the ignored label of the data."""
    return dataclasses.replace(
        context,
        num_classes=num_classes,
        channels=None,
        ignore_index=ignored_by(data_sets(data_of(config, 'val'))),
        activation=None,
    )
