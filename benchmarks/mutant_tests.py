"""Runs chosen tests of a copy of the tree, each time in a fork of a process that has imported the hosts and nothing of ours.

A worker of the same framework is then that fork itself, so that no test starts a process and imports a host again.
"""

import contextlib
import gc
import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

HOSTS = ['numpy', 'scipy.ndimage', 'pytest', 'hypothesis', 'PIL.Image', 'torch']
IMPORTS = {
    'torch': [
        *HOSTS,
        'torch._dynamo',
        'torch.testing',
        'torch.utils.cpp_extension',
        'mmengine.runner',
        'mmengine.evaluator',
    ],
    'keras_torch': [*HOSTS, 'keras'],
    'keras_tensorflow': [*HOSTS, 'tensorflow', 'keras'],
    'keras_jax': [*HOSTS, 'jax', 'keras'],
}
OPTIONS = ['-q', '--tb=line', '--assert=plain', '-p', 'no:cacheprovider', '-p', 'no:unraisableexception']
OURS = 'mmseg_plugin', 'keras_plugin', 'shared_spec', 'segparity', 'tests'
ENOUGH = 20  # calls of a function in one test that are followed
ENOUGH_SECONDS = 10  # of a test function with many parameters; the others are not measured, and so not run
TEST_SECONDS = 60  # and ten times what the test took without a mistake; longer counts as found


class Server:
    """The process for one framework, started at its first use; ``run`` is answered by a fork of it."""

    def __init__(self, framework, tree):
        self.framework, self.tree, self.process = framework, tree, None

    def run(self, **request):
        if self.process is None:
            self.start()
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self):
        environment = dict(os.environ, PYTHONPATH=str(self.tree), OMP_NUM_THREADS='1', TF_CPP_MIN_LOG_LEVEL='3')
        environment |= dict(CUDA_VISIBLE_DEVICES='', JAX_PLATFORMS='cpu', PYTHONDONTWRITEBYTECODE='1')
        if self.framework.startswith('keras'):
            environment['KERAS_BACKEND'] = self.framework.removeprefix('keras_')
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.mutant_tests', self.framework],
            cwd=self.tree,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


def serve(framework):
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    for name in IMPORTS[framework]:
        importlib.import_module(name)
    if framework == 'torch':
        import_mmseg()
    assert not {name.partition('.')[0] for name in sys.modules} & set(OURS)  # or mistakes were not seen
    gc.freeze()  # or every fork would copy what it looks at
    for line in sys.stdin:
        answers.write(json.dumps(run_in_fork(framework, json.loads(line))) + '\n')
        answers.flush()


def import_mmseg():
    """MMSegmentation after our repairs; nothing of ours stays, which a fork would not read again with its mistake."""
    ours = types.ModuleType('mmseg_plugin')  # whose own file would import every loss
    ours.__path__ = ['mmseg_plugin']
    sys.modules['mmseg_plugin'] = ours
    importlib.import_module('mmseg_plugin.compat').apply()
    importlib.import_module('mmseg.models')
    for name in [name for name in sys.modules if name.partition('.')[0] in OURS]:
        del sys.modules[name]


def run_in_fork(framework, request):
    """What the tests of ``request`` say: {failed: first test that failed or None, seconds, ..., ended: where it stopped answering}."""
    answer, log = Path(request['out']), Path(request['out']).with_suffix('.log')
    answer.unlink(missing_ok=True)
    log.with_suffix('.test').unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        with open(log, 'w') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            answer.write_text(json.dumps(tests(framework, request)))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers that it left
    if answer.exists():
        return json.loads(answer.read_text())
    last = log.with_suffix('.test')
    last = last.read_text() if last.exists() else 'collection'
    none = dict(seconds={}, lines={}, broken=[], unfinished=True)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return dict(none, failed=f'{last}: took too long')
    return dict(none, failed=None, ended=last)  # a crash, or no memory left: nothing was said


def tests(framework, request):
    plugin = Plugin(framework, request)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(120)
    options = [*OPTIONS, *['-x'] * (not request.get('measure'))]
    code = pytest.main([*options, *request['files']], plugins=[plugin])
    signal.alarm(0)
    if code not in (0, 1, 5) and not plugin.unfinished:
        plugin.failed = plugin.failed or 'collection'
    return dict(
        failed=plugin.failed,
        seconds=plugin.seconds,
        lines=plugin.lines,
        broken=plugin.broken,
        unfinished=plugin.unfinished,
    )


