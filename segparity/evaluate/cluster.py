"""Every pair through ``work.measure_all`` on an existing Dask cluster."""

import itertools

from segparity import __version__
from segparity.evaluate.run import chunks
from segparity.evaluate.work import measure_all

PATIENCE = 10  # seconds for the scheduler to answer


def outcomes(settings, pairs, address):
    """(pair, row or sentence) of every pair, in any order. Raises ImportError, OSError or RuntimeError.

    segparity must be installed on the workers and the paths must be theirs as well.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("--dask needs distributed: pip install 'segparity[evaluate,dask]'") from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(f'no Dask scheduler answers at {address}: {str(error).splitlines()[0]}') from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise OSError(f'the Dask cluster at {address} has no worker') from None
        yield from spread(client, settings, pairs, sum(client.nthreads().values()))


def spread(client, settings, pairs, cores):
    from distributed import KilledWorker, as_completed

    tasks, waiting = iter(chunks(settings, pairs, cores)), {}

    def submit(task):
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


def measure_task(version, settings, pairs):
    """Runs on a worker of the cluster."""
    if version != __version__:
        raise ImportError(f'segparity {version}, it has {__version__}')
    return measure_all(settings, pairs)
