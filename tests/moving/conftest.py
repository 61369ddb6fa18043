"""The tests of moving run both worlds: PyTorch and MMSegmentation in pytest's process, Keras in its worker."""

import pytest


@pytest.fixture
def keras(worker):
    """Calls a function of tests.moving.keras_calls in the worker; the array 'out', or the result where there is none."""
    pytest.importorskip('torch', reason='torch is not installed')

    def call(function, arrays=None, whole=False, **arguments):
        result, found = worker.call(f'tests.moving.keras_calls:{function}', arrays, **arguments)
        if whole:
            return found
        return found.get('out', result)

    return call
