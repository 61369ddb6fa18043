"""The demo from start to end: data, plan, trainings, comparison, page. What an earlier run finished is used again."""

import argparse
import functools
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

from rich.console import Console

from segparity.demo import dataset, judge, network
from segparity.demo.jobs import Job, run_jobs
from segparity.demo.settings import (
    MARKER,
    DemoError,
    Settings,
    code_digest,
    file_digest,
    fingerprint,
    read_json,
    write_json,
)
from segparity.demo.worlds import World, find_worlds
from segparity.folders import clear, marked_folder
from segparity.terminal import say

OWN = ('data', 'data.part', 'mmseg', 'keras', 'compare', network.PLAN, 'index.html', 'results.json')


def run_demo(args: argparse.Namespace, console: Console) -> int:
    """Run every stage; returns 0, or 1 when the worlds disagree or a full training has not learned."""
    from segparity.demo.demo_page import write_page
    from segparity.demo.results import collect
    from segparity.demo.terminal import print_results

    started = time.time()
    settings = Settings.for_iterations(args.iterations) if args.iterations else Settings()
    worlds = find_worlds(args.worlds)
    running = [world for world in worlds if world.runs]
    out = args.out.absolute()
    with own_folder(out, args.out):
        if args.fresh:
            clear(out, *OWN)
        write_json(out / MARKER, {'settings': settings.to_dict()})
        for world in worlds:
            if not world.runs:
                say(console, world.sentence)
        prepare(out, settings, console)
        train(out, settings, running, console)
        compare(out, settings, running, console)
        results = collect(out, settings, running)
        results['run'] = {'seconds': time.time() - started, 'out': str(args.out)}
        write_json(out / 'results.json', results)
        write_page(out, settings, worlds, results)
        print_results(results, worlds, console)
        say(console, f'Page with pictures: {args.out / "index.html"} (after {results["run"]["seconds"]:.0f} s)')
        learned = all(results['learned'].values()) or settings.iterations < Settings().iterations
        return 0 if results['agree'] and learned else 1


def own_folder(out: Path, shown: Path | str) -> AbstractContextManager[None]:
    """The folder, new or an earlier demo's, locked against a second demo while this one runs."""
    return marked_folder(out, shown, MARKER, 'demo', DemoError)


def prepare(out: Path, settings: Settings, console: Console) -> None:
    """Scenes and plan."""
    written = dataset.write_data(out, settings)
    network.write_plan(out, settings)
    how = 'written' if written else 'kept from an earlier run'
    say(
        console,
        f'Scenes of handwritten digits: {settings.train_scenes} to train, {settings.val_scenes} to judge ({how})',
    )


def world_fingerprint(world: World, settings: Settings) -> str:
    """Says which training this is: data, plan, code, versions, backend."""
    return world.fingerprint(dataset.data_fingerprint(settings), network.plan_fingerprint(settings))


def start_or_continue(folder: Path, wanted: str) -> str:
    """'done', 'resumed' or 'new': what the folder holds of the wanted work; anything else in it is removed."""
    state = read_json(folder / 'state.json')
    if not isinstance(state, dict) or state.get('fingerprint') != wanted:
        clear(folder.parent, folder.name)
        write_json(folder / 'state.json', {'fingerprint': wanted})
        return 'new'
    return 'done' if state.get('done') else 'resumed'


def finish(folder: Path) -> None:
    write_json(folder / 'state.json', {**read_json(folder / 'state.json'), 'done': True})


def train(out: Path, settings: Settings, worlds: list[World], console: Console) -> None:
    """Train in every world that has no finished result of these settings and this code."""
    jobs = []
    for world in worlds:
        folder = out / world.name
        found = start_or_continue(folder, world_fingerprint(world, settings))
        if found == 'done':
            say(console, f'{world.long_title}: trained already (--fresh trains again)')
            continue
        if found == 'resumed' and (folder / 'progress.jsonl').exists():
            say(console, f'{world.long_title}: an interrupted training goes on')
        job = Job(
            title=world.long_title,
            module=f'segparity.demo.train_{world.name}',
            arguments=['--out', out],
            log=folder / 'log.txt',
            backend=world.backend,
            progress=folder / 'progress.jsonl',
            steps=settings.iterations,
            finish=functools.partial(finish, folder),
        )
        jobs.append(job)
    run_jobs(jobs, console)


def compare(out: Path, settings: Settings, worlds: list[World], console: Console) -> None:
    """Let NumPy and every world judge every world's predictions."""
    code = code_digest('shared_spec', *(world.plugin for world in worlds))
    judged = [file_digest(out / world.name / 'val_logits.npy') for world in worlds]
    trained = [world_fingerprint(world, settings) for world in worlds]
    folder = out / 'compare'
    own = file_digest(*(Path(cast(str, module.__file__)) for module in (judge, dataset)))
    if start_or_continue(folder, fingerprint(code, own, judged, trained)) == 'done':
        return
    backends = {'numpy': '', **{world.name: world.backend for world in worlds}}
    models = ','.join(world.name for world in worlds)
    jobs = [
        Job(
            title=f'Judging the predictions ({judge.TITLES[name]})',
            module='segparity.demo.judge',
            arguments=['--out', out, '--world', name, '--models', models],
            log=folder / f'{name}.log',
            backend=backend,
        )
        for name, backend in backends.items()
    ]
    run_jobs(jobs, console)
    finish(folder)
