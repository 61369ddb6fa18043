"""Child processes with a progress bar: started together, watched, and never left behind."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

from segparity.demo.child import read_progress
from segparity.demo.settings import DemoError

POLL_SECONDS = 0.2
LAST_LINES = 12


class JobFailed(DemoError):
    """A child process failed; ``lines`` are the last of its log."""

    def __init__(self, job: 'Job', code: int, lines: list[str]) -> None:
        how = f'was ended by signal {-code}' if code < 0 else f'stopped with exit code {code}'
        super().__init__(f'{job.title} {how}; the whole log is {job.log}')
        self.lines = lines


@dataclasses.dataclass(kw_only=True)
class Job:
    """A module to run, with its log; ``progress`` and ``steps`` for a training whose progress is shown."""

    title: str
    module: str
    arguments: list[Any]
    log: Path
    backend: str = ''
    progress: Path | None = None
    steps: int = 1
    finish: Callable[[], None] | None = None  # called when the process has ended well
    process: subprocess.Popen[bytes] | None = None

    def start(self, threads: int) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', self.module, '--attached', *map(str, self.arguments)],
                stdin=subprocess.PIPE,  # the child ends when this end closes
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(threads, self.backend),
                start_new_session=True,  # Ctrl-C reaches the demo, which then ends its children
            )

    def ended(self) -> bool:
        """Whether the process is over; JobFailed where it ended badly."""
        process = cast(subprocess.Popen[bytes], self.process)
        if process.poll() is None:
            return False
        if process.returncode:
            raise self.failure()
        if self.finish is not None:
            self.finish()
            self.finish = None
        return True

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process is not None:
            cast(IO[bytes], self.process.stdin).close()

    def failure(self) -> JobFailed:
        code = cast(subprocess.Popen[bytes], self.process).returncode
        lines = self.log.read_text(errors='replace').splitlines()
        own_sentence = code == 2 and lines  # DemoError, told by the child
        return JobFailed(self, code, lines[-1:] if own_sentence else lines[-LAST_LINES:])


def environment(threads: int, backend: str = '') -> dict[str, str]:
    """The child's environment: its threads, the CPU only, this segparity first."""
    here = str(Path(__file__).resolve().parents[2])
    found = os.environ.get('PYTHONPATH')
    values = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join([here, found] if found else [here]),
        'PYTHONUNBUFFERED': '1',
        'OMP_NUM_THREADS': str(threads),
        # Threads that wait must not spin: beside other work on the same cores that made a step ten times as long.
        'OMP_WAIT_POLICY': os.environ.get('OMP_WAIT_POLICY', 'PASSIVE'),
        'TF_NUM_INTRAOP_THREADS': str(threads),
        'TF_NUM_INTEROP_THREADS': '1',
        'TF_CPP_MIN_LOG_LEVEL': '2',
        'CUDA_VISIBLE_DEVICES': '',
        'JAX_PLATFORMS': 'cpu',
        'KERAS_TORCH_DEVICE': 'cpu',
        'MPLBACKEND': 'agg',
    }
    return {**values, 'KERAS_BACKEND': backend} if backend else values


def available_threads() -> int:
    """OMP_NUM_THREADS where it is set, else the cores that this process may use, at most eight."""
    with contextlib.suppress(ValueError, KeyError):
        return max(1, int(os.environ['OMP_NUM_THREADS']))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return min(cores, 8)


def run_jobs(jobs: list[Job], console: Console) -> None:
    """Run the jobs side by side, the threads shared among them; JobFailed for the first that fails."""
    threads = max(1, available_threads() // len(jobs)) if jobs else 1
    shown = Bars(console, jobs) if console.is_terminal else Lines(console, jobs)
    try:
        for job in jobs:
            job.start(threads)
        with shown:
            while True:
                running = [job for job in jobs if not job.ended()]
                shown.update()
                if not running:
                    return
                time.sleep(POLL_SECONDS)
    finally:
        for job in jobs:
            job.stop()


def state_of(job: Job) -> tuple[int, str]:
    """(steps done, text) of a job."""
    if job.progress is None:
        return (0, '')
    steps, validations = read_progress(job.progress)
    if not steps:
        return 0, 'starting'
    text = f'loss {steps[-1]["loss"]:.3f}'
    if validations:
        text += f', mIoU^D {validations[-1]["mIoUD"]:.3f}'
    return steps[-1]['step'] + 1, text


class Bars:
    """A bar for each training, on a terminal."""

    def __init__(self, console: Console, jobs: list[Job]) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        count = [BarColumn(bar_width=24), TextColumn('{task.completed}/{task.total}')]
        columns = [SpinnerColumn(finished_text='✓'), TextColumn('{task.description}')]
        columns += count if any(job.progress for job in jobs) else []
        self.progress = Progress(*columns, TimeElapsedColumn(), TextColumn('{task.fields[text]}'), console=console)
        self.tasks = [(job, self.progress.add_task(job.title, total=job.steps, text='')) for job in jobs]

    def __enter__(self) -> None:
        self.progress.start()

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def update(self) -> None:
        for job, task in self.tasks:
            done, text = state_of(job)
            over = cast(subprocess.Popen[bytes], job.process).poll() == 0
            self.progress.update(task, completed=job.steps if over else done, text=text)


class Lines:
    """Plain lines where there is no terminal: one at every validation."""

    def __init__(self, console: Console, jobs: list[Job]) -> None:
        self.console, self.jobs = console, jobs
        self.said: dict[str, int] = {}

    def __enter__(self) -> None:
        for job in self.jobs:
            self.console.print(f'{job.title}: started')

    def __exit__(self, *_: object) -> None:
        pass

    def update(self) -> None:
        for job in self.jobs:
            if job.progress is None:
                continue
            _, validations = read_progress(job.progress)
            if validations and self.said.get(job.title) != validations[-1]['val']:
                self.said[job.title] = validations[-1]['val']
                done, text = state_of(job)
                self.console.print(f'{job.title}: {done}/{job.steps}, {text}')
