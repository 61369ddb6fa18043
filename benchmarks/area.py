"""What every area shares: its options, running alone, and what it hands to ``make bench``.

An area is a function of the options that yields sections one by one, each a dictionary of raw numbers (results.py).
"""

import argparse
import json
import os
import pathlib
import sys

from benchmarks import tables


def parser(doc):
    """The options of every area; doc is the file's own documentation."""
    parser = argparse.ArgumentParser(description=doc.split('\n\n')[0])
    parser.add_argument('--rounds', type=rounds, default=5, help='how often each contender is timed (5)')
    parser.add_argument('--threads', type=int, default=None, help='how many cores to use (all that are allowed)')
    parser.add_argument('--quick', action='store_true', help='tiny shapes: whether it runs, not what it costs')
    parser.add_argument('--json', type=pathlib.Path, help=argparse.SUPPRESS)
    return parser


def run(measure, options):
    """Prints the sections that ``measure(options)`` yields, and keeps their raw numbers in ``options.json``."""
    options.cores = usable_cores()
    confine(options.threads)
    found = []
    for section in measure(options):
        found.append(section)
        print(f'\n## {section["title"]}\n\n{tables.markdown(section)}', flush=True)
        if options.json:
            options.json.write_text(json.dumps(found))


def confine(threads):
    """This process and those it starts use so many cores, whatever the framework; before a framework is imported."""
    threads = thread_count(threads)
    use(usable_cores()[:threads])
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS'):
        os.environ[name] = str(threads)


def thread_count(threads):
    """How many cores --threads names; all that are at hand where it names none."""
    most = len(usable_cores())
    if threads is not None and not 1 <= threads <= most:
        raise SystemExit(f'benchmarks: --threads must be from 1 to {most}, the cores at hand, got {threads}')
    return threads or most


def rounds(text):
    """How often --rounds says."""
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f'benchmarks: --rounds must be a whole number above 0, got {text}')
    return int(text)


def use(cores):
    """From here on, this process and those it starts run on these cores."""
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, cores)


def usable_cores():
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else list(range(os.cpu_count()))


def say(text):
    """Progress, beside the tables."""
    print(text, file=sys.stderr, flush=True)
