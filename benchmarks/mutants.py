"""Plants small mistakes in the code, one at a time, and says which of them no test notices.

``python -m benchmarks.mutants [--seed 0] [--count 300] [--files keras_plugin/overlap.py ...] [--out bench_out/mutants]``

Mutants are drawn in proportion to the places where a mistake fits (``mutations.py``) and run against the tests that
execute their line (``mutant_tests.py``, ``mutant_coverage.py``), until the first failure, in a copy of the tree. What
was killed before, and is still the same text, is not run again: results.jsonl in ``--out`` keeps it. A mutant that no
test could tell from the code stands with its reason in ``equivalent_mutants.txt`` and is not counted.
"""

import argparse
import ast
import compileall
import itertools
import json
import pathlib
import py_compile
import random
import shutil
import subprocess
import tempfile
import time

from benchmarks.mutant_coverage import TESTS, Coverage, frameworks_of
from benchmarks.mutant_tests import Server
from benchmarks.mutations import compiles, mutants

TARGETS = ['shared_spec/**/*.py', 'segparity/parity/*.py']
for _package in ('mmseg_plugin', 'keras_plugin'):
    TARGETS += [
        f'{_package}/{_name}.py'
        for _name in ('inputs', 'values', 'arithmetic', '*overlap*', 'granularity', 'losses/**/*')
    ]
TARGETS += ['mmseg_plugin/kernels/overlap/*.py', 'mmseg_plugin/kernels/lovasz/extension.py']
KERNELS = {  # for GPUs: their own tests interpret them, in minutes
    f'mmseg_plugin/kernels/overlap/triton_{_name}.py' for _name in ('launch', 'kernels', 'pixels')
}
PRINTERS = {f'segparity/parity/{_name}.py' for _name in ('check_command', 'report')}  # their words are no mistakes
EQUIVALENT = pathlib.Path(__file__).with_name('equivalent_mutants.txt')
LIMIT = 60  # seconds of one framework's tests of one mutant
UNMEASURED = ['tests/parity/test_losses.py', 'tests/parity/test_golden.py']  # some of them
PROCESSES = {'mmseg_plugin': 'tests/distributed/test_torch.py'}  # whose lines nobody sees
FIRST = 25  # tests that run before the others are collected


def main(arguments=None):
    options = parse_arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = sample(options.files, options.seed, options.count)
    reasons = read_equivalent()
    results = {} if not (options.out / 'results.jsonl').exists() else read(options.out / 'results.jsonl')
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='mutants-') as folder:
        runner = Runner(pathlib.Path(folder), options.out, options.quick)
        for k, mutant in sorted(enumerate(chosen, 1), key=lambda each: each[1].key in results):  # survivors last
            if mutant.key in reasons or results.get(mutant.key, {}).get('failed'):
                continue
            if options.minutes and time.monotonic() - start > 60 * options.minutes:
                break
            result = results[mutant.key] = runner.result(mutant)
            with open(options.out / 'results.jsonl', 'a') as file:
                file.write(json.dumps(dict(key=mutant.key, **result)) + '\n')
            print(
                f'[{k}/{len(chosen)}] {result["took"]:5.1f} s  {verdict(result)}  <- {mutant.key}',
                flush=True,
            )
    print('\n'.join(summary(chosen, results, reasons)))


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog='python -m benchmarks.mutants', description=__doc__.split('\n\n')[0])
    parser.add_argument('--seed', type=int, default=0, help='of the choice of mutants (0)')
    parser.add_argument('--count', type=int, default=300, help='how many mutants (300)')
    parser.add_argument('--files', nargs='+', default=[], help='draw them from these files only')
    parser.add_argument('--minutes', type=float, help='start no mutant after so many minutes')
    parser.add_argument('--quick', action='store_true', help='only the tests that are known to execute a line')
    parser.add_argument(
        '--out', type=pathlib.Path, default=pathlib.Path('bench_out/mutants'), help='(bench_out/mutants)'
    )
    return parser.parse_args(arguments)


