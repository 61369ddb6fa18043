"""What ``compile`` was given, in items: which losses and metrics each output of a model has, and in which context."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Context, Item, Output, Place, Unread
from segparity.migrate.reading.keras_layers import Head
from segparity.migrate.reading.keras_names import LABELS
from segparity.migrate.reading.text import shorten


@dataclasses.dataclass(frozen=True)
class Sum:
    """Losses that are added, each with its weight."""

    items: Sequence[Item | Unread]


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The arguments of one ``compile``: ``Item``, ``Sum``, ``Unread`` or None, in lists and dicts as the source has them.

    name: 'compile at line 12'. heads: the model's outputs by name, where the source shows them. context: what else it shows.
    """

    name: str
    place: Place
    loss: Any = None
    loss_weights: Any = None
    metrics: Any = None
    weighted_metrics: Any = None
    heads: Mapping[str, Head] = dataclasses.field(default_factory=dict)
    context: Context = dataclasses.field(default_factory=lambda: Context(world='keras'))


@dataclasses.dataclass
class Found:
    """What one or several ``compile`` gave."""

    outputs: list[Output] = dataclasses.field(default_factory=list)
    metrics: list[tuple[Item, Context]] = dataclasses.field(default_factory=list)
    unread: list[Unread] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)
    said: set[str] = dataclasses.field(default_factory=set)

    def remark(self, sentence: str) -> None:
        if sentence not in self.said:
            self.said.add(sentence)
            self.remarks.append(sentence)


def outputs_of(compiled: Compiled, found: Found) -> None:
    """Adds the outputs and metrics of one ``compile`` to ``found``."""
    leaves = list(_leaves(compiled.loss))
    heads = compiled.heads
    if isinstance(compiled.loss, (list, tuple)) and len(leaves) > 1 and len(heads) == 1:
        found.remark(
            f'{compiled.name}: the model has one output and loss is a list of {len(leaves)}, of which Keras trains on the '
            'first alone; a sum is WeightedSumLoss'
        )
        leaves = leaves[:1]
    weights = dict(_leaves(compiled.loss_weights)) if compiled.loss_weights is not None else {}
    contexts: dict[str, Context] = {}
    for number, (path, leaf) in enumerate(leaves):
        losses = [item for item in _items(leaf) if isinstance(item, Item)]
        found.unread.extend(item for item in _items(leaf) if isinstance(item, Unread))
        weight = _weight(compiled.loss_weights, weights, path, number, len(leaves))
        losses = [dataclasses.replace(item, weight=times(item.weight, weight)) for item in losses]
        name = compiled.name + (f', output {path}' if path else '')
        head = _head(heads, path, number, len(leaves))
        context = contexts[path] = _context(compiled.context, head, losses, name, found)
        if losses:
            found.outputs.append(Output(name, losses, context, losses[0].place if len(leaves) > 1 else compiled.place))
    shared = (
        _shared(list(contexts.values()))
        if contexts
        else _context(
            compiled.context, next(iter(heads.values())) if len(heads) == 1 else None, [], compiled.name, found
        )
    )
    for given in (compiled.metrics, compiled.weighted_metrics):
        for path, leaf in _metrics(given):
            context = contexts.get(path, shared)
            for item in _items(leaf):
                if isinstance(item, Item):
                    found.metrics.append((item, context))
                else:
                    found.unread.append(item)


def times(a: Any, b: Any) -> Any:
    """The product of two weights, either of which may be ``Unread``."""
    if isinstance(a, Unread) or isinstance(b, Unread):
        return a if isinstance(a, Unread) else b
    try:
        product = float(a) * float(b)
    except OverflowError:
        product = math.inf
    return (
        product
        if math.isfinite(product)
        else Unread('it is no finite number', Place(''), f'{str(a)[:20]} * {str(b)[:20]}')
    )


def _items(leaf: Any) -> Sequence[Any]:
    return leaf.items if isinstance(leaf, Sum) else [leaf]


