"""A plan as a configuration of MMSegmentation: losses of the heads and evaluators, to stand on a ``_base_`` or be one."""

import os
from collections.abc import Sequence
from typing import Any

from segparity.migrate.items import Migrated, Output
from segparity.migrate.plan import HEAD, Plan, chosen, comments_of, metric_specs, on_logits, parts_of
from segparity.migrate.writing.python_text import Noted, Raw, as_config, comment_lines, config, source_text
from shared_spec.spec import LossSpec

Group = Sequence[tuple[Output, Sequence[Migrated]]]


def write_mmseg_fragment(plan: Plan, base: str | None = None) -> str:
    """Source text of the configuration; '' where nothing of the source has anything near in ours.

    base: path of a configuration that this one stands on, whose losses and evaluators it replaces.
    """
    statements: list[str] = []
    metrics = metric_specs(plan.metrics)
    classes = {getattr(spec, 'num_classes', None) for spec in metrics}
    num_classes = classes.pop() if len(classes) == 1 else None
    for number, group in enumerate(plan.groups, 1):
        if not any(parts_of(migrated) for _, items in group for migrated in items):
            statements += comments(unwritten(group))
        elif number == 1:
            of_one = len(group) == 1 or all(HEAD.fullmatch(output.name) for output, _ in group)
            statements += model(group, base is not None, num_classes if of_one else None)
        else:
            statements += comments([f'the losses of {group[0][0].name}, for a configuration of their own'])
            statements += [assignment(f'loss_decode_{number}', loss_list(items)) for _, items in group[:1]]
    specs = [as_config(spec.to_mmseg()) for spec in metrics]
    notes = [line for migrated in plan.metrics for line in comments_of(migrated)]
    statements += comments(notes)
    if base and any(chosen(migrated) is None for migrated in plan.metrics):
        statements += comments(['the evaluators stay as they are: one of them has no equivalent'])
    elif specs:
        statements += [assignment('val_evaluator', specs), 'test_evaluator = val_evaluator']
    if all(statement.startswith('#') for statement in statements):
        return ''
    on = [f'_base_ = [{os.fspath(base)!r}]'] if base else []
    first = '# Losses and evaluators for MMSegmentation, written by segparity migrate.'
    if not base:
        first += '\n# It stands on the configuration of your model, whose losses and evaluators it replaces; write its name here:'
        first += "\n# _base_ = ['your_model.py']"
    known = plan.source.seen_keys.get('custom_imports.imports') if base else None
    names = [name for name in known or () if isinstance(name, str) and name != 'mmseg_plugin']  # which a list replaces
    imports = config({'imports': [*names, 'mmseg_plugin'], 'allow_failed_imports': False})
    return '\n'.join([first, *on, assignment('custom_imports', imports), '', *statements]) + '\n'


def model(group: Group, on_base: bool, num_classes: int | None) -> list[str]:
    """The statements that set the losses of every head; num_classes: that of the metrics."""
    heads: dict[str, list[tuple[int | None, Any]]] = {}
    before: list[str] = []
    for output, items in group:
        found = HEAD.fullmatch(output.name)
        head = found[1] if found else 'auxiliary_head' if heads else 'decode_head'
        number = int(found[2] or found[3]) if found and (found[2] or found[3]) else None
        if not found and head in heads:  # further outputs of a Keras model
            heads[head] = [(i if n is None else n, settings) for i, (n, settings) in enumerate(heads[head])]
            number = len(heads[head])
        if output.refused or not any(parts_of(migrated) for migrated in items):
            before += unwritten([(output, items)])
            if on_base:
                continue
        elif on_base and not all(parts_of(migrated) for migrated in items):  # a list would leave one out of training
            before += [f'{output.name} keeps its losses, of which one has no equivalent', *unwritten([(output, items)])]
            continue
        heads.setdefault(head, []).append((number, head_settings(output, items, on_base, num_classes)))
    statements = comments(before)
    settings: dict[str, Any] = {}
    for head, entries in heads.items():
        if entries[0][0] is None:
            settings[head] = config(entries[0][1])
        elif on_base:
            statements.append(f'{head} = _base_.model.{head}')
            for number, entry in entries:
                statements.append(assignment(f"{head}[{number}]['loss_decode']", entry['loss_decode']))
            settings[head] = Raw(head)
        else:
            statements += comments([f'each entry of {head} belongs to the head of its place in your configuration'])
            settings[head] = [config(entry) for _, entry in entries]
    return [*statements, assignment('model', config(settings))]


def head_settings(output: Output, items: Sequence[Migrated], on_base: bool, num_classes: int | None) -> dict[str, Any]:
    """What a head of the configuration states: on a base the losses alone, else what they rest on too."""
    settings: dict[str, Any] = {}
    specs = [spec for migrated in items for spec in parts_of(migrated)]
    if not on_base:
        context = output.context
        one = context.channels == 1
        if one:
            settings.update(num_classes=2, out_channels=1, threshold=0.5)
        elif context.num_classes or num_classes:
            settings.update(num_classes=context.num_classes or num_classes)
        ignored = {spec.ignore_index for spec in specs}
        if len(ignored) == 1:
            settings['ignore_index'] = ignored.pop()
    if specs:
        settings['loss_decode'] = loss_list(items)
    return settings


def loss_list(items: Sequence[Migrated]) -> list[Noted]:
    """The list that loss_decode is; a list, for it replaces what a base has, where a dictionary would be merged with it."""
    entries: list[Noted] = []
    missing: list[str] = []
    for migrated in items:
        said = [line for text in comments_of(migrated) for line in comment_lines(text)]
        parts = parts_of(migrated)
        if not parts:
            missing += said
            continue
        for number, spec in enumerate(parts):
            entries.append(Noted(loss_config(spec), [] if number else missing + said))
            missing = []
    if missing and entries:
        entries[-1] = Noted(entries[-1].value, [*entries[-1].comments, *missing])
    return entries


def loss_config(spec: LossSpec) -> Any:
    return as_config(on_logits(spec).to_mmseg())


def unwritten(group: Group) -> list[str]:
    """What there is to say of heads without a loss of ours."""
    said = [f'{output.name}: {output.refused}' for output, _ in group if output.refused]
    return said + [line for _, items in group for migrated in items for line in comments_of(migrated)]


def comments(texts: Sequence[str]) -> list[str]:
    return [f'# {line}' for text in texts for line in comment_lines(text)]


def assignment(name: str, value: Any) -> str:
    return f'{name} = {source_text(value, 0, len(name) + 3)}'
