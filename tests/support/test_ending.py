import signal

import pytest

from tests.support.ending import must_end


def swallow_errors_for_ever():
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def test_endless_work_fails():
    before = signal.getsignal(signal.SIGPROF)
    with pytest.raises(pytest.fail.Exception, match=r'not done after 0\.05 seconds'), must_end(0.05):
        swallow_errors_for_ever()
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_what_ends_passes_and_its_own_error_stays():
    with must_end():
        pass
    with pytest.raises(ValueError, match='mine'), must_end():
        raise ValueError('mine')
