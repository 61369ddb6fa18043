"""When a search has to end, on the clock."""

import contextlib
import contextvars
import time
from collections.abc import Iterator

END: contextvars.ContextVar[float] = contextvars.ContextVar('end')


class TooSlow(RuntimeError):
    """The calls, or the search, have taken all the time that they may."""


@contextlib.contextmanager
def ending(at: float) -> Iterator[None]:
    """Within it ``check`` raises TooSlow after the moment ``at``, in seconds of ``time.monotonic``."""
    token = END.set(at)
    try:
        yield
    finally:
        END.reset(token)


def check() -> None:
    if time.monotonic() > END.get(float('inf')):
        raise TooSlow('the time is over')
