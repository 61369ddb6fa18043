"""The configurations that a user trains with: read from JSON, and the inputs on which they are checked."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from segparity.parity import cases
from segparity.parity.cases import Case
from segparity.parity.sample_cases import feature_pair
from shared_spec import LOSSES, LossSpec, from_dict
from shared_spec.files import one_sentence
from shared_spec.registry import unknown_name

LARGEST = 2**20  # bytes of a file
HOST = ('name', 'reduction', 'dtype', 'layer')  # what Keras writes beside the parameters
SPACES = ((3, 4), (8, 9), (16, 17), (32, 33))  # the smallest in which a loss is defined


def read_configurations(text: str) -> dict[str, LossSpec]:
    """Label -> spec of JSON text, or of a .json file that ``text`` names.

    One configuration or a list of them: ``{'type': name, ...}`` with the parameters of the spec, or what Keras writes
    for a loss, ``{'class_name': name, 'config': {...}}``. ValueError in one sentence for everything else.
    """
    told = text.strip()
    if told[:1] not in ('{', '['):
        if not told.endswith('.json') and not os.path.isfile(text):
            raise ValueError(
                f'--config must be JSON such as \'{{"type": "SoftDiceLoss"}}\' or a .json file, got {text!r}'
            )
        if os.path.getsize(text) > LARGEST:
            raise ValueError(f'--config {text} has {os.path.getsize(text):,} bytes, expected the JSON of a loss')
        told = Path(text).read_text(encoding='utf-8', errors='replace')
    try:
        given = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'--config is no JSON ({str(error).splitlines()[0]}), got {told[:60]!r}') from None
    items = given if isinstance(given, list) else [given]
    if not items:
        raise ValueError('--config is an empty list, expected at least one configuration')
    found: dict[str, LossSpec] = {}
    for item in items:
        spec = spec_of(item)
        name = type(spec).__name__
        same = sum(label.split()[0] == name for label in found)
        found[f'{name} {same + 1}' if same else name] = spec
    return found


def spec_of(config: object) -> LossSpec:
    """The loss of one configuration of either world."""
    if not isinstance(config, Mapping):
        raise ValueError(f'--config must be an object with a type, such as {{"type": "SoftDiceLoss"}}, got {config!r}')
    if 'class_name' in config:
        return of_keras(config)
    kind = config.get('type')
    if not isinstance(kind, str) or kind not in LOSSES:
        raise unknown_name('loss', kind, list(LOSSES))
    with one_sentence(f'--config {kind}', passing=ValueError):
        return cast(LossSpec, from_dict(config))


def of_keras(config: Mapping[str, Any]) -> LossSpec:
    """The loss that Keras serialised, whose parameters are spelt as in its constructor."""
    kind, given = config['class_name'], config.get('config')
    if not isinstance(kind, str) or kind not in LOSSES:
        raise unknown_name('loss', kind, list(LOSSES))
    if not isinstance(given, Mapping):
        raise ValueError(f'--config {kind}: config must be an object of parameters, got {given!r}')
    if given.get('reduction', 'sum_over_batch_size') != 'sum_over_batch_size':
        raise ValueError(
            f'--config {kind}: reduction must be "sum_over_batch_size", which the reference has, got '
            f'{given["reduction"]!r}'
        )
    arguments = {name: value for name, value in given.items() if name not in HOST}
    if isinstance(arguments.get('losses'), list):
        arguments['losses'] = [of_keras(part_of_keras(part)) for part in arguments['losses']]
    with one_sentence(f'--config {kind}', passing=ValueError):
        return LOSSES[kind].from_keras(arguments)


def part_of_keras(part: object) -> dict[str, Any]:
    """A part of a sum as Keras serialises a loss; in a sum of ours it has a 'type' among its parameters."""
    if not isinstance(part, Mapping):
        raise ValueError(f'--config WeightedSumLoss: losses must be objects, got {part!r}')
    if 'type' in part:
        return {'class_name': part['type'], 'config': {name: value for name, value in part.items() if name != 'type'}}
    return {'class_name': part.get('class_name'), 'config': part.get('config')}


def shared(spec: LossSpec, name: str) -> Any:
    """A parameter that every part of a sum has to have: of a sum that of its parts."""
    parts = getattr(spec, 'parts', None)
    if parts is None:
        return getattr(spec, name)
    found = {shared(part, name) for part in parts}
    if len(found) > 1:
        raise ValueError(
            f'{type(spec).__name__}: the losses have different {name} ({", ".join(map(str, sorted(found, key=str)))}), '
            f'and one call has one'
        )
    return found.pop()


def classes_of(spec: LossSpec) -> int | None:
    """How many classes a configuration is for, None where any number will do."""
    parts = getattr(spec, 'parts', None)
    if parts is not None:
        return next((c for part in parts if (c := classes_of(part))), None)
    for name in ('class_weight', 'distance_matrix', 'alpha', 'pos_weight'):
        value = getattr(spec, name, None)
        if isinstance(value, tuple):
            return len(value)
    named = getattr(spec, 'classes', None)
    return max(4, max(named) + 1) if isinstance(named, tuple) else None


def on_data(spec: LossSpec, case: Case) -> tuple[LossSpec, Case]:
    """A configuration and the user's data as one call: what the configuration says of labels and logits holds."""
    ignored, from_logits = shared(spec, 'ignore_index'), shared(spec, 'from_logits')
    if case.ignore_index is not None and ignored not in (None, case.ignore_index):
        raise ValueError(
            f'{type(spec).__name__}: the configuration has ignore_index={ignored}, the data {case.ignore_index}; '
            f'leave one of them out'
        )
    if not case.from_logits and from_logits:
        raise ValueError(
            f'{type(spec).__name__}: --probabilities contradicts from_logits=True of the configuration, '
            f'which wants "from_logits": false'
        )
    call = None if ignored is not None else case.ignore_index
    return spec, dataclasses.replace(case, ignore_index=ignored, call_ignore_index=call, from_logits=from_logits)


