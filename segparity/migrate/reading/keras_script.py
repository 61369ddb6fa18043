"""Training scripts and notebooks: every ``compile``, the losses of loops of one's own, and what changes their meaning."""

import ast
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Context, Item, Place, Source, Unread
from segparity.migrate.reading.files import content
from segparity.migrate.reading.keras_compile import Compiled, Found, Sum, outputs_of
from segparity.migrate.reading.libraries import full_name, named
from segparity.migrate.reading.loops import losses_of
from segparity.migrate.reading.notebook import parse_with_magics, read_notebook
from segparity.migrate.reading.own_losses import LOSS
from segparity.migrate.reading.script_calls import Script, dotted, last_name
from segparity.migrate.reading.script_items import makes_loss
from segparity.migrate.reading.script_models import CONVOLUTIONS, Models, common_head
from segparity.migrate.reading.text import decode
from segparity.migrate.reading.values import Called, Function, Reference
from shared_spec.typing import AnyPath

SCRIPT, NOTEBOOK = 4 << 20, 64 << 20
WORDS = frozenset('loss metrics loss_weights weighted_metrics optimizer'.split())
ARGUMENTS = {'losses': 'loss', 'metrics': 'metrics'}
DOCSTRING = re.compile(r'\A\s*""".*?"""', re.DOTALL)
NOT_KERAS = ('re.', 'regex.', 'torch.', 'py_compile.', 'numba.', 'jax.')
TENSORS = frozenset('y_true y_pred labels logits target output'.split())
LAYERS = CONVOLUTIONS | {'Activation'}
PINNED = re.compile(r'(keras|tf[-_]keras|tensorflow(?:[-_](?:gpu|cpu))?)(?:\[.*\])?==([\w.]+)')
WEIGHTED = (
    'Keras divides the weighted sum by the number of pixels, ours by the sum of weights; '
    'a head of MMSegmentation takes no sample_weight'
)
BACKEND = frozenset('sum mean flatten abs square log clip cast pow exp maximum round equal variable'.split())
CLASSES = re.compile(r'(?:n|num|number|no|nb)_?(?:of_?)?(?:classes|class|labels)\Z|classes\Z|n_?cls\Z', re.IGNORECASE)


def read_keras_script(path: AnyPath) -> Source:
    """The losses and metrics of a ``.py`` script; a PyTorch script is read for the losses and metrics of known libraries.

    Raises ValueError, one sentence, where it is no Python 3 or absurdly large.
    """
    text = decode(content(path, SCRIPT), str(path))
    installs: list[str] = []
    text, _ = parse_with_magics(text, str(path), installs)
    return of_parts([(str(path), text)], 'script', str(path), installs)


def read_keras_notebook(path: AnyPath) -> Source:
    """The same of a ``.ipynb`` notebook, whose cells share their names; what is no Python 3 in it is named and left out."""
    notebook = read_notebook(content(path, NOTEBOOK), path)
    parts = [(cell.file, cell.text) for cell in notebook.cells]
    source = of_parts(parts, 'notebook', str(path), notebook.installs)
    return dataclasses.replace(source, unread=(*notebook.unread, *source.unread))


def of_parts(parts: Sequence[tuple[str, str]], what: str, file: str, installs: Sequence[str] = ()) -> Source:
    """The source that parts of a program are, which share their names; what: 'script' or 'notebook'."""
    used = use_of_functions(parts)
    script = Script([*parts, *used], _compiles_in, os.path.dirname(file) or '.')
    reading = _Reading(script, installs)
    if reading.torch():
        from segparity.migrate.reading.torch_script import read_torch

        return read_torch(script, f'PyTorch {what}', file)
    reading.read()
    found = reading.found
    return Source(
        f'Keras {what}',
        'keras',
        [dataclasses.replace(o, name=name_in_functions(o.name)) for o in found.outputs] if used else found.outputs,
        found.metrics,
        (*found.unread, *script.items.missing.values(), *script.unread),
        found.remarks,
        seen_calls=script.seen_calls(),
        files=(file, *(script.modules.files if script.modules else ())),
    )


