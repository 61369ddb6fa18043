"""Every pair through ``work.measure_all`` on an existing Dask cluster."""

from __future__ import annotations

import asyncio
import itertools
import logging
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from segparity import __version__
from segparity.evaluate.run import chunks
from segparity.evaluate.work import measure_all
from shared_spec.files import one_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client, Future

    from segparity.evaluate.pairs import Pair
    from segparity.evaluate.settings import Settings
    from segparity.evaluate.work import Row

PATIENCE = 10  # seconds for the scheduler to answer


def outcomes(settings: Settings, pairs: list[Pair], address: str) -> Iterator[tuple[Pair, Row | str]]:
    """(pair, row or sentence) of every pair, in any order. Raises ImportError, OSError or RuntimeError.

    segparity must be installed on the workers and the paths must be theirs as well.
    """
    try:
        from distributed.comm import CommClosedError
    except ImportError:
        raise ImportError("--dask needs distributed: pip install 'segparity[evaluate,dask]'") from None
    for library in ('distributed', 'distributed.client', 'asyncio', 'tornado'):  # they tell the same, with tracebacks
        logging.getLogger(library).setLevel(logging.CRITICAL)
    with connected(address) as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise OSError(f'the Dask cluster at {address} has no worker') from None
        try:
            yield from spread(client, settings, pairs, sum(client.nthreads().values()))
        except (CancelledError, CommClosedError):
            raise OSError(f'the Dask scheduler at {address} has gone; what is done is kept') from None


def connected(address: str) -> Client:
    """A client of the scheduler there. It is asked first: a client without a scheduler hangs when it is closed."""
    from distributed import Client
    from distributed.comm import CommClosedError

    with one_sentence(f'no Dask scheduler answers at {address}', OSError):
        try:
            asyncio.run(ask(address))
            return Client(address, timeout=PATIENCE, set_as_default=False)
        except TimeoutError:
            raise OSError(f'nothing within {PATIENCE:g} seconds') from None
        except (CommClosedError, MemoryError):  # in what is no scheduler's answer any number is read as a length
            raise OSError('the connection was closed, or what answers is none') from None


async def ask(address: str) -> None:
    """Raises OSError, TimeoutError or MemoryError where no scheduler answers."""
    from distributed.core import connect
    from distributed.security import Security

    async with asyncio.timeout(PATIENCE):
        comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args('client'))
        await comm.write({'op': 'identity', 'reply': True})
        answer = await comm.read()
        comm.abort()
    if not isinstance(answer, dict) or answer.get('type') != 'Scheduler':
        raise OSError('what answers is none')


def spread(client: Client, settings: Settings, pairs: list[Pair], cores: int) -> Iterator[tuple[Pair, Row | str]]:
    from distributed import KilledWorker, as_completed

    tasks, waiting = iter(chunks(settings, pairs, cores)), {}

    def submit(task: list[Pair]) -> Future:
        future = client.submit(measure_task, __version__, settings, task, pure=False)
        waiting[future.key] = task
        return future

    first = [submit(task) for task in itertools.islice(tasks, 2 * cores)]
    running = as_completed(first, loop=client.loop)
    for future in running:
        task = waiting.pop(future.key)
        try:
            rows = future.result()
        except KilledWorker:
            raise RuntimeError(
                f'Dask workers died, probably for want of memory, at or after {task[0].image!r}; what is done is kept'
            ) from None
        except ImportError as error:
            raise RuntimeError(f'a Dask worker cannot import what it needs: {error}') from None
        for following in itertools.islice(tasks, 1):
            running.add(submit(following))
        yield from zip(task, rows)


def measure_task(version: str, settings: Settings, pairs: list[Pair]) -> list[Row | str]:
    """Runs on a worker of the cluster."""
    if version != __version__:
        raise ImportError(f'segparity {version}, it has {__version__}')
    return measure_all(settings, pairs)
