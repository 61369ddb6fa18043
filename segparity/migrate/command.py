"""``segparity migrate``: a configuration or a script of one world as code for the other, with a report."""

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from segparity.arguments import positive_integer
from segparity.as_json import print_json
from segparity.migrate.items import Context, Source
from segparity.migrate.plan import Plan, make_plan, shorten_places
from segparity.migrate.report import as_found, print_report
from segparity.migrate.writing.keras_module import write_keras_module
from segparity.migrate.writing.mmseg_fragment import write_mmseg_fragment
from segparity.outputs import check_writable, refuse_clashes
from segparity.terminal import say, standard_error
from shared_spec.files import replacing


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        'source',
        help='MMSegmentation config, Keras or PyTorch script or notebook, .keras file, or get_compile_config() as .json',
    )
    command.add_argument('--to', required=True, choices=('keras', 'mmseg'), help='the world that the code is for')
    command.add_argument('--out', type=Path, metavar='FILE', help='where the code goes; standard output by default')
    command.add_argument(
        '--base',
        metavar='CONFIG',
        help='with --to mmseg: the configuration of your model, on which the written one stands',
    )
    command.add_argument('--verify', action='store_true', help='measure both worlds on probe tensors, where installed')
    command.add_argument('--json', action='store_true', help='the report and the code as JSON on the standard output')
    command.add_argument(
        '--compat', action='store_true', help="reproduce the source's bugs where a parameter of ours can, and say so"
    )
    command.add_argument(
        '--trust', action='store_true', help='let MMEngine execute a configuration that cannot be read without that'
    )
    command.add_argument(
        '--host-version', metavar='VERSION', help='of the library that the source is for, where it does not show'
    )
    command.add_argument(
        '--num-classes', type=positive_integer, metavar='N', help='number of classes, where the source does not show it'
    )


def migrate(options: argparse.Namespace, console: Console) -> int:
    """Reads, translates, writes and reports; 0 where everything is the same in the other world, else 1."""
    from segparity.migrate.peers import migrate_item
    from segparity.migrate.reading import read_source

    if options.base and options.to == 'keras':
        raise ValueError('--base is a configuration of MMSegmentation: give it with --to mmseg')
    outputs = {'--out': options.out}
    refuse_clashes(outputs, [options.source, options.base])
    source = told(read_source(options.source, trust=options.trust), options.host_version, options.num_classes)
    refuse_clashes(outputs, source.files)
    plan = make_plan(shorten_places(source), migrate_item, options.compat)
    differing: list[str] = []
    if options.verify:
        plan, differing = verified(plan, options.to)
    base = options.base or (options.source if source.kind == 'MMSegmentation config' else None)
    code = written(plan, options.to, base, options.out)
    notes = notes_of(source)
    if options.out and code:
        check_writable(outputs)
        with replacing(options.out) as part:
            part.write_text(code, encoding='utf-8')
    if options.json:
        print_json(console, 'migrate', as_found(plan, code, options.to, notes))
    else:
        report_on = console if options.out else standard_error()
        if not report_on.is_terminal:
            report_on.width = 140
        print_report(plan, report_on, notes)
        for line in differing:
            say(report_on, line)
        if not code:
            say(report_on, 'nothing was written: nothing that was found has anything near in ours')
        elif options.out:
            say(report_on, f'written: {options.out}')
        else:
            console.out(code.rstrip('\n'), highlight=False)
    return 0 if plan.complete and not any('DIFFERS' in line for line in differing) else 1


def told(source: Source, version: str | None, num_classes: int | None) -> Source:
    """The source with what the user says where it does not say it itself."""

    def add(context: Context) -> Context:
        changes: dict[str, Any] = {}
        if version is not None:
            changes['version'] = version
        if num_classes is not None and context.num_classes is None:
            changes['num_classes'] = num_classes
        return dataclasses.replace(context, **changes)

    outputs = [dataclasses.replace(output, context=add(output.context)) for output in source.outputs]
    return dataclasses.replace(
        source, outputs=outputs, metrics=[(item, add(context)) for item, context in source.metrics]
    )


def verified(plan: Plan, to: str) -> tuple[Plan, list[str]]:
    """The plan with what was measured, and a line for each loss and framework of the world it goes to."""
    from segparity.migrate.verify import compare_worlds, measured

    lines = [
        f'{row.name} in {row.framework} {row.way} {row.dtype}: {"ok" if row.ok else "DIFFERS"}, value {row.value_error:.1e} and '
        f'gradient {row.grad_error:.1e} from the reference, {row.cases} cases'
        for row in compare_worlds(plan, to)
    ]
    return measured(plan), lines or [f'--verify: no framework of {to} is installed, so its side was not measured']


def written(plan: Plan, to: str, base: str | None, out: Path | None) -> str:
    """The code; a configuration stands on ``base``, which it names from the folder where it will be."""
    if to == 'keras':
        return write_keras_module(plan)
    return write_mmseg_fragment(plan, base and base_name(base, out))


def base_name(base: str, out: Path | None) -> str:
    """As ``_base_`` has it: 'mmseg::...' as it is, a path from the folder of ``out``."""
    return base if '::' in base else os.path.relpath(base, out.parent if out else '.')


def notes_of(source: Source) -> list[Any]:
    from segparity.migrate.moving import notes_for

    return notes_for(source.seen_calls, source.seen_keys)