def _leaves(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """(path of the output, leaf) in a structure of lists and dicts; None is no leaf. A list of one is that one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f'{path}/{shorten(str(key))}' if path else shorten(str(key)))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            word = path if len(value) == 1 else f'{path}/{number}' if path else str(number)
            yield from _leaves(inner, word)
    elif value is not None:
        yield path, value


def _metrics(value: Any) -> Iterator[tuple[str, Any]]:
    """(path of the output, metric): a list of lists is one for each output, a flat list belongs to all of them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ((shorten(str(key)), leaf) for _, leaf in _leaves(inner))
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, (list, tuple)) for inner in value):
        for number, inner in enumerate(value):
            yield from ((str(number) if len(value) > 1 else '', leaf) for _, leaf in _leaves(inner))
    else:
        yield from (('', leaf) for _, leaf in _leaves(value))


def _weight(given: Any, weights: Mapping[str, Any], path: str, number: int, count: int) -> Any:
    if isinstance(given, (int, float, Unread)) and not isinstance(given, bool):
        return given
    if path in weights:
        value = weights[path]
    elif len(weights) == count:
        value = list(weights.values())[number]
    else:
        return 1.0
    return value if isinstance(value, (int, float, Unread)) and not isinstance(value, bool) else 1.0


def _head(heads: Mapping[str, Head], path: str, number: int, count: int) -> Head | None:
    if path in heads:
        return heads[path]
    if len(heads) == count:
        return list(heads.values())[number]
    return None


def _context(context: Context, head: Head | None, losses: Sequence[Item], name: str, found: Found) -> Context:
    """The context of an output: its last layer, and what its losses say of predictions and labels."""
    activation = head.activation if head else context.activation
    channels = head.channels if head and head.channels else context.channels
    if activation not in {None, 'logits', 'softmax', 'sigmoid'}:
        place = losses[0].place if losses else Place('')
        reason = f'{name}: the last layer ends in {activation!r}, which gives neither logits nor probabilities'
        if all(unread.reason != reason for unread in found.unread):
            found.unread.append(Unread(reason, place))
        activation = None
    told = [item.arguments['from_logits'] for item in losses if isinstance(item.arguments.get('from_logits'), bool)]
    if activation in {'softmax', 'sigmoid'} and True in told:
        found.remark(
            f'{name}: the last layer is a {activation} and the loss has from_logits=True, '
            'which expects a layer without one'
        )
    if activation == 'logits' and any(
        item.library in {'keras', 'segparity'}
        and item.arguments.get('from_logits', False) is False
        and item.name in PROBABILITIES
        for item in losses
    ):
        found.remark(
            f'{name}: the last layer gives logits and the loss takes probabilities: from_logits=True is missing'
        )
    if activation is None and True in told:
        activation = 'logits'
    if activation == 'softmax' and channels == 1:
        found.remark(f'{name}: a softmax over one channel is 1 everywhere: the last layer needs a sigmoid')
    labels = next(
        (LABELS[item.name] for item in losses if item.library == 'keras' and item.name in LABELS), context.labels
    )
    classes = max(channels, 2) if channels else context.num_classes
    return dataclasses.replace(context, activation=activation, channels=channels, num_classes=classes, labels=labels)


PROBABILITIES = frozenset(
    'binary_crossentropy BinaryCrossentropy categorical_crossentropy CategoricalCrossentropy '
    'sparse_categorical_crossentropy SparseCategoricalCrossentropy binary_focal_crossentropy BinaryFocalCrossentropy '
    'categorical_focal_crossentropy CategoricalFocalCrossentropy dice Dice tversky Tversky'.split()
)


def _shared(contexts: Sequence[Context]) -> Context:
    """What several contexts have in common; None where they differ."""
    first = contexts[0]
    same = {
        field.name: getattr(first, field.name)
        for field in dataclasses.fields(Context)
        if all(getattr(context, field.name) == getattr(first, field.name) for context in contexts)
    }
    return Context(**same)
