"""How far peers are from ours, on probe tensors: ``python -m segparity.migrate.measure > segparity/migrate/peers/measured.json``.

The installed peer runs in float64 beside our reference; a version or library that cannot be installed is what
``segparity.migrate.formulas`` has of it.
"""

import atexit
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from segparity.migrate.formulas import FORMULAS
from segparity.migrate.items import Context, Item, Reading, World
from segparity.migrate.peers import migrate_item
from segparity.migrate.peers.recorded import key_of
from segparity.migrate.peers.rows import ROWS, Example, Row, rows_of
from segparity.migrate.probes import Probe, never_predicted, one_class_image, probes
from segparity.migrate.running import installed_version, loss_of_torch, metric_of_torch
from segparity.parity.derivative import STENCIL
from segparity.parity.frameworks import Worker, WorkerError, missing_sentence
from segparity.parity.tolerances import GRADIENT, SMALLEST_GRADIENT, VALUE, value_error
from shared_spec.spec import LossSpec

DIRECTIONS = 2  # along which gradients are compared
STEP = 2.0**-12
KERAS = 'keras_torch'

Ask = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What probes showed. value, gradient: the largest differences, the first in units of max(1, |value|), the second of

    the largest derivative along random directions; None where nothing could be compared, gradient also for metrics.
    refused: probe -> the peer's error. version: of the peer, '' for a formula.
    """

    value: float | None
    gradient: float | None = None
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    version: str = ''


def measure(item: Item, reading: Reading, context: Context) -> float | None:
    """The largest difference of values between the item and our spec; None where the peer is not here to be asked.

    Imports the peer (Keras in a process of its own). In units of max(1, |value|).
    """
    found = measure_on_probes(item, reading, context)
    return found.value if found else None


def measure_on_probes(item: Item, reading: Reading, context: Context, ask: Ask | None = None) -> Measured | None:
    """As ``measure``, with gradients; ask: how Keras is called, a worker's ``call``. None where nothing can run."""
    row = row_of(item, reading)
    if row is None or reading.spec is None:
        return None
    formula = FORMULAS.get((row.library, row.name, row.versions.text))
    version = None if formula else installed_version(row.library)
    if formula is None and (version is None or version not in row.versions):
        return None
    if formula is None and row.library == 'keras' and ask is None:
        if missing_sentence(KERAS):
            return None
        ask = keras_worker().call
    compare = compare_loss if isinstance(reading.spec, LossSpec) else compare_metric
    named = dataclasses.replace(item, name=row.name)
    worst, slope, refused = -1.0, None, {}
    for probe in probes_for(reading, context):
        try:
            value, gradient = compare(row, named, reading, context, probe, formula, ask)
        except (Exception, WorkerError) as error:
            refused[probe.name] = f'{type(error).__name__}: {error}'.splitlines()[0][:200]
            continue
        worst = max(worst, value)
        slope = gradient if slope is None else slope if gradient is None else max(slope, gradient)
    return Measured(worst if worst >= 0 else None, slope, refused, version or '')


def row_of(item: Item, reading: Reading) -> Row | None:
    """The row that a reading is from: the one that runs here, where a reading speaks of several versions."""
    rows = [
        row
        for row in rows_of(item.library, item.name)
        if reading.versions == 'any' or row.versions.text in reading.versions.split(', ')
    ]
    version = installed_version(item.library)
    runs = [row for row in rows if version is not None and version in row.versions]
    return next(iter(runs or rows), None)


def probes_for(reading: Reading, context: Context) -> list[Probe]:
    """The probes that an item's labels, channels and ignored label ask for."""
    spec: Any = reading.spec
    first = getattr(spec, 'parts', (spec,))[0]
    weights = getattr(first, 'class_weight', None)
    channels = context.channels or context.num_classes or (len(weights) if isinstance(weights, tuple) else 3)
    label = first.ignore_index if first.ignore_index is not None else context.ignore_index
    labels = context.labels or 'ids'
    is_loss = isinstance(spec, LossSpec)
    found = probes(
        channels,
        labels,
        label if labels == 'ids' else None,
        saturated=is_loss and not getattr(first, 'from_logits', True),
    )
    if is_loss:
        return found
    if channels == 1:
        return [probe for probe in found if probe.name != 'no_foreground']
    every, absent = found[:2]
    return [
        *found,
        never_predicted(every, 'missed'),
        never_predicted(absent, 'absent_everywhere'),
        one_class_image(every),
    ]


