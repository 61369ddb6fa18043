"""Blocks of a large tensor on worker threads that compute single-threaded: on a busy machine nobody waits for a whole team.

PyTorch divides every operation among its threads, each of which waits for the slowest: thousands of short waits where
an operation is a block that fits the cache. Here every thread takes whole blocks in place of that.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Place = TypeVar('Place')
Result = TypeVar('Result')
MOST = 32  # threads that share Python's lock without waiting for it

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _forget() -> None:
    """In a forked process, which inherits no threads, and a lock that another thread may have held."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget)


def number() -> int:
    """How many blocks are computed at a time: the threads that PyTorch has in this thread."""
    return min(torch.get_num_threads(), MOST)


def each(function: Callable[[Place], Result], places: Iterable[Place], is_cpu: bool = True) -> Iterator[Result]:
    """``function`` of each place, in their order; on worker threads where PyTorch has more than one on the CPU.

    Workers have autograd switched on and autocast off, whatever the caller has. An error of one is the caller's, and what
    has not begun is left out.
    """
    places = list(places)
    if not is_cpu or number() == 1 or len(places) == 1:
        return map(function, places)
    return _pool(number()).map(function, places)


def run(function: Callable[[Place], object], places: Iterable[Place], is_cpu: bool = True) -> None:
    """``each`` of what has no result."""
    for _ in each(function, places, is_cpu):
        pass


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = _started(threads)
        return _pools[threads]


def _keep_memory() -> None:
    """Lets the C library keep what blocks free, up to 64 MB a thread, in place of asking for zeroed pages again and again.

    glibc raises its limits to the size of the largest chunk below 32 MB that was given back; others have no such limits.
    """
    torch.empty(2**25 - 2**13, dtype=torch.uint8)


def _started(threads: int) -> ThreadPoolExecutor:
    """A pool whose threads have begun. A thread's setting is the process's for later ones as well, so it is set back."""
    _keep_memory()
    before, begun = torch.get_num_threads(), threading.Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # which sets a new thread to the process's number, once
        torch.set_num_threads(1)
        begun.wait()

    pool = ThreadPoolExecutor(threads, 'segparity')
    for _ in range(threads):
        pool.submit(begin)
    begun.wait()
    torch.set_num_threads(before)
    return pool
