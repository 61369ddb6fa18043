"""Which tests execute a line: measured once for each test file, and again when that file has changed."""

import hashlib
import json
import pathlib

PARITY = ['tests/losses', 'tests/parity', 'tests/soft_labels/test_frameworks.py']
TESTS = {
    'torch': [
        'tests/spec',
        'tests/support',
        *PARITY,
        'tests/metrics',
        'tests/mmseg/test_fused_overlap.py',
        'tests/mmseg/test_lovasz.py',
        'tests/evaluate/test_merge.py',
        'tests/evaluate/test_resume.py',
        'tests/cli',
    ],
    'keras_torch': PARITY,
}
MEASURED = ('shared_spec', 'mmseg_plugin', 'keras_plugin', 'segparity/parity')
KERAS = ('keras_torch', 'keras_tensorflow', 'keras_jax')
DECLARATIONS = (
    'tests/spec/test_spec.py',
    'tests/spec/test_ranges.py',
    'tests/losses/test_mmseg.py',
    'tests/losses/test_keras.py',
    'tests/cli/',
)
OTHERS = 60  # tests of a file that run where none is known to execute the line


def frameworks_of(path):
    """The frameworks whose tests a mutant of the file meets, the cheapest first."""
    if path.startswith('keras_plugin') or path.endswith('keras_side.py'):
        return KERAS
    return ('torch', 'keras_torch') if path.startswith('shared_spec') else ('torch',)


class Coverage:
    """framework -> test file -> its hash and its tests: id -> (seconds, path -> lines)."""

    def __init__(self, file, ask):
        self.file, self.ask, self.measured = file, ask, {}
        self.known = json.loads(file.read_text()) if file.exists() else {}

    def tests_of(self, framework):
        """id -> (seconds, path -> lines) of all tests of a framework."""
        if framework not in self.measured:
            files = self.known.setdefault(framework, {})
            for path in test_files(TESTS[framework]):
                digest = hashlib.sha1(pathlib.Path(path).read_bytes()).hexdigest()
                if files.get(path, {}).get('hash') != digest:
                    print(f'which lines {path} executes, {framework}', flush=True)
                    files[path] = dict(hash=digest, tests=measure_file(self.ask, framework, path))
                    self.file.write_text(json.dumps(self.known))
            self.measured[framework] = {test: one for file in files.values() for test, one in file['tests'].items()}
        return self.measured[framework]

    def tests(self, mutant, framework):
        """Test id -> seconds of the tests that execute the mutant, or that execute its file if none is known to."""
        tests = self.tests_of(framework if framework in TESTS else 'keras_torch')
        touching = {test: one for test, one in tests.items() if mutant.path in one[1]}
        if not mutant.executed:  # what runs at import was not measured for each test
            found = touching | {test: one for test, one in tests.items() if test.startswith(DECLARATIONS)}
        else:
            lines = set(mutant.lines)
            found = {test: one for test, one in touching.items() if lines & set(one[1][mutant.path])}
        if not found:
            found = dict(sorted((touching or tests).items(), key=lambda item: item[1][0])[:OTHERS])
        return {test.replace('keras_torch', framework): one[0] for test, one in found.items()}


def test_files(patterns):
    for pattern in map(pathlib.Path, patterns):
        yield from (path.as_posix() for path in sorted(pattern.glob('test_*.py')) or [pattern])


def measure_file(ask, framework, path):
    """id -> (seconds, path -> lines) of the tests of one file that pass."""
    answer = ask(framework, files=[path], measure=MEASURED)
    return {
        test: (took, {p: sorted(set(lines)) for p, lines in answer['lines'].get(test, {}).items()})
        for test, took in answer['seconds'].items()
        if test not in answer['broken']
    }