def activation_of(reading: Reading, context: Context) -> str | None:
    """The activation whose output both are given; None for logits."""
    first: Any = getattr(reading.spec, 'parts', (reading.spec,))[0]
    if getattr(first, 'from_logits', True):
        return None
    if context.activation in ('softmax', 'sigmoid'):
        return context.activation
    return 'sigmoid' if context.channels == 1 or first.activation == 'sigmoid' else 'softmax'


def activate(logits: np.ndarray, activation: str | None) -> np.ndarray:
    if activation is None:
        return logits
    if activation == 'sigmoid':
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def directional_derivatives(
    function: Callable[[np.ndarray], float], z: np.ndarray, directions: np.ndarray
) -> np.ndarray:
    """Derivatives of ``function`` at z along directions (K, *z.shape), by eighth-order central differences."""
    return np.array([
        sum(w * (function(z + k * STEP * d) - function(z - k * STEP * d)) for k, w in STENCIL.items()) / STEP
        for d in directions
    ])  # fmt: skip


def compare_loss(
    row: Row, item: Item, reading: Reading, context: Context, probe: Probe, formula: Any, ask: Ask | None
) -> tuple[float, float | None]:
    """(difference of values, of derivatives) on a probe; the latter None at a kink."""
    spec = cast(LossSpec, reading.spec)
    activation = activation_of(reading, context)
    rng = np.random.default_rng(7)
    directions = rng.choice([-1.0, 1.0], (DIRECTIONS, *probe.logits.shape))
    if formula:
        facts = {name: value for name, value in dataclasses.asdict(context).items() if value is not None}

        def peer(z: np.ndarray) -> float:
            return float(formula(activate(z, activation), probe.target, item.arguments, facts))

        value = peer(probe.logits)
        theirs = directional_derivatives(peer, probe.logits, directions)
    else:
        if row.library == 'keras':
            assert ask is not None  # noqa: S101  ``measure_on_probes`` has started a worker
            value, arrays = ask(
                'segparity.migrate.running_keras:loss', dict(logits=probe.logits, target=probe.target),
                name=item.name, arguments=dict(item.arguments), activation=activation,
            )  # fmt: skip
            gradient = arrays['gradient']
        else:
            value, gradient = loss_of_torch(item, context, probe.logits, probe.target, activation)
        theirs = (directions * gradient).reshape(DIRECTIONS, -1).sum(1)
    pred = activate(probe.logits, activation)
    target = probe.target[:, 0] if context.channels == 1 and probe.target.ndim == 4 else probe.target
    ours = spec.reference(pred, target)
    near = spec.reference_near(pred, target)
    error = value_error(value - reading.offset, ours)
    if near is None or not math.isfinite(value):
        return error, None
    mine = directional_derivatives(lambda z: near(activate(z, activation)), probe.logits, directions)
    return error, float(np.abs(theirs - mine).max() / max(np.abs(mine).max(), SMALLEST_GRADIENT))


