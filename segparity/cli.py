"""The command line: ``segparity list | show | check | report | evaluate | merge | audit | demo``."""

import argparse
import os
import sys

from rich.console import Console

from segparity import __version__


def main(arguments=None):
    """Runs one command; returns the exit code: 0, 1 where something disagrees or fails, 2 for wrong input."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else list(arguments)
    if not getattr(options, 'run', None):
        parser.print_help()
        return 2
    console = Console(width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    try:
        return options.run(options, console)
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        if os.environ.get('SEGPARITY_TRACEBACK'):
            raise
        print(f'segparity: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('segparity: interrupted', file=sys.stderr)
        return 130


def build_parser():
    parser = argparse.ArgumentParser(
        prog='segparity', description='The same segmentation losses and metrics in MMSegmentation and Keras.'
    )
    parser.add_argument('--version', action='version', version=f'segparity {__version__}')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND')

    command = commands.add_parser('list', help='every loss and metric, one line each')
    command.set_defaults(run=_list)

    command = commands.add_parser('show', help='one loss or metric: formula, parameters, source, configuration')
    command.add_argument('name')
    command.set_defaults(run=_show)

    command = commands.add_parser('check', help='values and gradients of every installed implementation side by side')
    command.add_argument('name', nargs='*', help='losses or metrics; all when none is named')
    command.add_argument('--framework', action='append', help='only this framework (repeatable)')
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
    return parser


def _list(options, console):
    from segparity.pages import overview

    console.print(overview())
    return 0


def _show(options, console):
    from segparity.pages import page

    for part in page(options.name):
        console.print(part)
    return 0


def _check(options, console):
    from segparity.check_command import check

    return check(options.name, options.framework, console)


def _report(options, console):
    from segparity.report import report

    print(report(options.name or None, options.golden))
    return 0


if __name__ == '__main__':
    sys.exit(main())
