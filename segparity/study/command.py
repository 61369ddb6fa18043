"""What ``segparity study`` does: train what is not trained yet, sum up, write the page."""

import argparse
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console

from segparity import __version__
from segparity.as_json import json_value
from segparity.demo.settings import write_json
from segparity.folders import clear, marked_folder
from segparity.study.conditions import CONDITIONS
from segparity.study.facts import facts_of
from segparity.study.landscapes import landscapes, lowest
from segparity.study.runs import do_runs, finished, planned
from segparity.study.settings import (
    MARKER,
    PAGE,
    RESULTS,
    Settings,
    StudyError,
    code_fingerprint,
    run_fingerprint,
)
from segparity.study.study_page import write_page
from segparity.study.summary import summary
from segparity.study.terminal import Bar, print_summary
from segparity.terminal import say

QUICK = {'iterations': 80, 'train_scenes': 300}
SEEDS, QUICK_SEEDS = 4, 2


def study(args: argparse.Namespace, console: Console) -> int:
    """Run what is missing; returns 0."""
    settings = settings_of(args)
    seeds = args.seeds or (QUICK_SEEDS if args.quick else SEEDS)
    out = args.out.absolute()
    with marked_folder(out, args.out, MARKER, 'study', StudyError):
        if args.fresh:
            clear(out, 'runs', 'data', RESULTS, PAGE)
        code = code_fingerprint()
        write_json(out / MARKER, {'settings': settings.to_dict()})
        facts = {name: facts_of(out, name, settings, code) for name in args.data}
        runs = planned(args.data, seeds)
        prints = {run: run_fingerprint(settings, code, run.data, run.condition, run.seed) for run in runs}
        missing = [run for run in runs if finished(out, run, prints[run]) is None]
        if len(missing) < len(runs):
            say(console, f'{len(runs) - len(missing)} of {len(runs)} trainings are there already')
        with Bar(console, missing, settings) as bar:
            do_runs(out, missing, settings, code, bar)
        records = [record for run in runs if (record := finished(out, run, prints[run])) is not None]
        results = {**results_of(records, facts, settings, seeds), 'again': again(args, settings, seeds)}
        write_json(out / RESULTS, json_value(results))
        write_page(out / PAGE, results)
    print_summary(results['summary'], {name: found['title'] for name, found in facts.items()}, console)
    say(console, f'Page: {args.out / PAGE}, numbers: {args.out / RESULTS}')
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings of these options; those of ``--quick`` give way to ``--iterations``."""
    chosen: dict[str, Any] = dict(QUICK) if args.quick else {}
    if args.iterations is not None:
        chosen['iterations'] = args.iterations
    return Settings(**chosen)


def again(args: argparse.Namespace, settings: Settings, seeds: int) -> str:
    """The command that gives these numbers, in full."""
    words = ['segparity study soft-labels', *(['--quick'] if args.quick else [])]
    return ' '.join([*words, f'--data {",".join(args.data)} --seeds {seeds} --iterations {settings.iterations}'])


def results_of(
    records: list[dict[str, Any]], facts: Mapping[str, Any], settings: Settings, seeds: int
) -> dict[str, Any]:
    """Everything that the page shows, as it lies in the JSON; no time and no path of this machine but what runs took."""
    found = landscapes()
    return {
        'segparity': __version__,
        'command': 'study soft-labels',
        'torch': torch.__version__,
        'threads': sorted({record['threads'] for record in records}),
        'seconds': sum(record['seconds'] for record in records),
        'settings': settings.to_dict(),
        'seeds': seeds,
        'conditions': {name: condition.title for name, condition in CONDITIONS.items()},
        'data': facts,
        'landscape': {'lowest': lowest(found), **{name: values.tolist() for name, values in found.items()}},
        'summary': summary(records),
        'runs': records,
    }
