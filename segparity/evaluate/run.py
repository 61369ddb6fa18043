"""Every pair through ``work.measure_all``: here, or on processes. Results come in any order."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import cast

from segparity.evaluate.pairs import Pair
from segparity.evaluate.settings import Settings
from segparity.evaluate.work import Row, measure_all

NOT_STARTED = 'the worker processes cannot be started; --workers 1 goes without them'
CHUNK = 8  # pairs in one task, at most, where each takes milliseconds


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def chunks(settings: Settings, pairs: list[Pair], workers: int) -> list[list[Pair]]:
    """The pairs in tasks, small enough that little is lost with one: costly pairs go one by one."""
    costly = settings.boundary or settings.distances or settings.calibration
    size = 1 if costly else max(1, min(CHUNK, len(pairs) // (4 * workers)))
    return [pairs[k : k + size] for k in range(0, len(pairs), size)]


def outcomes(settings: Settings, pairs: list[Pair], workers: int) -> Iterator[tuple[Pair, Row | str]]:
    """(pair, row or sentence) of every pair; with one worker in this process."""
    workers = min(workers, len(pairs))
    if workers <= 1:
        return here(settings, pairs)
    return on_processes(settings, pairs, workers)


def here(settings: Settings, pairs: list[Pair]) -> Iterator[tuple[Pair, Row | str]]:
    for pair in pairs:
        yield pair, measure_all(settings, [pair])[0]


def on_processes(settings: Settings, pairs: list[Pair], workers: int) -> Iterator[tuple[Pair, Row | str]]:
    """At most two tasks for each worker are under way, so that memory does not grow with the data set."""
    context = multiprocessing.get_context('spawn')
    tasks, waiting = iter(chunks(settings, pairs, workers)), {}
    try:
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker, initargs=(settings,))
    except (OSError, ValueError):  # of the process that watches over locks, whose pipe is closed where it has ended
        raise RuntimeError(NOT_STARTED) from None
    try:
        try:
            with without_interrupts():
                for task in itertools.islice(tasks, 2 * workers):
                    waiting[pool.submit(work, task)] = task
        except ValueError:  # the same pipe, which workers are handed
            raise RuntimeError(NOT_STARTED) from None
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                task = waiting[future]
                rows = future.result()
                del waiting[future]
                for following in itertools.islice(tasks, 1):
                    waiting[pool.submit(work, following)] = following
                yield from zip(task, rows)
    except BrokenProcessPool:
        near = ', '.join(repr(task[0].image) for task in itertools.islice(waiting.values(), 3))
        raise RuntimeError(
            f'a worker process died, probably for want of memory, at or after one of {near}; what is done is kept: '
            'the same command with fewer --workers goes on'
        ) from None
    except OSError:  # the pipe to them is broken, or its end here is closed already
        raise RuntimeError(NOT_STARTED) from None
    finally:
        with contextlib.suppress(OSError):  # of a pipe to workers that have ended
            pool.shutdown(cancel_futures=True)


_settings: Settings | None = None  # of this worker process


def start_worker(settings: Settings) -> None:
    global _settings
    _settings = settings
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    threading.Thread(target=end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def end_with(parent: BaseProcess) -> None:
    """A killed parent leaves no worker behind."""
    parent.join()
    os._exit(1)


def work(pairs: list[Pair]) -> list[Row | str]:
    return measure_all(cast(Settings, _settings), pairs)


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Ctrl-C waits, and the processes started meanwhile never see one, not even while they import."""
    if not hasattr(signal, 'pthread_sigmask'):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