class Plugin:
    """Chooses and orders the tests, limits their time, and measures which lines they execute when asked to.

    request: out, files, tests (their ids, in order; by default all of the framework with one of words and not skipped), seconds (of a test, where known),
    limit (for all together), real (workers are processes), references (a folder that keeps what the reference gave),
    measure (the folders of which executed lines are wanted).
    """

    def __init__(self, framework, request):
        self.framework, self.request, self.start = framework, request, time.monotonic()
        self.measured = tuple(os.path.join(os.getcwd(), folder, '') for folder in request.get('measure', ()))
        self.failed, self.unfinished, self.broken, self.seconds, self.lines, self.spent, self.found = (
            None,
            False,
            [],
            {},
            {},
            {},
            None,
        )

    def pytest_sessionstart(self, session):
        from tests.support.expected import FOLDER

        if self.request.get('references'):
            shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
            os.environ[FOLDER] = self.request['references']

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self):
        if self.request.get('references'):
            os.environ.pop('SEGPARITY_TEST_FOLDER')  # or tests/conftest.py would remove what is kept

    def pytest_collection_modifyitems(self, items):
        wanted = self.request.get('tests')
        if wanted is None:
            words, skipped = self.request.get('words', ['']), set(self.request.get('skipped', ()))
            items[:] = sorted(
                (
                    item
                    for item in items
                    if framework_of(item) == self.framework and item.nodeid not in skipped
                    if any(word in item.nodeid for word in words)
                ),
                key=scattered,
            )
            return
        place = {test: k for k, test in enumerate(wanted)}
        items[:] = sorted((i for i in items if i.nodeid in place), key=lambda item: place[item.nodeid])

    def pytest_collection_finish(self, session):
        if not self.request.get('real'):
            from tests.support import frameworks

            process = frameworks.Worker
            frameworks.Worker = lambda name, **more: Here(name) if name == self.framework else process(name, **more)

    def pytest_runtest_protocol(self, item):
        spent = self.spent.get(item.nodeid.partition('[')[0], 0)
        return True if self.request.get('measure') and spent > ENOUGH_SECONDS else None

    def pytest_runtest_logstart(self, nodeid):
        limit = self.request.get('limit')
        if limit and time.monotonic() - self.start > limit:
            self.unfinished = True
            pytest.exit('no time left', 0)
        Path(self.request['out']).with_suffix('.test').write_text(nodeid)
        usual = self.request.get('seconds', {}).get(nodeid, 0)
        signal.alarm(600 if self.request.get('measure') else int(TEST_SECONDS + 10 * usual))
        self.began = sum(os.times()[:4])
        if self.request.get('measure'):
            self.found, self.calls = set(), {}
            sys.settrace(self.trace)

    def pytest_runtest_logfinish(self, nodeid):
        sys.settrace(None)
        took = self.seconds[nodeid] = round(sum(os.times()[:4]) - self.began, 3)
        function = nodeid.partition('[')[0]
        self.spent[function] = self.spent.get(function, 0) + took
        if self.found is not None:
            for path, line in self.found:
                self.lines.setdefault(nodeid, {}).setdefault(os.path.relpath(path), []).append(line)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.broken.append(report.nodeid)
            self.failed = self.failed or f'{report.nodeid}: {first_line(report.longrepr)}'

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed = self.failed or f'collection of {report.nodeid}'

    def trace(self, frame, event, argument):
        code = frame.f_code
        calls = self.calls[code] = self.calls.get(code, 0) + 1
        if (calls == 1 and not code.co_filename.startswith(self.measured)) or calls > ENOUGH:
            self.calls[code] = ENOUGH
            return None
        return self.line

    def line(self, frame, event, argument):
        self.found.add((frame.f_code.co_filename, frame.f_lineno))
        return self.line


def framework_of(item):
    """The framework that a test's parameters name; all others are tests of PyTorch and NumPy."""
    return next((word for word in re.split(r'[\[\]-]', item.nodeid) if word.startswith('keras_')), 'torch')


def first_line(longrepr):
    crash = getattr(longrepr, 'reprcrash', None)
    return (crash.message if crash else str(longrepr)).partition('\n')[0][:160]


def scattered(item):
    """Sorts tests as if by chance, always the same."""
    return hashlib.sha1(item.nodeid.encode()).digest()


class Here:
    """A worker of the process itself: arrays and answers go through bytes as between processes."""

    def __init__(self, framework):
        self.framework, self.process = framework, self

    def poll(self):
        return None

    def close(self):
        pass

    def call(self, function, arrays=None, **arguments):
        from segparity.parity.frameworks import WorkerError

        request, arrays = copied(dict(function=function, arguments=arguments), arrays or {})
        module, _, name = function.partition(':')
        try:
            result, out = getattr(importlib.import_module(module), name)(arrays, **request['arguments'])
        except Exception as error:
            raise WorkerError(f'{type(error).__name__}: {error}') from None
        answer, out = copied(dict(result=result), out)
        return answer['result'], out


def copied(header, arrays):
    import io

    from segparity.parity.frameworks import read_message, write_message

    stream = io.BytesIO()
    write_message(stream, header, arrays)
    return read_message(io.BytesIO(stream.getvalue()))


if __name__ == '__main__':
    serve(sys.argv[1])