def compare_metric(
    row: Row, item: Item, reading: Reading, context: Context, probe: Probe, formula: Any, ask: Ask | None
) -> tuple[float, float | None]:
    """(largest difference of the results that both have, None)."""
    spec: Any = reading.spec
    channels = probe.logits.shape[1]
    activation = context.activation if context.activation in ('softmax', 'sigmoid') else None
    pred = (probe.logits[:, 0] > 0).astype(np.int64) if channels == 1 else probe.logits.argmax(1)
    ids = probe.target
    if ids.ndim == probe.logits.ndim:
        ids = ids.argmax(1) if channels > 1 else ids[:, 0].astype(np.int64)
    found = spec.reference(pred, ids)
    if formula:
        theirs = [formula(activate(probe.logits, activation), probe.target, item.arguments, {})]
    elif row.library == 'keras':
        assert ask is not None  # noqa: S101  ``measure_on_probes`` has started a worker
        value, _ = ask(
            'segparity.migrate.running_keras:metric', dict(logits=probe.logits, target=probe.target),
            name=item.name, arguments=dict(item.arguments), activation=activation,
        )  # fmt: skip
        theirs = [value]
    else:
        theirs = metric_of_torch(item, context, pred, ids, reading.results)
    return max(value_error(value, found[name]) for name, value in zip(reading.results, theirs)), None


_WORKERS: list[Worker] = []


def keras_worker() -> Worker:
    """The process in which Keras runs, started at the first use."""
    if not _WORKERS or _WORKERS[-1].process.poll() is not None:
        _WORKERS.append(Worker(KERAS))
        atexit.register(_WORKERS[-1].close)
    return _WORKERS[-1]


def holds(verdict: str, found: Measured, metric: bool = False) -> bool:
    """Whether a measured difference is what a verdict says: no more, and for a difference not so little either."""
    if found.value is None:
        return False
    gradient = found.gradient or 0.0
    exact = found.value <= VALUE['float64'] and gradient <= GRADIENT['float64']
    close = found.value <= VALUE['float32'] and gradient <= GRADIENT['float32']
    if verdict == 'exact':
        return exact
    if verdict == 'float32':
        return close and (metric or not exact)
    return not close


def context_of(row: Row, example: Example) -> Context:
    """The context in which an example is read: its own facts, and the world of its library."""
    world: World = 'keras' if row.library in ('keras', 'segmentation_models') else 'mmseg'
    return Context(world, **example.context)


def item_of(row: Row, example: Example) -> Item:
    return Item(row.library, row.name, dict(example.arguments))


def reading_of(row: Row, example: Example) -> Reading:
    """The row's own reading of an example, whatever other versions say."""
    from segparity.migrate.peers import read_item

    return read_item(row, item_of(row, example), context_of(row, example), example.compat)


def all_examples() -> Iterator[tuple[Row, Example]]:
    """Every example of the table."""
    for library in sorted(ROWS):
        for row in ROWS[library]:
            for example in row.examples:
                yield row, example


def record(row: Row, example: Example, found: Measured | None, reading: Reading) -> dict[str, Any]:
    """What measured.json keeps of an example; figures with three digits."""
    how = example.how if found is not None and found.value is not None else 'none'
    return dict(
        verdict=reading.verdict,
        how=how,
        version=found.version if found and how == 'run' else '',
        value=round_figure(found.value) if found else None,
        gradient=round_figure(found.gradient) if found else None,
        refused=dict(found.refused) if found else {},
    )


def round_figure(x: float | None) -> float | None:
    """Three digits; below 1e-13 nothing but rounding, which differs from machine to machine: 0."""
    if x is None:
        return None
    return 0.0 if x < 1e-13 else float(f'{x:.3g}') if math.isfinite(x) else x


def measure_table(ask: Ask | None = None) -> dict[str, dict[str, Any]]:
    """Every record, by its key. Raises RuntimeError where a peer that rows run is not installed."""
    found: dict[str, dict[str, Any]] = {}
    for row, example in all_examples():
        reading = reading_of(row, example)
        result = None
        if example.how != 'none':
            result = measure_on_probes(item_of(row, example), reading, context_of(row, example), ask)
            if result is None:
                raise RuntimeError(f'{key_of(row, example)}: {row.library} is not installed here in this version')
        found[key_of(row, example)] = record(row, example, result, reading)
    return found


if __name__ == '__main__':
    json.dump(measure_table(), sys.stdout, indent=1, sort_keys=True)
    print()

__all__ = ['Measured', 'measure', 'measure_on_probes', 'migrate_item']
