"""Measures everything side by side: ``make bench`` or ``python -m benchmarks [--areas region keras] [--quick]``.

Writes bench.md (the tables), one PNG or more for each area and bench.json (the raw numbers) into bench_out, anew after
every run of an area, so that what is done is there when it is stopped. --redraw makes tables and plots from bench.json
without measuring.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks import area, bench_page, machine, results
from benchmarks.areas import AREAS


def main(arguments=None):
    options = parse_arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    raw = options.out / 'bench.json'
    if options.redraw:
        if not raw.exists():
            raise SystemExit(f'benchmarks: --redraw needs {raw}, which python -m benchmarks writes')
        bench_page.write(json.loads(raw.read_text()), options.out)
        return 0
    facts = machine.description(area.thread_count(options.threads), len(area.usable_cores()))
    found = dict(machine=facts, options=command(options), areas={}, failed={})
    took = {}
    for name in options.areas:
        start, sections = time.perf_counter(), []
        for run in AREAS[name][1]:
            label = ' '.join([run.module, *run.arguments, *run.environment.values()])
            area.say(f'\n=== {name}: {label}')
            try:
                sections += measure_run(run, options)
            except RuntimeError as error:
                area.say(str(error))
                found['failed'][label] = str(error)
        found['areas'][name] = results.merge(sections)
        took[name] = (time.perf_counter() - start) / 60
        each = ', '.join(f'{name} {minutes:.1f}' for name, minutes in took.items())
        found['machine']['took'] = f'{sum(took.values()):.0f} minutes ({each})'
        raw.write_text(json.dumps(found))
        bench_page.write(found, options.out)
    area.say(f'\n{options.out / "bench.md"}')
    return 1 if found['failed'] else 0


def measure_run(run, options):
    """The sections of one run; RuntimeError where it does not come to its end."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / 'sections.json'
        arguments = ['--rounds', str(options.rounds), '--json', str(file), *run.arguments]
        if options.threads:
            arguments += ['--threads', str(options.threads)]
        done = subprocess.run(
            [sys.executable, '-m', f'benchmarks.{run.module}', *arguments, *['--quick'] * options.quick],
            env=os.environ | run.environment,
            stdout=sys.stderr,
        )
        if done.returncode:
            raise RuntimeError(f'ended with status {done.returncode}; what it said stands above')
        return json.loads(file.read_text())


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__.split('\n\n')[0])
    parser.add_argument('--areas', nargs='+', choices=AREAS, default=list(AREAS), metavar='AREA', help=', '.join(AREAS))
    parser.add_argument(
        '--rounds', type=area.rounds, default=None, help='how often each contender is timed (3; quick: 2)'
    )
    parser.add_argument('--threads', type=int, help='how many cores to use (all that are allowed)')
    parser.add_argument('--quick', action='store_true', help='tiny shapes: whether it runs, not what it costs')
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('bench_out'), help='the folder (bench_out)')
    parser.add_argument('--redraw', action='store_true', help='tables and plots from bench.json, without measuring')
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (2 if options.quick else 3)
    return options


def command(options):
    """What to type for the same."""
    words = ['python -m benchmarks']
    if options.areas != list(AREAS):
        words += ['--areas', *options.areas]
    words += ['--rounds', str(options.rounds)]
    if options.threads:
        words += ['--threads', str(options.threads)]
    return ' '.join(words + ['--quick'] * options.quick)


if __name__ == '__main__':
    sys.exit(main())
