"""Endless work fails its test in place of holding up the suite. It is no measure of speed: machines differ."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

SECONDS = 120  # of processor time; what ends takes less than a tenth of it on the slowest machine known


@contextmanager
def must_end(seconds: float = SECONDS) -> Iterator[None]:
    """Fail the test after ``seconds`` of this process's processor time; no ``except Exception`` of the block holds it up."""

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f'not done after {seconds:g} seconds of processor time')

    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError('signals reach the main thread alone: call must_end there')
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