def use_of_functions(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The ``compile`` for which a module of functions is meant, as ``segparity migrate`` writes it: ``losses()``, ``metrics()``."""
    text = '\n'.join(text for _, text in parts)
    if 'keras_plugin' not in text or '.compile(' in DOCSTRING.sub('', text, count=1):
        return []
    names = [name for name in ('losses', 'metrics') if re.search(rf'^def {name}\(\):', text, re.MULTILINE)]
    words = ', '.join(f'{ARGUMENTS[name]}={name}()' for name in names)
    return [(parts[0][0], f"model.compile(optimizer='sgd', {words})")] if names else []


def name_in_functions(name: str) -> str:
    """Of an output of ``losses()``: heads of MMSegmentation under their name, others as outputs of one model."""
    output = name.partition(', output ')[2]
    if not output:
        return 'decode_head'
    return output if output.startswith(('decode_head', 'auxiliary_head')) else f'losses, output {output}'


def _compiles_in(node: ast.Call) -> bool:
    """Whether a call in the source may be that of a model's ``compile``."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr != 'compile':
        return False
    words = {word.arg for word in node.keywords}
    return bool(words & (WORDS | {None})) or len(node.args) >= 2


class _Reading:
    def __init__(self, script: Script, installs: Sequence[str]) -> None:
        self.script = script
        self.items = script.items
        self.installs = installs
        self.found = Found()
        self.items.remark = self.found.remark
        self.models = Models(self.items)
        for called in script.calls('add'):
            if called.name == '.add' and isinstance(called.on, Called) and called.args:
                self.models.kept.append(called.on)
                self.models.added.setdefault(id(called.on), []).append(called.args[0])

    def read(self) -> None:
        """Fills ``found``."""
        layers = [heard.called for heard in self.script.heard if last_name(heard.called) in LAYERS]
        self.common = common_head(layers)
        self.context = Context(world='keras', version=self.version(), num_classes=self.classes(), labels=self.labels())
        compiles = list(self.compiles())
        for called in compiles:
            self.compiled(called)
        for called in self.once('HostMetrics'):  # which measures after an epoch, as a callback
            item = self.items.structure(called, called.place, metric=True)
            if isinstance(item, Item):
                self.found.metrics.append((item, self.context))
        self.added_losses()
        if not any(output.losses for output in self.found.outputs):
            self.loops()
        self.remarks(bool(compiles))
        if not self.found.outputs and not self.found.unread and not self.found.metrics:
            self.found.unread.append(self.nothing())

    # compile

    def compiles(self) -> Iterator[Called]:
        """Each ``compile`` of a model; with the defaults of the function around it only where nothing calls that function."""
        found = [heard for heard in self.script.heard if self.is_compile(heard.called)]
        places = [heard.called.place for heard in found if 'loss' in heard.called.kwargs or len(heard.called.args) > 1]
        found = [heard for heard in found if not self.hands_on(heard.called, places)]
        sure = {heard.called.place for heard in found if heard.sure}
        known: set[tuple[Place, str]] = set()
        for heard in found:
            if heard.sure or heard.called.place not in sure:
                key = (
                    heard.called.place,
                    repr((heard.called.args, sorted(heard.called.kwargs.items(), key=lambda p: p[0]))),
                )
                if key not in known:
                    known.add(key)
                    yield heard.called

    def hands_on(self, called: Called, places: Sequence[Place]) -> bool:
        """Whether it is a method of the source's own that hands a loss on to a ``compile`` in it."""
        target = self.items.target(called) if called.on is not None else called.target
        if not isinstance(target, Function):
            return False
        first, last = target.node.lineno, target.node.end_lineno or 0
        return any(place.file == target.place.file and first <= place.line <= last for place in places)

    def is_compile(self, called: Called) -> bool:
        name = full_name(called.name)
        if last_name(called) != 'compile' or name == 'compile' or (called.on is None and name.startswith(NOT_KERAS)):
            return False
        return bool(WORDS & set(called.kwargs)) or len(called.args) >= 2 or called.starred

    def compiled(self, called: Called) -> None:
        args = dict(zip(('optimizer', 'loss'), called.args[:2]))
        places = getattr(called.kwargs, 'places', {})
        third, fourth = (*called.args[2:4], None, None)[:2]
        name = f'compile {self.where(called.place)}'
        if third is not None or fourth is not None:
            self.third_place(called, third, fourth, args)
        args.update(called.kwargs)
        if called.starred:
            reason = 'what * or ** brings to compile is not known'
            self.found.unread.append(Unread(reason, called.place, called.text))
        at = {word: places.get(word, called.place) for word in WORDS}
        loss = self.items.structure(args.get('loss'), at['loss'])
        heads = self.models.heads(called.on) if called.on is not None else {}
        context = self.context
        if not heads and self.common is not None:
            context = dataclasses.replace(context, activation=self.common.activation, channels=self.common.channels)
        several = isinstance(loss, (dict, list)) and len(loss) > 1
        if len(heads) == 1 and not several:
            heads = {'': next(iter(heads.values()))}
        before = len(self.found.outputs)
        weights = args.get('loss_weights')
        outputs_of(
            Compiled(
                name,
                called.place,
                loss,
                _weights(weights, at['loss_weights']),
                self.items.structure(args.get('metrics'), at['metrics'], metric=True),
                self.items.structure(args.get('weighted_metrics'), at['weighted_metrics'], metric=True),
                heads,
                context,
            ),
            self.found,
        )
        if args.get('run_eagerly') is True:
            self.found.remark(
                f'{called.place}: run_eagerly=True is for looking into steps: training is several times slower'
            )
        if args.get('weighted_metrics'):
            self.found.remark(f'{called.place}: weighted_metrics alone receive sample_weight')
        if len(self.found.outputs) == before and loss is None and not called.starred:
            self.found.remark(
                f'{called.place}: compile has no loss: the model adds its own with add_loss, or a custom train_step'
            )

    def where(self, place: Place) -> str:
        """'at line 12', in a notebook 'in cell 3 at line 2'."""
        cell = re.search(r'\[(\d+)\]\Z', place.file)
        return f'in cell {cell[1]} at line {place.line}' if cell else f'at line {place.line}'

    def third_place(self, called: Called, third: Any, fourth: Any, args: dict[str, Any]) -> None:
        """The third and fourth argument by position: metrics and loss_weights in Keras 2, the other way round in Keras 3."""
        for given in (third, fourth):
            if given is not None:
                args['loss_weights' if _are_weights(given) else 'metrics'] = given
        if third is not None and not _are_weights(third) and not str(self.context.version or '').startswith(('1', '2')):
            self.found.remark(
                f'{called.place}: the third argument of compile is metrics in Keras 2 and loss_weights in Keras 3; it holds metrics'
            )

    # Loops

    def added_losses(self) -> None:
        """What ``model.add_loss`` is given."""
        for called in self.once('add_loss'):
            losses = self.losses_in(called, set())
            if losses:
                self.found.remark(f'{called.place}: add_loss adds to what compile has')
            else:
                self.found.unread.append(
                    Unread(
                        'add_loss adds to what compile has, and what it adds is not known', called.place, called.text
                    )
                )
            self.outputs_without_compile('add_loss', called, losses)

    def loops(self) -> None:
        """Losses that are called in a loop of one's own, added up where a gradient is taken of them."""
        covered: set[Place] = set()
        for called in self.once('gradient'):
            losses = self.losses_in(called, covered)
            self.outputs_without_compile('loop', called, losses)
        for heard in self.script.heard:
            called = heard.called
            item = self.loss_called(called, deep=False) if called.place not in covered else None
            if item is not None:
                covered.add(called.place)
                self.outputs_without_compile('loop', called, [item])
        for output in self.found.outputs:
            if output.name.startswith('loop'):
                names = ', '.join(item.name for item in output.losses)
                self.found.remark(
                    f'{output.place}: a loop of its own calls {names}: metrics of such a loop are not seen'
                )

    def losses_in(self, called: Called, covered: set[Place]) -> list[Item]:
        """The losses that the first argument of a call adds up."""
        losses, unread = losses_of(called.args[0], self.loss_called, covered) if called.args else ([], [])
        self.found.unread.extend(unread)
        return losses

    def once(self, name: str) -> list[Called]:
        """The calls of a name, the first of each place."""
        found: dict[Place, Called] = {}
        for called in self.script.calls(name):
            found.setdefault(called.place, called)
        return list(found.values())

    def outputs_without_compile(self, word: str, called: Called, losses: Sequence[Item]) -> None:
        if losses:
            context = self.context
            if self.common is not None:
                context = dataclasses.replace(context, activation=self.common.activation, channels=self.common.channels)
            name = f'{word} {self.where(called.place)}'
            outputs_of(Compiled(name, called.place, Sum(tuple(losses)), context=context), self.found)

    def loss_called(self, called: Called, deep: bool = True) -> Item | None:
        """The item of a loss that is called on labels and predictions; deep: of a function of the source, too."""
        if called.name == '' and isinstance(called.on, Called) and makes_loss(called.on, self.items.stars):
            item = self.items.leaf(called.on, called.place)
            return item if isinstance(item, Item) else None
        whose = named(called.name) if called.on is None and len(called.args) + len(called.kwargs) >= 2 else None
        if whose is not None and whose.kind == 'loss' and whose.name[:1].islower():
            words = {str(i): v for i, v in enumerate(called.args[2:], 2)} | dict(called.kwargs)
            arguments = {k: self.items.argument(v, called.place) for k, v in words.items() if k not in TENSORS}
            return Item(whose.library, whose.name, arguments, called.place, text=called.text)
        return self.items.loss_of_function(called) if deep else None

    # What changes the meaning

    def version(self) -> str | None:
        """Of Keras, as the packages that are installed or the names that are used tell it."""
        pinned = [found for name in self.installs if (found := PINNED.fullmatch(name.strip('"\'').lower()))]
        pinned.sort(key=lambda found: found[1].startswith('tensorflow') is self.standalone())
        if pinned:
            return _of_package(pinned[0][1], pinned[0][2])
        names = {dotted(heard.called) for heard in self.script.heard} | {
            full_name(value.name)
            for value in self.script.scope.values()
            if isinstance(value, Reference) and value.on is None
        }
        raw = {heard.called.name for heard in self.script.heard}
        if any(name.startswith(('keras.ops', 'keras_hub', 'keras.random.', 'keras_plugin')) for name in names):
            return None  # Keras 3, within which Tversky changes
        if any(name.startswith('keras.backend.') and name.rpartition('.')[2] in BACKEND for name in raw):
            return '2'  # Keras 3 has these in keras.ops
        if any(name.startswith(('keras.engine', 'keras.objectives')) for name in names) or self.uses_words(
            'border_mode', 'nb_epoch'
        ):
            return '1'
        if any(
            name.startswith(
                (
                    'keras.layers.merge',
                    'keras.layers.convolutional',
                    'keras.utils.np_utils',
                    'keras.utils.multi_gpu',
                    'segmentation_models.',
                )
            )
            or name.endswith('.fit_generator')
            for name in names | raw
        ):
            return '2'
        if any(
            value.name.startswith('tf_keras') for value in self.script.scope.values() if isinstance(value, Reference)
        ):
            return '2'
        return None

    def standalone(self) -> bool:
        """Whether the source imports keras itself, not that of TensorFlow."""
        values = [value for value in self.script.scope.values() if isinstance(value, Reference) and value.on is None]
        return any(value.name.partition('.')[0] == 'keras' for value in values)

    def uses_words(self, *words: str) -> bool:
        return any(word in heard.called.kwargs for heard in self.script.heard for word in words)

    def classes(self) -> int | None:
        """The number of classes, where all that show it agree."""
        found: set[int] = set()
        for heard in self.script.heard:
            called, name = heard.called, last_name(heard.called)
            given: Any = None
            if name in {'to_categorical', 'one_hot'}:
                words = ('num_classes', 'nb_classes', 'depth', 'n_classes')
                given = next((called.kwargs[word] for word in words if word in called.kwargs), None)
                given = called.args[1] if given is None and len(called.args) > 1 else given
            elif name in {'MeanIoU', 'OneHotMeanIoU'}:
                given = called.kwargs.get('num_classes', called.args[0] if called.args else None)
            if _is_count(given):
                found.add(given)
        if not found:
            found = {v for k, v in self.script.scope.items() if CLASSES.match(k) and _is_count(v) and v > 1}
        return found.pop() if len(found) == 1 else None

    def labels(self) -> str | None:
        names = {last_name(heard.called) for heard in self.script.heard}
        return 'one_hot' if names & {'to_categorical', 'one_hot'} else None

    # Remarks

    def remarks(self, compiled: bool) -> None:
        for heard in self.script.heard:
            called, name = heard.called, last_name(heard.called)
            if name in {'fit', 'fit_generator', 'train_on_batch'} and called.kwargs.get('class_weight') is not None:
                self.found.remark(
                    f'{called.place}: fit(class_weight=...) raises on label maps: give the loss class_weight'
                )
            if name in {'fit', 'train_on_batch'} and called.kwargs.get('sample_weight') is not None:
                self.found.remark(f'{called.place}: sample_weight changes the loss and weighted_metrics, not metrics')
                self.unread_once(WEIGHTED, called)
            if _puts_channels_first(name, called):
                self.unread_once('channels first: ours take the classes last', called)
            if name == 'load_model':
                given = called.kwargs.get('custom_objects')
                words = f' with {", ".join(map(str, list(given)[:8]))}' if isinstance(given, Mapping) and given else ''
                self.found.remark(
                    f'{called.place}: load_model takes losses and metrics from the saved model{words}; read that file as well'
                )

    def unread_once(self, reason: str, called: Called) -> None:
        if all(unread.reason != reason for unread in self.found.unread):
            self.found.unread.append(Unread(reason, called.place, called.text))

    def nothing(self) -> Unread:
        place = Place(self.script.evaluators[0].file if self.script.evaluators else '')
        loaded = next(self.script.calls('load_model'), None)
        if loaded is not None:
            return Unread('the losses are those of the saved model: read the .keras file', loaded.place, loaded.text)
        own = [k for k, v in self.script.scope.items() if isinstance(v, Function) and LOSS.search(k)]
        more = f'; segparity recognise compares a function such as {own[0]} with ours' if own else ''
        return Unread(f'no compile and no loss of a known library was found{more}', place)

    def torch(self) -> bool:
        """Whether the source imports PyTorch and nothing of Keras."""
        names = {
            full_name(v.name).partition('.')[0]
            for v in self.script.scope.values()
            if isinstance(v, Reference) and v.on is None
        }
        names |= {dotted(heard.called).partition('.')[0] for heard in self.script.heard}
        torch = names & {
            'torch',
            'segmentation_models_pytorch',
            'monai',
            'torchmetrics',
            'kornia',
            'mmseg_plugin',
            'mmseg',
        }
        return bool(torch) and not names & {'keras', 'tensorflow', 'segmentation_models', 'keras_plugin'}


def _puts_channels_first(name: str, called: Called) -> bool:
    """Whether a call says that the classes are the second axis: a softmax over it, a layer or the whole of Keras."""
    if name == 'set_image_data_format':
        return 'channels_first' in (*called.args[:1], *called.kwargs.values())
    if name == 'Softmax':
        return 1 in (called.kwargs.get('axis'), *called.args[:1])
    return name in CONVOLUTIONS and called.kwargs.get('data_format') == 'channels_first'


def _weights(value: Any, place: Place) -> Any:
    """``loss_weights``: numbers in lists and dicts as they are, the rest ``Unread``."""
    if isinstance(value, (list, tuple)):
        return [_weights(inner, place) for inner in value]
    if isinstance(value, dict):
        return {str(k): _weights(v, place) for k, v in value.items()}
    if value is None or isinstance(value, Unread) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    text = value.text if isinstance(value, Called) else str(value)
    return Unread('it is no number that can be known', place, text[:100])


def _are_weights(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_are_weights, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_are_weights, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000


def _of_package(package: str, version: str) -> str | None:
    """The version of Keras that a pinned package brings; None for a Keras 3 that is not named."""
    major, _, minor = version.partition('.')
    minor = minor.partition('.')[0]
    if package.startswith('tensorflow'):
        if major == '1':
            return '2'
        return f'2.{minor}' if major == '2' and minor.isdigit() and int(minor) < 16 else None
    return version if major in {'1', '2'} or (major.isdigit() and minor.isdigit()) else None