def cases_for(spec: LossSpec) -> Iterator[tuple[str, Case]]:
    """(name, case) pairs that a configuration is checked on, made for its number of classes and its ignored label.

    ValueError where no inputs are found that it takes.
    """
    refused: ValueError | None = None
    names = [name for name in BUILDERS if meant_for(spec, name)]
    for channels in dict.fromkeys((classes_of(spec) or 4, 1) if 'many' in spec.channels else (1,)):
        for space in SPACES:
            if np.prod(space) < channels:
                continue
            try:
                case = made(spec, names[0], channels, space).adapted(spec)
                spec.reference(case.pred, case.target, case.weight, **case.call)
            except ValueError as error:
                refused = refused or error
                continue
            for name in names:
                yield name, made(spec, name, channels, space)
            return
    raise ValueError(f'{refused}; give inputs of your own with --data')


def meant_for(spec: LossSpec, name: str) -> bool:
    if name.startswith('features') or spec.of_features():
        return name.startswith('features') and spec.of_features()
    if name == 'soft_label':
        return all('soft' in part.labels for part in getattr(spec, 'parts', (spec,)))
    return name != 'ignored_border' or shared(spec, 'ignore_index') is not None


def made(spec: LossSpec, name: str, channels: int, space: tuple[int, ...]) -> Case:
    """A case as the configuration wants it: its ignored label, and probabilities where it takes those."""
    ignored = shared(spec, 'ignore_index')
    case = BUILDERS[name](np.random.default_rng(sum(name.encode())), channels, space, ignored)
    case = dataclasses.replace(case, ignore_index=ignored, from_logits=shared(spec, 'from_logits'))
    if case.from_logits:
        return case
    with np.errstate(over='ignore'):
        e = np.exp(case.pred - case.pred.max(1, keepdims=True)) if channels > 1 else 1 / (1 + np.exp(-case.pred))
    p = e / e.sum(1, keepdims=True) if channels > 1 else e
    return dataclasses.replace(case, pred=0.1 / channels + 0.9 * p if channels > 1 else 0.05 + 0.9 * p)


Builder = Callable[[np.random.Generator, int, tuple[int, ...], int | None], Case]
BUILDERS: dict[str, Builder] = {}


def builder(function: Builder) -> Builder:
    BUILDERS[function.__name__] = function
    return function


@builder
def hard_label(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    return Case(cases.logits(rng, 2, c, space), cases.ids(rng, 2, max(c, 2), space))


@builder
def absent_class(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    y = cases.ids(rng, 2, max(c, 2), space)
    y[y == y.max()] = 0
    return Case(cases.logits(rng, 2, c, space), y)


@builder
def ignored_border(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    y = cases.ids(rng, 2, max(c, 2), space)
    y[:, 0] = ignored
    return Case(cases.logits(rng, 2, c, space), y)


@builder
def soft_label(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    z, y = cases.soft_pair(rng, 2, c, space, apart=1e-5)
    return Case(z, y)


@builder
def pixel_weight(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    w = rng.uniform(0.1, 3, (2, *space)).astype(np.float32)
    w[:, 0, :2] = 0
    return Case(cases.logits(rng, 2, c, space), cases.ids(rng, 2, max(c, 2), space), w)


@builder
def large_logits(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    z = cases.logits(rng, 2, c, space)
    z[:, :, 0] = rng.choice([-60.0, 60.0], z[:, :, 0].shape)
    return Case(z, cases.ids(rng, 2, max(c, 2), space))


@builder
def features(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    return Case(*feature_pair(rng, 2, c, space), of_features=True)


@builder
def features_weighted(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    w = rng.uniform(0.1, 3, (2, *space)).astype(np.float32)
    w[:, 0, :2] = 0
    return Case(*feature_pair(rng, 2, c, space), w, of_features=True)


@builder
def not_a_number(rng: np.random.Generator, c: int, space: tuple[int, ...], ignored: int | None) -> Case:
    z = cases.logits(rng, 2, c, space)
    z[0, 0, -1, -1] = np.nan
    return Case(z, cases.ids(rng, 2, max(c, 2), space))
