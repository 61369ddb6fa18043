"""Options and fixtures of the whole suite."""

import contextlib
import importlib
import os
import shutil
import tempfile

import pytest

from tests.support import selection
from tests.support.expected import FOLDER
from tests.support.frameworks import need, worker_of

ON_JAX = ('keras_jax', 'keras_jax_x64')  # which compiles every operation of every shape: slow but where marked quick


def pytest_addoption(parser):
    parser.addoption(
        '--require',
        default='',
        help='frameworks (comma separated, or all) whose absence fails a test instead of skipping it',
    )


def pytest_configure(config):
    """The process that starts the workers makes their common folder, and removes it in the end.

    It also imports YAPF, which MMEngine imports: in a fresh environment YAPF writes its grammar into the user's cache on
    import, and of two workers that do so at once one reads what the other has half written (EOFError).
    """
    selection.choose(config.option.markexpr)
    if not hasattr(config, 'workerinput'):
        os.environ[FOLDER] = tempfile.mkdtemp(prefix='segparity-')
        with contextlib.suppress(ImportError):
            importlib.import_module('yapf')


def pytest_unconfigure(config):
    if not hasattr(config, 'workerinput'):
        shutil.rmtree(os.environ.pop(FOLDER, ''), ignore_errors=True)


@pytest.fixture
def worker(request, framework):
    """The worker process of the test's ``framework``."""
    need(framework, [name for name in request.config.getoption('--require').split(',') if name])
    return worker_of(framework)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of one framework run one after the other, so that its worker is started once, and every other framework's
    backwards: two that run side by side then meet in the middle, with half of the shared references each."""
    for item in items:
        framework = framework_of(item)
        dear = framework in ON_JAX and not names_it('quick_on', item, framework)
        if dear or names_it('slow_on', item, framework):
            item.add_marker('slow')
    frameworks = sorted({framework for item in items if (framework := framework_of(item))})
    groups = [[item for item in items if framework_of(item) == framework] for framework in (*frameworks, None)]
    items[:] = [item for k, group in enumerate(groups) for item in (group[::-1] if k % 2 else group)]


def names_it(marker, item, framework):
    return any(framework in mark.args for mark in item.iter_markers(marker))


def framework_of(item):
    """The framework of a test that has one as a parameter, or None."""
    callspec = getattr(item, 'callspec', None)
    return callspec.params.get('framework') if callspec else None
