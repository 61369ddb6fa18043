"""The process that answers for a framework, before it loads one: what it prints, how it refuses, how it ends."""

import io
import subprocess
import sys
import threading

import numpy as np
import pytest

from segparity.parity import frameworks
from segparity.parity.frameworks import Worker, WorkerError, write_message


@pytest.mark.quick_on('keras_jax', 'keras_jax_x64')
@pytest.mark.parametrize(
    ('framework', 'backend', 'x64'),
    [('torch', None, None), ('keras_jax', 'jax', '0'), ('keras_jax_x64', 'jax', '1'), ('keras_torch', 'torch', None)],
)
def test_answers_whatever_is_printed(framework, backend, x64, monkeypatch):
    for name in ('KERAS_BACKEND', 'JAX_ENABLE_X64', 'JAX_PLATFORMS', 'SEGPARITY_QUIET_WORKERS'):
        monkeypatch.delenv(name, raising=False)
    arrays = dict(x=np.arange(6.0, dtype=np.float32).reshape(2, 3), y=np.array(True), absent=None)
    names = ['KERAS_BACKEND', 'JAX_ENABLE_X64', 'JAX_PLATFORMS', 'OF_THE_CALLER']
    with Worker(framework, OF_THE_CALLER='ours') as worker:
        for word in ('once', 'ä'):
            result, back = worker.call('tests.parity.worker_calls:echo', arrays, names=names, word=word)
            assert result['said'] == dict(word=word)
            assert result['environment'] == [backend, x64, x64 and 'cpu', 'ours']
            assert set(back) == {'x', 'y'} and all(back[k].dtype == arrays[k].dtype for k in back)
            assert all(np.array_equal(back[k], arrays[k]) for k in back)
    assert worker.process.returncode == 0 and worker.process.stdin.closed


def test_an_error_is_its_sentence_and_the_last_words_are_told(capfd):
    with Worker('torch') as worker:
        for _ in range(2):
            with pytest.raises(WorkerError, match='^ValueError: this is refused$'):
                worker.call('tests.parity.worker_calls:refuse')
        with pytest.raises(WorkerError, match='^torch: the worker process ended\n(.*\n)*their last \ufffd words\n$'):
            worker.call('tests.parity.worker_calls:die')
        with pytest.raises(WorkerError, match='the worker process ended'):
            worker.call('tests.parity.worker_calls:echo', names=[])
    assert worker.process.returncode == 3
    assert capfd.readouterr() == ('', '')


def test_one_that_nobody_closed_keeps_no_process_alive(monkeypatch):
    monkeypatch.delenv('SEGPARITY_QUIET_WORKERS', raising=False)
    before = set(threading.enumerate())
    with Worker('torch'):
        started = set(threading.enumerate()) - before
        assert len(started) == 1 and all(thread.daemon for thread in started)


def test_to_import_it_is_not_to_run_it():
    asked = io.BytesIO()
    write_message(asked, dict(function='tests.parity.worker_calls:echo', arguments=dict(names=[])), {})
    code = 'import segparity.parity.worker; print("imported")'
    done = subprocess.run([sys.executable, '-c', code], input=asked.getvalue(), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, [b'imported'])


def test_a_child_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(frameworks, 'PATIENCE', 0.1)
    worker = object.__new__(Worker)
    worker.process = subprocess.Popen(
        [sys.executable, '-c', 'import time\ntime.sleep(60)'], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    worker.close()
    assert worker.process.returncode != 0 and worker.process.stdout.closed
