"""``segparity check --model-a a.npz --model-b b.npz``: tables and sentences."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from segparity.as_json import print_json
from segparity.parity.models.comparison import Found, compare_models
from segparity.parity.models.reading import Side, open_pair
from segparity.parity.models.words import sentences
from segparity.terminal import say
from shared_spec import LOSSES, LossSpec

USUAL = ('WeightedCrossEntropyLoss', 'SoftDiceLoss', 'JaccardMetricLoss')
CLASSES = 40  # rows of the table


def models(
    paths: tuple[str, str],
    layouts: tuple[str | None, str | None],
    ignore_index: int | None,
    losses: Mapping[str, LossSpec],
    console: Console,
    as_json: bool,
    progress: Callable[[int, int, str], object],
) -> int:
    """Compares two files; 0 where outputs, their kind and labels are the same, else 1."""
    a, b, factor = open_pair(*paths, *layouts, ignore_index)
    found = compare_models(a, b, factor, losses or {name: LOSSES[name]() for name in USUAL}, progress)
    if as_json:
        print_json(console, 'check --model-a --model-b', as_found(found))
        return 0 if found.ok else 1
    for text in sentences(found):
        say(console, text[0].upper() + text[1:])
    for title, shown in tables(found):
        console.print()
        say(console, title)
        console.print(shown)
    return 0 if found.ok else 1


def tables(found: Found) -> list[tuple[str, Table]]:
    """(title, table): losses and metrics of both, then what is predicted of each class."""
    shown = []
    values = {name: value for name, value in found.losses.items() if not isinstance(value, str)}
    if found.metrics:
        values |= {name: (found.metrics[0][name], found.metrics[1][name]) for name in found.metrics[0]}
    if values:
        table = plain_table(('', 'a', 'b', 'b - a'))
        for name, (one, two) in values.items():
            table.add_row(name, f'{one:.6f}', f'{two:.6f}', f'{two - one:+.2e}')
        shown.append(('Losses (means over images, each a batch of its own) and metrics', table))
    c = found.counts
    overlap, scored = overlaps(found), bool(c.class_sum.any())
    columns = ['class', 'IoU of a and b', *(['mean difference'] if scored else [])]
    table = plain_table((*columns, *(('IoU of a', 'IoU of b') if found.per_class else ())))
    for k in range(min(len(overlap), CLASSES)):
        cells = [str(k), fraction(overlap[k])]
        if scored:
            cells.append(f'{c.class_sum[k] / max(c.pixels, 1):.2e}' if k < len(c.class_sum) else '')
        table.add_row(*cells, *(fraction(of[k]) for of in found.per_class or ()))
    shown.append(('Predictions of each class' + (f', the first {CLASSES}' if len(overlap) > CLASSES else ''), table))
    return shown


def overlaps(found: Found) -> np.ndarray:
    """IoU of what a and b predict of each class."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return found.counts.both / found.counts.either


def plain_table(columns: tuple[str, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for k, column in enumerate(columns):
        table.add_column(column, justify='left' if k == 0 else 'right', no_wrap=True)
    return table


def fraction(value: float) -> str:
    return '–' if np.isnan(value) else f'{value:.4f}'


def side(found: Side) -> dict[str, Any]:
    return dict(
        path=found.path, kind=found.kind, channels=found.channels, height=found.space[0], width=found.space[1],
        layout=found.layout, ignore_index=found.ignore_index, labels=found.labels is not None, loss=found.loss,
    )  # fmt: skip


def as_found(found: Found) -> dict[str, Any]:
    """What ``--json`` prints; the keys are those of docs/check.md."""
    c, overlap = found.counts, overlaps(found)
    names = list(found.metrics[0]) if found.metrics else []
    return dict(
        ok=found.ok,
        same_outputs=found.same_outputs,
        same_labels=found.same_labels if c.label_pairs else None,
        a=side(found.a),
        b=side(found.b),
        factor=found.factor,
        class_order=found.order,
        not_numbers=dict(a=c.not_numbers[0], b=c.not_numbers[1]),
        pixels=c.pixels,
        agreement=c.agreeing / c.pixels if c.pixels else None,
        agreement_near_borders=c.border[0] / c.border[1] if c.border[1] else None,
        agreement_inside=c.inside[0] / c.inside[1] if c.inside[1] else None,
        probability_difference=dict(mean=c.total / max(c.pixels, 1), largest=c.largest),
        logit_difference=dict(mean=c.score_sum / max(c.pixels, 1), largest=c.largest_score, without_constant=c.centred),
        motion=None if found.motion is None else dict(
            rows=found.motion.dy, columns=found.motion.dx, rows_at_border=found.motion.ey, columns_at_border=found.motion.ex,
            factor=found.motion.factor, offset=found.motion.offset, explained=found.motion.explained,
        ),
        resize=None if found.resize is None else dict(convention=found.resize[0], left=found.resize[1]),
        shift_of_ids=list(found.shift),
        classes=[
            dict(
                overlap=overlap[k],
                mean_difference=c.class_sum[k] / max(c.pixels, 1) if k < len(c.class_sum) else None,
                iou_a=found.per_class[0][k] if found.per_class else None,
                iou_b=found.per_class[1][k] if found.per_class else None,
            )
            for k in range(len(overlap))
        ],
        images=c.images,
        label_pairs=[dict(a=one, b=two, pixels=n) for (one, two), n in sorted(c.label_pairs.items())],
        losses={
            name: dict(error=value) if isinstance(value, str) else dict(a=value[0], b=value[1])
            for name, value in found.losses.items()
        },
        losses_of_batch=found.batch,
        metrics={name: dict(a=found.metrics[0][name], b=found.metrics[1][name]) for name in names} if found.metrics else {},
        sentences=sentences(found),
    )  # fmt: skip
