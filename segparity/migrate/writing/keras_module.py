"""A plan as a module for Keras: ``losses()`` and ``metrics()`` are what ``compile`` takes."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from segparity.migrate.items import Migrated, Output
from segparity.migrate.plan import HEAD, LEAST, Plan, comments_of, metric_specs, parts_of, with_parameters
from segparity.migrate.writing.python_text import Call, Noted, Raw, comment_lines, source_text
from shared_spec.control_characters import escape_controls
from shared_spec.metrics.boundary import BoundaryIoU, SurfaceDistance
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.spec import LossSpec, Spec

OF_LOGITS = 'The model gives logits: its last layer has no softmax and no sigmoid.'
OF_BOTH = 'An output gives logits where its losses have from_logits=True, else probabilities.'
OF_PROBABILITIES = 'The model gives probabilities: its last layer has a softmax or sigmoid.'

LEARNT = "in the model: outputs = keras_plugin.layers.DegreesOfFreedom(nu={nu!r}, name='nu')(logits)"


def write_keras_module(plan: Plan) -> str:
    """Source text of the module; '' where nothing of the source has anything near in ours."""
    functions, losses, metrics = [], set(), set()
    for number, group in enumerate(plan.groups, 1):
        value = losses_value(group, plan)
        if value is not None:
            losses |= set(names_in(value))
            about = f', of {group[0][0].name}' if len(plan.groups) > 1 else ''
            name = 'losses' if number == 1 else f'losses_{number}'
            functions.append(function(name, f'What ``compile(loss=...)`` takes{about}.', value, unwritten(group)))
    of_outputs = metrics_of_outputs(plan)
    calls = {
        name: [call for spec in metric_specs(items) for call in metric_calls(spec, logits)]
        for name, (items, logits) in of_outputs.items()
    }
    calls = {name: some for name, some in calls.items() if some}
    notes = [line for migrated in plan.metrics for line in comments_of(migrated)]
    if calls:
        metrics |= {call.name for some in calls.values() for call in some}
        several = bool(plan.groups) and len(plan.groups[0]) > 1
        returned: Any = calls if several else next(iter(calls.values()))
        functions.append(function('metrics', 'What ``compile(metrics=...)`` takes.', returned, notes))
    distances = [
        host_metrics(spec, specs, logits)
        for specs, logits in ((metric_specs(items), logits) for items, logits in of_outputs.values())
        for spec in specs
        if isinstance(spec, SurfaceDistance)
    ]
    if distances:
        metrics.add('HostMetrics')
        returned = source_text(distances, 4, len('return '))
        functions.append(
            '\ndef callbacks(data):\n    """What ``fit(callbacks=...)`` takes; data: the validation data."""\n'
            f'    return {returned}\n'
        )
    if not functions:
        return ''
    imports = [
        f'from keras_plugin.{room} import {", ".join(sorted(names))}'
        for room, names in (('losses', losses), ('metrics', metrics))
        if names
    ]
    return '\n'.join([header(plan, bool(losses), bool(calls)), '\n'.join(imports), '', *functions])


def metrics_of_outputs(plan: Plan) -> dict[str, tuple[list[Migrated], bool]]:
    """Name of an output of the first group -> its metrics and whether it gives logits; '' where there is no output."""
    group = plan.groups[0] if plan.groups else []
    found: dict[str, tuple[list[Migrated], bool]] = {
        name: ([], gives_logits(plan, output, items)) for name, (output, items) in zip(keras_names(group), group)
    } or {'': ([], plan.source.world == 'mmseg')}
    contexts = {name: output.context for name, (output, _) in zip(keras_names(group), group)}
    for migrated in plan.metrics:
        name = next((name for name, context in contexts.items() if context == migrated.context), next(iter(found)))
        found[name][0].append(migrated)
    return found


def header(plan: Plan, has_losses: bool, has_metrics: bool) -> str:
    """The module's docstring, with the line that uses it."""
    arguments = ['optimizer'] + ['loss=losses()'] * has_losses + ['metrics=metrics()'] * has_metrics
    given = {gives_logits(plan, output, items) for output, items in plan.outputs} or {plan.source.world == 'mmseg'}
    said = OF_BOTH if len(given) > 1 else OF_LOGITS if True in given else OF_PROBABILITIES
    return (
        '"""Losses and metrics for Keras, written by ``segparity migrate``.\n\n'
        f'    model.compile({", ".join(arguments)})\n\n{said}\n"""\n'
    )


def gives_logits(plan: Plan, output: Output, items: Sequence[Migrated]) -> bool:
    """Whether an output of the model that the code is for gives logits: as heads of MMSegmentation do, else as its losses say."""
    if plan.source.world == 'mmseg':
        return True
    given = [getattr(spec, 'from_logits', True) for migrated in items for spec in parts_of(migrated)]
    return all(given) if given else output.context.activation == 'logits'


