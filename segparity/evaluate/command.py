"""``segparity evaluate``, from its options to its outputs."""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segparity.evaluate import naming, output, pairs
from segparity.evaluate import run as local
from segparity.evaluate.journal import Journal, cache_path, stamp_of
from segparity.evaluate.maps import MapError, holds_probabilities
from segparity.evaluate.options import settings_of
from segparity.evaluate.settings import Settings
from segparity.evaluate.splits import read_split
from segparity.evaluate.state_file import refuse_other_files, write_state
from segparity.evaluate.tables import print_remarks, print_results
from segparity.evaluate.totals import Totals
from segparity.evaluate.work import Row
from segparity.outputs import check_writable, refuse_clashes
from segparity.terminal import Terminal, complain, say, standard_error
from shared_spec.files import reason


class BadPair(ValueError):
    """A pair that cannot be used, where --skip-bad was not given."""


def run(options: argparse.Namespace, console: Console) -> int:
    """Runs the command; see ``segparity.evaluate``. Raises ValueError or OSError for wrong input."""
    if importlib.util.find_spec('PIL') is None:
        raise ImportError("segparity evaluate needs Pillow: pip install 'segparity[evaluate]'")
    check_outputs(options)
    notes = standard_error(options.quiet)
    chosen = choose(options, notes)
    found, missing = find_pairs(options, chosen, notes)
    settings = settings_of(options, has_probabilities(found, options))
    if missing and not options.skip_bad:
        raise ValueError(pairs.missing_sentence(missing))
    refuse_clashes(output_files(options), inputs(options, found))
    found = pairs.shard(found, *options.shard)
    if not found:
        raise ValueError(f'the shard {options.shard[0]}/{options.shard[1]} has no pair')

    totals, skipped = Totals(settings), list(missing)
    journal = open_journal(options, settings, notes)
    try:
        work_through(options, found, journal, totals, skipped, notes)
    except KeyboardInterrupt:
        same = 'the same command without --fresh' if options.fresh else 'the same command'
        kept = f'; {len(totals)} of {len(found)} pairs are done and kept: {same} continues' if journal else ''
        complain(f'segparity: interrupted{kept}')
        return 130
    finally:
        if journal:
            journal.close()
    if not len(totals):
        image, reason = min(skipped)
        raise ValueError(f'no pair can be used: {image}: {reason}')
    write_files(options, totals, sorted(skipped), chosen)
    if journal:
        journal.remove()
    print_outputs(options, totals, sorted(skipped), console, chosen)
    return 0


def choose(options: argparse.Namespace, notes: Terminal) -> dict[str, Any]:
    """What a preset decides, told and as JSON has it; what nobody decided is what it always was."""
    chosen: dict[str, Any] = {}
    if options.preset:
        from segparity.evaluate.presets import apply_preset, sentence

        decided = apply_preset(options)
        say(notes, sentence(options.preset, decided, options.pred_ids is None))
        chosen['preset'] = {'name': options.preset.name, **decided}
    options.pred_suffix, options.gt_suffix = options.pred_suffix or '', options.gt_suffix or ''
    options.by_name = bool(options.by_name)
    return chosen


def find_pairs(
    options: argparse.Namespace, chosen: dict[str, Any], notes: Terminal
) -> tuple[list[pairs.Pair], list[tuple[str, str]]]:
    """The pairs, and those without a partner; suffixes that are inferred are told, and added to what was chosen."""

    def tell(names: pairs.Names) -> None:
        say(notes, naming.sentence(names.pred_suffix, names.gt_suffix))
        chosen['inferred'] = dict(pred_suffix=names.pred_suffix, gt_suffix=names.gt_suffix)

    names = pairs.Names(options.pred_suffix, options.gt_suffix, options.by_name)
    known = options.preset.pred_suffixes if options.preset else ()  # those of the data set's pictures, too
    split = read_split(options.split, known) if options.split else None
    return pairs.find_pairs(options.pred, options.gt, names, options.root, split, tell)


def check_outputs(options: argparse.Namespace) -> None:
    """Refuses what could not be written, before anything is measured."""
    if options.per_image:
        output.check_per_image(options.per_image)
    check_writable(output_files(options))
    if options.state:
        refuse_other_files(options.state)


def output_files(options: argparse.Namespace) -> dict[str, Path | None]:
    """Option -> file, of what is written."""
    return {'--state': options.state, '--per-image': options.per_image, '--json': options.json}


