"""The command line: ``segparity list | show | spec | check | recognise | migrate | report | evaluate | merge | audit | demo | study``."""

import argparse
import os
import sys
import traceback
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from segparity import __version__
from segparity.arguments import Parser
from segparity.terminal import NobodyReads, complain, let_go, lines, standard_output


def main(arguments: Iterable[str] | None = None) -> int:
    """Runs one command; returns the exit code.

    0, 1 where something disagrees or fails, 2 for wrong input, 130 where interrupted, 141 where nobody reads the output.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return run(words)
    except NobodyReads:
        return 141  # what a shell says of a tool that SIGPIPE ended
    except KeyboardInterrupt:
        complain('segparity: interrupted')
        return 130
    finally:
        let_go()


def run(words: list[str]) -> int:
    """One command; what is wrong with its input is one sentence on the standard error."""
    parser = build_parser()
    parser.check(words)
    options = parser.parse_args(words)
    options.words = words
    if not getattr(options, 'run', None):
        parser.print_help()
        return 2
    try:
        return options.run(options, standard_output())
    except NobodyReads:
        raise
    except (ValueError, TypeError, ImportError, OSError, RuntimeError, MemoryError) as error:
        if os.environ.get('SEGPARITY_TRACEBACK'):
            raise
        complain(f'segparity: {sentence(error)}')
        return 2
    except Exception:
        if os.environ.get('SEGPARITY_TRACEBACK'):
            raise
        for line in lines(traceback.format_exc()).splitlines():
            complain(line)
        complain('segparity: stopped by a fault of its own, which the lines above describe')
        return 1


def sentence(error: BaseException) -> str:
    """What an error says, without the words of Python."""
    if isinstance(error, OSError) and error.strerror:
        path = error.filename if error.filename2 is None else error.filename2
        return error.strerror if path is None else f'{path}: {error.strerror}'
    if isinstance(error, MemoryError):
        return 'there is not enough memory'
    return str(error) or 'stopped for a reason that was not given'


def build_parser() -> Parser:
    parser = Parser(
        prog='segparity', description='The same segmentation losses and metrics in MMSegmentation and Keras.'
    )
    parser.add_argument('--version', action='version', version=f'segparity {__version__}')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND')
    parser.commands = commands.choices

    command = commands.add_parser('list', help='every loss and metric, one line each')
    command.set_defaults(run=_list)

    command = commands.add_parser('show', help='one loss or metric: formula, parameters, source, lines to copy')
    command.add_argument('name', help='of a loss, a metric, or a class of either world, such as MeanIoU')
    command.set_defaults(run=_show)

    command = commands.add_parser('spec', help='every loss and metric as JSON Schema, for other frameworks and editors')
    command.add_argument('name', nargs='?', help='of a loss or metric; all in one schema when not given')
    command.add_argument('--json', action='store_true', help='the only form there is')
    command.set_defaults(run=_spec)

    from segparity.check_options import add_check_arguments

    command = commands.add_parser('check', help='values and gradients of every installed implementation side by side')
    add_check_arguments(command)
    command.set_defaults(run=_check)

    command = commands.add_parser('report', help='the parity and golden tables as Markdown')
    command.add_argument('--golden', help='folder with the golden vectors (tests/golden in a checkout)')
    command.add_argument('name', nargs='*', help='losses; all when none is named')
    command.set_defaults(run=_report)

    from segparity import evaluate

    command = commands.add_parser('evaluate', help='all metrics of folders of predictions against the ground truth')
    evaluate.add_evaluate_arguments(command)
    command.set_defaults(run=evaluate.evaluate)

    command = commands.add_parser('merge', help='the states of several evaluations, added up')
    evaluate.add_merge_arguments(command)
    command.set_defaults(run=evaluate.merge)

    command = commands.add_parser('demo', help='train the same U-Net in both worlds on handwritten digits')
    from segparity import demo

    demo.add_arguments(command)
    command.set_defaults(run=demo.run)

    command = commands.add_parser('audit', help='per-image tables become one HTML page about models and labels')
    from segparity import audit

    audit.add_arguments(command)
    command.set_defaults(run=audit.run)

    command = commands.add_parser(
        'study', help='whether soft labels are worth it: networks trained, compared, one page'
    )
    from segparity import study

    study.add_arguments(command)
    command.set_defaults(run=study.run)

    from segparity.migrate import command as migrate

    command = commands.add_parser(
        'migrate', help='losses and metrics of a config or script as code for the other world'
    )
    migrate.add_arguments(command)
    command.set_defaults(run=migrate.migrate)
    command = commands.add_parser('recognise', help='which loss of ours a function of yours is, or how it differs')
    from segparity.recognise import command as recognise

    recognise.add_arguments(command)
    command.set_defaults(run=recognise.run)
    return parser


def _list(options: argparse.Namespace, console: Console) -> int:
    from segparity.manual import overview

    console.print(overview())
    return 0


def _show(options: argparse.Namespace, console: Console) -> int:
    from segparity.manual import page

    for part in page(options.name):
        console.print(part, soft_wrap=isinstance(part, Text))  # lines that may be copied are never broken
    return 0


def _spec(options: argparse.Namespace, console: Console) -> int:
    import json

    from segparity.schema import schema_of, schema_of_all
    from shared_spec import LOSSES, METRICS
    from shared_spec.registry import unknown_name

    known = [*LOSSES, *METRICS]
    if options.name and options.name not in known:
        raise unknown_name('loss or metric', options.name, known)
    found = schema_of(options.name) if options.name else schema_of_all()
    console.out(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False), highlight=False)
    return 0


def _check(options: argparse.Namespace, console: Console) -> int:
    from segparity.parity.check_command import check

    return check(options, console)


def _report(options: argparse.Namespace, console: Console) -> int:
    from segparity.parity.report import report

    console.out(report(options.name or None, options.golden), highlight=False)
    return 0


if __name__ == '__main__':
    sys.exit(main())
