"""Frameworks as a parametrise axis: one worker process each, kept for the whole run."""

import atexit

import pytest

from segparity.parity.frameworks import FRAMEWORKS, Worker, missing_sentence
from segparity.parity.ways import WAYS

KERAS = tuple(name for name in FRAMEWORKS if name.startswith('keras'))
_workers = {}


def axis(*names):
    """Parameters for ``pytest.mark.parametrize('framework', ...)``; tests of one framework run in one xdist worker."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names or FRAMEWORKS]


def axis_of_ways():
    """Parameters ('framework', 'way'): every way in which a loss runs, as ``segparity check`` has them."""
    return [
        pytest.param(framework, way, id=f'{framework}_{way}', marks=pytest.mark.xdist_group(framework))
        for framework in FRAMEWORKS
        for way in WAYS[framework]
    ]


def need(framework, required=()):
    """Skips with the reason where a framework is not installed; fails where it is required."""
    reason = missing_sentence(framework)
    if reason and (framework in required or 'all' in required):
        pytest.fail(f'required, but {reason}')
    if reason:
        pytest.skip(reason)


def worker_of(framework):
    """The worker of an installed framework, started at its first use; the two used last stay alive."""
    for other in list(_workers)[:-1]:
        if other != framework:
            _close(other)
    if framework not in _workers or _workers[framework].process.poll() is not None:
        _workers.pop(framework, None)
        _workers[framework] = Worker(framework)
        atexit.register(_close, framework)
    return _workers[framework]


def _close(framework):
    worker = _workers.pop(framework, None)
    if worker:
        worker.close()
