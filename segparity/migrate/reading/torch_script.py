"""PyTorch training scripts: the losses and metrics of known libraries that they construct, and how the loss is added up."""

import ast
from collections.abc import Iterator
from typing import Any

from segparity.migrate.items import Context, Item, Output, Place, Source, Unread
from segparity.migrate.reading.libraries import from_star, full_name, named
from segparity.migrate.reading.loops import CHANGED, holds_loss, losses_of
from segparity.migrate.reading.own_losses import LOSS
from segparity.migrate.reading.script_calls import Script, last_name
from segparity.migrate.reading.script_items import makes_loss
from segparity.migrate.reading.script_models import Models
from segparity.migrate.reading.torch_activations import activation_of, takes_logits
from segparity.migrate.reading.values import Called, Class, Function

LOSS_TERMS = frozenset(('terms', 'formula'))
SECOND = 'the loss takes logits and is given probabilities: a second activation'
UNUSED = 'where a gradient of this loss is taken was not found, so that its factor is not known and is 1 here'
PREDICTIONS = 'input', 'y_pred', 'pred', 'preds', 'output', 'logits'
BACKWARD = frozenset('backward manual_backward'.split())
STEPS = frozenset('training_step train_step compute_loss'.split())
ARITHMETIC = frozenset('add iadd sub isub mul imul truediv itruediv neg pow ipow floordiv mod matmul'.split())


def read_torch(script: Script, kind: str, file: str) -> Source:
    """A script that imports PyTorch and nothing of Keras, in the layout of MMSegmentation: (N, C, H, W), logits."""
    reading = _Reading(script)
    return reading.source(kind, file)


