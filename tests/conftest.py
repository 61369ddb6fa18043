"""Options and fixtures of the whole suite."""

import pytest

from tests.support.frameworks import need, worker_of


def pytest_addoption(parser):
    parser.addoption(
        '--require',
        default='',
        help='frameworks (comma separated, or all) whose absence fails a test instead of skipping it',
    )


@pytest.fixture
def worker(request, framework):
    """The worker process of the test's ``framework``."""
    need(framework, [name for name in request.config.getoption('--require').split(',') if name])
    return worker_of(framework)


def pytest_collection_modifyitems(items):
    """Tests of one framework run one after the other, so that its worker is started once."""
    items.sort(key=lambda item: str(getattr(item, 'callspec', None) and item.callspec.params.get('framework', '')))