def keras_names(group: Sequence[tuple[Output, Any]]) -> list[str]:
    """What Keras calls the outputs of a group."""
    names = []
    for output, _ in group:
        found = HEAD.fullmatch(output.name)
        number = (found[2] or found[3]) if found else None
        if found:
            names.append(found[1] + (f'_{number}' if number else ''))
        else:
            names.append(re.sub(r'[^A-Za-z0-9_.-]', '_', output.name.rpartition(', output ')[2]))
    return names


def losses_value(group: Sequence[tuple[Output, Sequence[Migrated]]], plan: Plan) -> Any:
    """A loss, or a dictionary of one for each output; None where there is none."""
    found: dict[str, Any] = {}
    for name, (output, items) in zip(keras_names(group), group):
        logits = gives_logits(plan, output, items)
        entries = [entry for migrated in items for entry in noted_losses(migrated, logits)]
        if len(entries) == 1:
            found[name] = entries[0]
        elif entries:
            found[name] = Call('WeightedSumLoss', (entries,))
    if len(group) == 1 and found:
        return next(iter(found.values()))
    return found or None


def noted_losses(migrated: Migrated, logits: bool) -> Iterator[Noted]:
    """The calls of a loss, its comments above the first."""
    comments = comments_of(migrated)
    for spec in parts_of(migrated):
        call = loss_call(with_parameters(spec, from_logits=logits))
        said = [*comments, *([LEARNT.format(nu=getattr(spec, 'nu', 1.0))] if 'layer' in call.arguments else [])]
        yield Noted(call, [line for text in said for line in comment_lines(text)])
        comments = []


def loss_call(spec: LossSpec) -> Call:
    """The constructor's call; what is learnt lives in a layer of the model, which is named."""
    learnt = {'layer': 'nu'} if getattr(spec, 'learn_nu', False) else {}
    return Call(type(spec).__name__, (), {**spec.to_keras(), **learnt})


def unwritten(group: Sequence[tuple[Output, Sequence[Migrated]]]) -> list[str]:
    """What the function has to say of losses that are not in it."""
    said = [f'{output.name}: {output.refused}' for output, _ in group if output.refused]
    return said + [
        line for _, items in group for migrated in items if not parts_of(migrated) for line in comments_of(migrated)
    ]


def names_in(value: Any) -> Iterator[str]:
    """The classes that a value calls."""
    if isinstance(value, Noted):
        yield from names_in(value.value)
    elif isinstance(value, Call):
        yield value.name
        for entry in value.given:
            yield from names_in(entry)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from names_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from names_in(entry)


def metric_calls(spec: Spec, logits: bool) -> list[Call]:
    """The Keras metrics of a spec; a surface distance is no metric but a callback."""
    given = {**spec.to_keras(), **({'from_logits': True} if logits else {})}
    if isinstance(spec, FineGrained):
        return [Call('SegmentationReport', (), given)]
    if isinstance(spec, BoundaryIoU):
        given.pop('levels', None)
        return [Call('BoundaryIoU', (), {**given, 'level': level}) for level in spec.levels]
    if isinstance(spec, Calibration):
        given = {name: value for name, value in given.items() if name not in ('levels', 'metrics')}
        pairs = [(metric, level) for metric in spec.metrics for level in spec.levels]
        return [Call('CalibrationError', (), {**given, 'metric': metric, 'level': level}) for metric, level in pairs]
    return []


def host_metrics(spec: SurfaceDistance, specs: Sequence[Spec], logits: bool) -> Call:
    """The callback of distances, which are measured on the host; it has the scores of the report beside them."""
    given = {**spec.to_keras(), 'distances': list(spec.metrics), 'levels': list(spec.levels)}
    given.pop('metrics', None)
    scores = next((other for other in specs if isinstance(other, FineGrained)), None)
    given.update(LEAST if scores is None else dict(q=list(scores.q), metrics=list(scores.metrics)))
    return Call('HostMetrics', (Raw('data'),), {**given, **({'from_logits': True} if logits else {})})


def function(name: str, docstring: str, value: Any, comments: Sequence[str]) -> str:
    """A function without arguments that returns ``value``."""
    above = [*comments, *(value.comments if isinstance(value, Noted) else ())]
    if isinstance(value, Noted):
        value = value.value
    lines = [line for text in above for line in comment_lines(text)]
    said = ''.join(f'    # {line}\n' for line in lines)
    docstring = escape_controls(docstring).replace('"', "'").replace('\\', '/')
    return f'\ndef {name}():\n    """{docstring}"""\n{said}    return {source_text(value, 4, len("return "))}\n'
