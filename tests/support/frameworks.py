"""Frameworks as a parametrise axis: one worker process each, kept for the whole run."""

import atexit

import pytest

from segparity.parity.frameworks import FRAMEWORKS, Worker, missing

# float64 on JAX checks definitions: compiled as written, in a fifth of the time; float32 is compiled as users' is
FAST_TO_COMPILE = (
    '--xla_backend_optimization_level=0',
    '--xla_cpu_use_fusion_emitters=false',
    '--xla_llvm_disable_expensive_passes=true',
    '--xla_cpu_parallel_codegen_split_count=1',
)
ENVIRONMENT = {'keras_jax_x64': dict(XLA_FLAGS=' '.join(FAST_TO_COMPILE))}
KERAS = tuple(name for name in FRAMEWORKS if name.startswith('keras'))
_workers = {}


def axis(*names):
    """Parameters for ``pytest.mark.parametrize('framework', ...)``; tests of one framework run in one xdist worker."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names or FRAMEWORKS]


def need(framework, required=()):
    """Skips with the reason where a framework is not installed; fails where it is required."""
    reason = missing(framework)
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
        _workers[framework] = Worker(framework, **ENVIRONMENT.get(framework, {}))
        atexit.register(_close, framework)
    return _workers[framework]


def _close(framework):
    worker = _workers.pop(framework, None)
    if worker:
        worker.close()