def targets(files):
    """The files that mutants are drawn from, sorted."""
    found = {path.as_posix() for pattern in TARGETS for path in pathlib.Path().glob(pattern)} - KERNELS - PRINTERS
    return sorted(set(files) or found, key=lambda path: (path.startswith('keras_plugin'), path))


def sample(files, seed, count):
    """``count`` mutants, from each file in proportion to all that it has; the same for the same code and seed."""
    found = {path: mutants(path, pathlib.Path(path).read_bytes()) for path in targets(files)}
    total = sum(map(len, found.values()))
    count = min(count, total)
    exact = {path: count * len(each) / total for path, each in found.items()}
    share = {path: int(x) for path, x in exact.items()}
    for path in sorted(exact, key=lambda path: share[path] - exact[path])[: count - sum(share.values())]:
        share[path] += 1
    return [mutant for path, each in found.items() for mutant in some(path, each, share[path], seed)]


def some(path, each, count, seed):
    """Those of one file, which do not change when another file does."""
    rng, source = random.Random(f'{seed} {path}'), pathlib.Path(path).read_bytes()
    shuffled = (mutant for mutant in rng.sample(each, len(each)) if compiles(mutant.apply_to(source)))
    return list(itertools.islice(shuffled, count))


def read_equivalent():
    """Key -> reason of the mutants that are no mistakes; a line with the key, an indented one with the reason."""
    lines = [line for line in EQUIVALENT.read_text().splitlines() if line.strip() and not line.startswith('#')]
    return {key: reason.strip() for key, reason in zip(lines[::2], lines[1::2])}


def read(path):
    return {result['key']: result for result in map(json.loads, path.read_text().splitlines())}


class Runner:
    """Runs the tests of one mutant after the other in a copy of the tree."""

    def __init__(self, folder, out, quick):
        self.quick = quick
        self.tree, self.answer, self.servers = folder / 'tree', str(folder / 'answer.json'), {}
        listed = subprocess.run(
            ['git', 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True, check=True
        )
        for name in filter(lambda name: pathlib.Path(name).exists(), listed.stdout.splitlines()):
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, self.tree / name)
        # checked by its content, or a mutant of the same size and second would be taken for what it was
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(self.tree, quiet=2, invalidation_mode=mode)
        self.sound, self.broken = set(), set()
        self.references = folder / 'references'
        self.references.mkdir()
        self.coverage = Coverage(out / 'coverage.json', self.ask)

    def ask(self, framework, **request):
        """What the tests say; asked again without the one at which the process ended without an answer."""
        server = self.servers.setdefault(framework, Server(framework, self.tree))
        found = server.run(out=self.answer, **request)
        if ended := found.get('ended'):
            found = dict(server.run(out=self.answer, **exclude_tests(request, [ended])), ended=ended)
        return found

    def result(self, mutant):
        """{failed: the test that noticed it, or None, took: seconds, tests: how many ran, unfinished, undecided}

        undecided: the test at which a process ended without an answer, where no other test failed.
        """
        path, start, ran, unfinished, found, ended = self.tree / mutant.path, time.monotonic(), 0, False, {}, None
        source = path.read_bytes()
        path.write_bytes(mutant.apply_to(source))
        try:
            for found in itertools.chain(self.tests_of_line(mutant), () if self.quick else self.tests_of_name(mutant)):
                ran, unfinished = ran + len(found['seconds']), unfinished or found['unfinished']
                ended = ended or found.get('ended')
                if found['failed']:
                    break
        finally:
            path.write_bytes(source)
        took = round(time.monotonic() - start, 1)
        undecided = None if found.get('failed') else ended
        return dict(failed=found.get('failed'), took=took, tests=ran, unfinished=unfinished, undecided=undecided)

    def tests_of_line(self, mutant):
        """What the tests say that are known to execute the mutant, one framework after the other, some of them first."""
        real = mutant.path in ('segparity/parity/frameworks.py', 'segparity/parity/worker.py')
        for framework in frameworks_of(mutant.path):
            seconds = self.coverage.tests(mutant, framework)
            order = quickest_of_each_first(seconds)
            for part in filter(None, (order[:FIRST], order[FIRST:])):
                files = sorted({test.partition('::')[0] for test in part})
                more = dict(tests=part, seconds=seconds, limit=LIMIT, real=real)
                yield self.confirmed(mutant, framework, files=files, **more, **self.shared(mutant))

    def tests_of_name(self, mutant):
        """What the tests say that were not measured: of the file's losses (of any, if it has none), and processes."""
        words = [node.name for node in ast.parse((self.tree / mutant.path).read_text()).body if hasattr(node, 'bases')]
        words = [word for word in words if word.endswith('Loss')] or ['']
        for framework in frameworks_of(mutant.path):
            skipped = list(self.coverage.tests(mutant, framework))
            request = dict(files=UNMEASURED, words=words, skipped=skipped, limit=LIMIT)
            yield self.confirmed(mutant, framework, **request, **self.shared(mutant))
        for package, file in PROCESSES.items():
            if mutant.path.startswith(package):
                yield self.confirmed(mutant, 'torch', files=[file], words=[''], skipped=[], limit=LIMIT, real=True)

    def confirmed(self, mutant, framework, **request):
        """``ask``, again without the test that failed if it does without the mutant too; measured ones do not."""
        request = exclude_tests(request, [test for name, test in self.broken if name == framework])
        found = self.ask(framework, **request)
        test = (found['failed'] or '').partition(': ')[0]
        if '::' not in test or (framework in TESTS and test in self.coverage.tests_of(framework)):
            return found
        if (framework, test) not in self.sound:
            path = self.tree / mutant.path
            mutated = path.read_bytes()
            path.write_bytes(pathlib.Path(mutant.path).read_bytes())
            alone = self.ask(framework, **request | dict(tests=[test], files=[test.partition('::')[0]]))
            path.write_bytes(mutated)
            failed = alone['failed'] or alone.get('ended')
            (self.broken if failed else self.sound).add((framework, test))
            if failed:
                return self.confirmed(mutant, framework, **request)
        return found

    def shared(self, mutant):
        """The folder that keeps what the reference gave, which is the same for every mutant of other code."""
        return {} if mutant.path.startswith('shared_spec') else dict(references=str(self.references))


