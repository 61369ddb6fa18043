"""Every training of the study, one JSON file each: what an earlier start has finished is used again."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from segparity.as_json import json_value
from segparity.demo.settings import read_json, write_json
from segparity.study.conditions import CONDITIONS
from segparity.study.data import StudyData, load_data
from segparity.study.judging import histogram, measures, probabilities, unclear_pixels
from segparity.study.pictures import example, share_picture
from segparity.study.settings import Settings, run_fingerprint
from segparity.study.training import train

CURVE = 50  # points of the loss curve that are kept


class Progress(Protocol):
    """What the terminal shows of the runs."""

    def step(self) -> None:
        """A step of a training."""

    def begin(self, run: 'Run') -> None:
        """A training starts."""

    def end(self, run: 'Run', record: dict[str, Any]) -> None:
        """A training has been judged and written."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train."""

    data: str
    condition: str
    seed: int

    @property
    def title(self) -> str:
        return f'{self.data}, {CONDITIONS[self.condition].title}, seed {self.seed}'


def planned(data: Sequence[str], seeds: int) -> list[Run]:
    """Seed by seed, so that a study that is ended early has whole seeds of every data set."""
    return [Run(name, condition, seed) for seed in range(seeds) for name in data for condition in CONDITIONS]


def record_path(out: Path, run: Run, fingerprint: str) -> Path:
    """Where the record of a run lies; other settings lie beside it, so that a quick study costs a full one nothing."""
    return out / 'runs' / run.data / f'{run.condition}-{run.seed}-{fingerprint}.json'


def finished(out: Path, run: Run, fingerprint: str) -> dict[str, Any] | None:
    """The record of an earlier start, None where there is none of these settings and this code."""
    record = read_json(record_path(out, run, fingerprint))
    same = isinstance(record, dict) and record.get('fingerprint') == fingerprint
    return record if same else None


def do_runs(out: Path, runs: Sequence[Run], settings: Settings, code: str, progress: Progress) -> None:
    """Train and judge, write a record each; a killed study leaves whole records alone."""
    loaded: dict[str, StudyData] = {}
    for run in runs:
        if run.data not in loaded:
            loaded[run.data] = load_data(run.data, settings)
        progress.begin(run)
        record = record_of(run, loaded[run.data], settings, progress.step)
        record['fingerprint'] = run_fingerprint(settings, code, run.data, run.condition, run.seed)
        write_json(record_path(out, run, record['fingerprint']), json_value(record))
        progress.end(run, record)


def record_of(run: Run, data: StudyData, settings: Settings, advance: Callable[[], None]) -> dict[str, Any]:
    """What one training gives: measures, the histogram of confidence at unclear pixels, the loss curve."""
    started = time.perf_counter()
    network, curve = train(data, CONDITIONS[run.condition], settings, run.seed, advance)
    prob = probabilities(network, data.test.images)
    shown = example(data.test)
    return {
        **dataclasses.asdict(run),
        'measures': measures(prob, data.test),
        'histogram': histogram(prob.max(1), unclear_pixels(data.test.soft)),
        'picture': share_picture(prob[shown]) if run.seed == 0 else None,
        'losses': [curve[i] for i in thinned(len(curve))],
        'seconds': time.perf_counter() - started,
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
    }


def thinned(length: int) -> Iterator[int]:
    """At most ``CURVE`` numbers from 0 to the last."""
    count = min(length, CURVE)
    return (round(k * (length - 1) / max(count - 1, 1)) for k in range(count))