def inputs(options: argparse.Namespace, found: list[pairs.Pair]) -> Iterator[str | Path | None]:
    """Every file that is read."""
    yield from (options.pred, options.gt, options.palette, options.pred_palette, options.gt_palette)
    yield from (options.classes, options.split)
    for pair in found:
        yield from (pair.pred, pair.target)


def has_probabilities(found: list[pairs.Pair], options: argparse.Namespace) -> bool:
    """Whether calibration is measured: all predictions have probabilities, none, or it is not wanted."""
    if options.no_calibration:
        return False
    kinds = set()
    for pair in found:
        with contextlib.suppress(MapError):  # of a file that is named where its pair is read
            kinds.add(holds_probabilities(pair.pred))
    if kinds == {True, False}:
        raise ValueError(
            'some predictions are probabilities (.npz, or NIfTI with four axes) and some label maps: --no-calibration compares the labels of both'
        )
    return kinds == {True}


def open_journal(options: argparse.Namespace, settings: Settings, notes: Terminal) -> Journal | None:
    """The journal of this run: beside the state file, or in the cache; None where the cache cannot be written."""
    if options.state:
        path = options.state.with_name(options.state.name + '.journal')
        return Journal(path, settings.key(), options.fresh)
    where = [os.path.abspath(options.pred), os.path.abspath(options.gt), str(options.root and options.root.absolute())]
    where += [options.pred_suffix, options.gt_suffix, options.by_name, options.shard, settings.key()]
    path = cache_path(hashlib.sha256(json.dumps(where).encode()).hexdigest())
    try:
        return Journal(path, settings.key(), options.fresh)
    except OSError as error:
        say(
            notes,
            f'A killed run could not be continued, for the cache {path.parent} cannot be written: {reason(error)}',
        )
        return None


def work_through(
    options: argparse.Namespace,
    found: list[pairs.Pair],
    journal: Journal | None,
    totals: Totals,
    skipped: list[tuple[str, str]],
    notes: Terminal,
) -> None:
    """Adds every pair to the totals, or to the skipped."""
    left = []
    for pair in found:
        earlier = journal.finished_row(pair) if journal else None
        if earlier is None:
            left.append(pair)
        else:
            totals.add(pair.image, (pair.pred, pair.target), earlier)
    if len(left) < len(found):
        say(notes, f'{len(found) - len(left)} of {len(found)} pairs were done by an earlier run')
    stamps = {pair.image: stamp_of(pair) for pair in left}  # before the files are read
    with progress(notes) as bar:
        task = bar.add_task('', total=len(found), completed=len(found) - len(left))
        for pair, row in outcomes(options, totals.settings, left):
            if isinstance(row, str):
                if not options.skip_bad:
                    raise BadPair(f'{pair.image}: {row} (--skip-bad goes on without such pairs)')
                skipped.append((pair.image, row))
            else:
                totals.add(pair.image, (pair.pred, pair.target), row)
                if journal:
                    journal.add(pair, stamps[pair.image], row)
            bar.advance(task)


def outcomes(
    options: argparse.Namespace, settings: Settings, left: list[pairs.Pair]
) -> Iterable[tuple[pairs.Pair, Row | str]]:
    if options.dask:
        from segparity.evaluate import cluster

        return cluster.outcomes(settings, left, options.dask) if left else ()
    return local.outcomes(settings, left, options.workers or local.usable_cores())


def progress(notes: Terminal) -> Progress:
    columns = BarColumn(), MofNCompleteColumn(), TextColumn('pairs'), TimeRemainingColumn()
    return Progress(*columns, console=notes, transient=True, disable=notes.quiet or not notes.is_terminal)


def write_files(
    options: argparse.Namespace,
    totals: Totals,
    skipped: list[tuple[str, str]],
    chosen: Mapping[str, Any] = output.NOTHING,
) -> None:
    """Every file before a word is printed, the state before all others: what took the time is safe whatever follows."""
    if options.state:
        write_state(options.state, totals, skipped)
    if options.per_image:
        output.write_per_image(options.per_image, totals)
    if options.json and str(options.json) != '-':
        output.write_json(options.json, totals, skipped, chosen)


def print_outputs(
    options: argparse.Namespace,
    totals: Totals,
    skipped: list[tuple[str, str]],
    console: Console,
    chosen: Mapping[str, Any] = output.NOTHING,
) -> None:
    """Tables, or with --quiet or --json - the remarks alone, on the standard error; then the JSON of --json -."""
    if not options.quiet and str(options.json) != '-':
        print_results(totals, skipped, console)
    else:
        print_remarks(totals, skipped, standard_error())
    if str(options.json) == '-':
        console.out(output.as_json(totals, skipped, chosen), highlight=False)