def exclude_tests(request, tests):
    """The request, in which those tests do not run."""
    if 'tests' in request:
        return request | dict(tests=[test for test in request['tests'] if test not in tests])
    return request | dict(skipped=[*request.get('skipped', ()), *tests])


def quickest_of_each_first(seconds):
    """Test ids: of every test function the quickest one, then all others by their time."""
    order = sorted(seconds, key=seconds.get)
    first = {test.partition('[')[0]: test for test in reversed(order)}.values()
    return sorted(first, key=seconds.get) + [test for test in order if test not in set(first)]


def verdict(result):
    return result['failed'] or ('UNDECIDED' if result['undecided'] else 'SURVIVES')


def summary(chosen, results, reasons):
    """The lines of the report."""
    same = [m for m in chosen if m.key in reasons]
    ran = [m for m in chosen if m.key in results and m.key not in reasons]
    undecided = [m for m in ran if results[m.key].get('undecided')]
    survivors = [m for m in ran if not results[m.key]['failed'] and m not in undecided]
    killed = len(ran) - len(survivors) - len(undecided)
    yield ''
    for mutant in undecided:
        yield f'UNDECIDED {mutant.path}:{mutant.line} (ended at {results[mutant.key]["undecided"]})\n    {mutant.key}'
    for mutant in survivors:
        result = results[mutant.key]
        about = f'{result["tests"]} tests' + ', not all' * result['unfinished']
        yield f'SURVIVES {mutant.path}:{mutant.line} ({about})\n    {mutant.key}'
    share = f', {killed / len(ran):.1%}' if ran else ''
    yield f'{len(chosen)} mutants: {len(same)} equivalent, {len(ran)} run, {killed} killed{share}, {len(undecided)} undecided'


if __name__ == '__main__':
    main()