class _Reading:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.items = script.items
        self.remarks: list[str] = []
        self.unread: list[Unread] = list(script.unread)
        self.items.remark = self.remarks.append
        self.context = self.context_of_model()

    def source(self, kind: str, file: str) -> Source:
        outputs = list(self.outputs())
        self.activations()
        metrics = [(item, self.context) for item in self.made('metric')]
        if not outputs and not metrics:
            self.unread.append(Unread('no loss of a known library was found', Place(file)))
        return Source(
            kind,
            'mmseg',
            outputs,
            metrics,
            [*self.unread, *self.items.missing.values()],
            list(dict.fromkeys(self.remarks)),
            seen_calls=self.script.seen_calls(),
            files=(file, *(self.script.modules.files if self.script.modules else ())),
        )

    def context_of_model(self) -> Context:
        """Classes and activation of a model of segmentation_models_pytorch, where all that are made agree."""
        models = self.models = Models(self.items)
        found = {
            head
            for heard in self.script.heard
            if full_name(heard.called.name).startswith('segmentation_models_pytorch.')
            and named(heard.called.name) is None
            for head in models.heads(heard.called).values()
        }
        if len(found) != 1:
            return Context(world='mmseg')
        head = found.pop()
        activation = head.activation if head.activation in {'logits', 'softmax', 'sigmoid'} else None
        return Context(
            world='mmseg',
            channels=head.channels,
            num_classes=max(head.channels, 2) if head.channels else None,
            activation=activation,
        )

    def outputs(self) -> Iterator[Output]:
        """What ``backward`` is called on, then every other loss by itself; losses inside another are not named twice."""
        covered: set[Place] = set()
        own: dict[str, list[ast.ClassDef]] = {}
        for heard in self.script.heard:
            target = heard.called.target
            if isinstance(target, Class) and LOSS_TERMS & set(self.own_arguments(heard.called, target)):
                own.setdefault(target.place.file, []).append(target.node)
        for name, place, value in self.gradients():
            inside = any(node.lineno <= place.line <= (node.end_lineno or 0) for node in own.get(place.file, []))
            if name != 'backward' and inside:
                continue  # a loss of the source's own, which is an item itself
            if place in covered or (name.startswith(('return', 'loss')) and self.is_known(value, covered)):
                continue
            losses, unread = losses_of(value, self.loss_called, covered, self.follow)
            if name.startswith('loss'):
                unread = [part for part in unread if part.reason == CHANGED]
            self.unread.extend(unread)
            for item in losses:
                covered.update((item.place, *_places(item)))
                self.remark_on_steps(item, place)
            if losses:
                covered.add(place)
                yield self.output(f'{name} at line {place.line}', losses, place)
        for item in self.made('loss'):
            if item.place not in covered:
                covered.add(item.place)
                covered.update(_places(item))
                if self.trains():
                    self.unread.append(Unread(UNUSED, item.place, item.text))
                yield self.output(f'{item.name} at line {item.place.line}', [item], item.place)

    def trains(self) -> bool:
        """Whether the source itself takes gradients, or has the step of a trainer that does."""
        nodes = [node for evaluator in self.script.evaluators for node in ast.walk(evaluator.tree)]
        return any(
            (isinstance(node, ast.FunctionDef) and node.name in STEPS)
            or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in BACKWARD)
            for node in nodes
        )

    def own_arguments(self, called: Called, target: Class) -> dict[str, Any]:
        """What is known of a class of the source as a loss; 'formula' among it where it is computed."""
        item = self.items.own_instance(called, target, metric=False)
        computed = {'formula': item.formula} if item.formula is not None and LOSS.search(item.name) else {}
        return {**item.arguments, **computed}

    def activations(self) -> None:
        """Names the losses of logits that are called on probabilities."""
        known: set[Place] = set()
        for heard in self.script.heard:
            called = heard.called
            item = self.loss_called(called) if called.place not in known else None
            if item is None or not takes_logits(item):
                continue
            given = [called.kwargs[word] for word in PREDICTIONS if word in called.kwargs]
            prediction = (*given, *called.args[:1], None)[0]
            found = activation_of(prediction, self.models, self.follow) or self.context.activation
            if found == 'log_softmax' and item.name in {'CrossEntropyLoss', 'cross_entropy'}:
                known.add(called.place)
                self.remarks.append(f'{called.place}: a log_softmax before {item.name} changes nothing: it has its own')
            elif found not in {None, 'logits'}:
                known.add(called.place)
                self.unread.append(Unread(f'{SECOND} ({found})', called.place, called.text))

    def gradients(self) -> Iterator[tuple[str, Place, Any]]:
        """(how it is used, where, value) of what a gradient is taken of, then of what methods return, then of other sums."""
        for heard in self.script.heard:
            called = heard.called
            if last_name(called) == 'backward' and isinstance(called.on, Called) and not called.args:
                yield 'backward', called.place, called.on
            elif last_name(called) in BACKWARD and called.args:
                yield 'backward', called.place, called.args[0]
        for evaluator in self.script.evaluators:
            for place, value in evaluator.returned:
                if isinstance(value, dict):
                    value = value.get('loss')
                elif isinstance(value, tuple):
                    value = next((part for part in value if holds_loss(part, self.loss_called)), None)
                if isinstance(value, Called):
                    yield 'return', place, value
        for evaluator in self.script.evaluators:
            for value in reversed(evaluator.worked):
                if value.name.removeprefix('operator.') in ARITHMETIC:
                    yield 'loss', value.place, value

    def is_known(self, value: Any, covered: set[Place]) -> bool:
        """Whether all losses of a sum are those of one that is known."""
        losses, unread = losses_of(value, self.loss_called, set(), self.follow)
        return not any(part.reason == CHANGED for part in unread) and all(item.place in covered for item in losses)

    def follow(self, called: Called) -> Any:
        """What a function or method of the source returns, which may be a sum of losses."""
        function = self.items.target(called)
        if not isinstance(function, Function) or called.starred:
            return None
        owner = called.on.target if isinstance(called.on, Called) else called.on
        return self.items.follow(function, called.args, called.kwargs, owner if isinstance(owner, Class) else None)

    def remark_on_steps(self, item: Item, place: Place) -> None:
        weight = item.weight
        if isinstance(weight, float) and 0 < weight < 1 and abs(1 / weight - round(1 / weight)) < 1e-9:
            self.remarks.append(
                f'{place}: a loss that is divided by {round(1 / weight)} before backward is mostly one of accumulated '
                'gradients: take the factor out where the host accumulates them itself'
            )

    def output(self, name: str, losses: list[Item], place: Place) -> Output:
        return Output(name, losses, self.context, place)

    def made(self, kind: str) -> Iterator[Item]:
        """Each loss or metric that the script constructs, once; those that hold others come first."""
        found: dict[Place, Item] = {}
        for heard in self.script.heard:
            called = heard.called
            whose = named(from_star(called.name, self.items.stars)) if called.on is None else None
            if kind == 'loss' and isinstance(called.target, Class):
                own = self.items.own_instance(called, called.target, metric=False)
                if 'terms' in own.arguments or (own.formula is not None and LOSS.search(own.name)):
                    found[called.place] = own
                    continue
            if whose is None or whose.kind != kind or whose.name == 'get_stats':
                continue
            if kind == 'metric' and whose.name[:1].islower():
                given = {k: self.items.argument(v, called.place) for k, v in called.kwargs.items()}
                plain = {k: v for k, v in given.items() if not isinstance(v, Unread)}
                item: object = Item(whose.library, whose.name, plain, called.place, text=called.text)
            elif kind == 'loss' and whose.name.rpartition('.')[2][:1].islower():
                first = dict.fromkeys(['0', '1']) | dict.fromkeys(('input', 'target', 'weight'))
                arguments = {k: v for k, v in self.items.arguments(called).items() if k not in first or k == 'weight'}
                item = Item(whose.library, whose.name, arguments, called.place, text=called.text)
            else:
                item = self.items.leaf(called, called.place, metric=kind == 'metric')
            if isinstance(item, Item):
                found[called.place] = item
        inside = {place for item in found.values() for place in _places(item)}
        yield from (item for place, item in found.items() if place not in inside)

    def loss_called(self, value: Called) -> Item | None:
        if value.name == '' and isinstance(value.on, Called) and makes_loss(value.on, self.items.stars):
            item = self.items.leaf(value.on, value.place)
            return item if isinstance(item, Item) else None
        whose = named(value.name) if value.on is None else None
        if whose is not None and whose.kind == 'loss' and last_name(value)[:1].islower():
            words = {str(i): v for i, v in enumerate(value.args[2:], 2)} | dict(value.kwargs)
            arguments = {
                k: self.items.argument(v, value.place) for k, v in words.items() if k not in {'input', 'target'}
            }
            return Item(whose.library, whose.name, arguments, value.place, text=value.text)
        return self.items.loss_of_function(value)


def _places(item: Item) -> Iterator[Place]:
    """Where the losses inside a loss stand."""
    waiting = list(item.arguments.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, Item):
            yield value.place
            waiting.extend(value.arguments.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
