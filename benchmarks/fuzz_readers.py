"""Reads a great many damaged sources, and says where a reader does anything but read or refuse in a sentence.

``python -m benchmarks.fuzz_readers [--seed 0] [--count 10000] [--target evaluator] [--target config] [--target keras] [--target files] [--out bench_out/fuzz]``

Sources are mutations (``fuzz_mutations.py``) of the corpus of tests/migrate, drawn from the seed alone. A reader may raise
ValueError with one line of text, or OSError. It may not take longer than 10 s of one processor, need more than 3 GB, start a process,
connect, import, execute, write, or open a file outside of the project in which the source stands and the installed mmseg.
Inputs run in a process of its own, which is started again after one that ends it. What failed is kept in ``--out`` with
what was wrong. Exit code 1 where anything failed.
"""

import argparse
import codecs
import contextlib
import importlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable

from benchmarks import fuzz_files, fuzz_keras_mutations
from benchmarks.fuzz_mutations import mutated

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORPUS = ROOT / 'tests' / 'migrate' / 'corpus'
SECONDS, BYTES = 10, 3 << 30
FORBIDDEN = (
    'exec',
    'import',
    'os.system',
    'os.exec',
    'os.posix_spawn',
    'os.fork',
    'os.forkpty',
    'os.startfile',
    'os.remove',
    'os.rename',
    'os.mkdir',
    'os.rmdir',
    'os.link',
    'os.symlink',
    'os.truncate',
    'os.chmod',
    'os.putenv',
    'os.kill',
    'subprocess.Popen',
    'socket.connect',
    'socket.bind',
    'socket.getaddrinfo',
    'ctypes.dlopen',
    'pickle.find_class',
    'marshal.loads',
    'shutil.rmtree',
    'shutil.move',
    'tempfile.mkstemp',
    'urllib.Request',
)


class Watch:
    """What the interpreter is asked to do while an input is read. folders: those whose files may be opened."""

    def __init__(self, folders: list[str]) -> None:
        self.folders = [os.path.realpath(folder) for folder in folders]
        self.armed = False
        self.seen: list[str] = []

    def __enter__(self) -> None:
        self.armed = True

    def __exit__(self, *error: object) -> None:
        self.armed = False

    def hook(self, event: str, arguments: tuple) -> None:
        if not self.armed:
            return
        if event in FORBIDDEN:
            self.seen.append(f'{event}{str(arguments)[:200]}')
        elif event == 'open' and isinstance(arguments[0], (str, bytes)) and arguments[0]:  # '' is no file
            self.opened(os.fsdecode(arguments[0]), arguments[1])

    def opened(self, path: str, mode: str | None) -> None:
        self.armed = False
        real = os.path.realpath(path)
        self.armed = True
        if not any(real == folder or real.startswith(folder + os.sep) for folder in self.folders):
            self.seen.append(f'open of {real}')
        if mode and set(mode) & set('wax+'):
            self.seen.append(f'open of {real} for writing')


class Target:
    """A reader with its seeds. ``read(content, generator)`` reads one input; ValueError and OSError are refusals."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.seeds = self.texts()

    def texts(self) -> list[str]:
        raise NotImplementedError

    def read(self, content: bytes, generator: random.Random) -> None:
        raise NotImplementedError


class EvaluatorTarget(Target):
    """The evaluator of Python sources, with everything that it can do switched on."""

    def texts(self) -> list[str]:
        paths = sorted(CORPUS.rglob('*.py'))
        found = [text for text in (path.read_text('utf-8') for path in paths) if len(text) < 6000]
        cases = importlib.import_module('tests.migrate.evaluator_cases')
        programs = [*cases.PROGRAMS.values(), *(program for program, _ in cases.UNREAD.values())]
        return [*found, *programs, '\n'.join(f'x{i} = {text}' for i, text in enumerate(cases.EXPRESSIONS))]

    def read(self, content: bytes, generator: random.Random) -> None:
        from segparity.migrate.reading.evaluator import Evaluator
        from segparity.migrate.reading.text import decode

        heard: list[object] = []
        with WATCH:
            text = decode(content, 'source.py')
            evaluator = Evaluator(
                text,
                'source.py',
                on_call=lambda called, scope: heard.append(called),
                inline=generator.random() < 0.5,
                run_functions=generator.random() < 0.5,
            )
            scope = evaluator.run()
        check_values(list(scope.values()))
        for called in heard[:50]:
            repr(called)


class ConfigTarget(Target):
    """The reader of MMSegmentation configurations: one file of a project is damaged, and it or another one is read."""

    def texts(self) -> list[str]:
        self.project = self.folder / 'project'
        shutil.copytree(CORPUS / 'mmseg', self.project)
        (self.project / '.git').mkdir()
        (self.folder / 'secret.py').write_text('secret = 1\n')
        (self.project / 'link.py').symlink_to('../secret.py')
        (self.project / 'loop.py').symlink_to('loop.py')
        self.paths = sorted(path for path in self.project.rglob('*.*') if path.is_file() and not path.is_symlink())
        self.tops = [path for path in self.paths if path.parent == self.project]
        return [path.read_text('utf-8') for path in self.paths]

    def read(self, content: bytes, generator: random.Random) -> None:
        from segparity.migrate.items import Source
        from segparity.migrate.reading.mmseg_config import read_mmseg_config

        damaged = generator.choice(self.paths)
        whole = damaged.read_bytes()
        damaged.write_bytes(content)
        top = damaged if generator.random() < 0.7 else generator.choice(self.tops)
        try:
            with WATCH:
                source = read_mmseg_config(str(top))
            assert isinstance(source, Source)
            walk(source)
        finally:
            damaged.write_bytes(whole)


class KerasTarget(Target):
    """The readers of Keras and PyTorch sources: scripts, notebooks, JSON and .keras files, each with its own mutations."""

    def texts(self) -> list[str]:
        from segparity.migrate.reading import read_source

        self.place = self.folder / 'keras'
        self.place.mkdir()
        self.damaged = fuzz_keras_mutations.Seeds()
        for name, content in self.damaged.files.items():  # modules of the project, and whatever is imported on demand
            (self.place / name).write_bytes(content)
            with contextlib.suppress(ValueError, OSError):
                read_source(self.place / name)
        for encoding in ('utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be'):
            codecs.lookup(encoding)
        return ['']

    def read(self, content: bytes, generator: random.Random) -> None:
        from segparity.migrate.reading import read_source

        suffix, data = self.damaged.mutant(generator)
        path = self.place / f'input{suffix}'
        path.write_bytes(data)
        try:
            with WATCH:
                source = read_source(path)
            fuzz_keras_mutations.check(source)
        finally:
            path.unlink()


class FilesTarget(Target):
    """The readers of maps, tables, states and palettes, each file with its own mutations."""

    def texts(self) -> list[str]:
        self.place = self.folder / 'files'
        self.damaged = fuzz_files.Files(self.place)
        for name, content in self.damaged.seeds.items():  # whatever is imported on demand
            (self.place / name).write_bytes(content)
            self.damaged.readers[name](self.place / name)
            (self.place / name).unlink()
        return ['']

    def read(self, content: bytes, generator: random.Random) -> None:
        name, data = self.damaged.mutant(generator)
        path = self.place / name
        path.write_bytes(data)
        try:
            with WATCH:
                self.damaged.readers[name](path)
        finally:
            path.unlink()


TARGETS: dict[str, tuple[type[Target], float]] = {
    'evaluator': (EvaluatorTarget, 0.8),
    'config': (ConfigTarget, 0.2),
    'keras': (KerasTarget, 1.0),
    'files': (FilesTarget, 1.0),
}


def check_values(values: list[object]) -> None:
    """Every value is plain Python or a word of the readers; the walk ends."""
    from segparity.migrate.items import Unread
    from segparity.migrate.reading.values import Called, Class, Function, Reference, is_plain

    seen, count, waiting = set(), 0, list(values)
    while waiting:
        value = waiting.pop()
        count += 1
        assert count < 2_000_000, 'the values do not end'
        assert is_plain(value) or isinstance(value, (Called, Reference, Function, Class, Unread)), type(value)
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            waiting += [*value.keys(), *value.values()] if isinstance(value, dict) else value
        elif isinstance(value, Called) and id(value) not in seen:
            seen.add(id(value))
            waiting += [*value.args, *value.kwargs.values()]


def walk(source: object) -> None:
    """Everything that a reader hands on can be printed in little time."""
    from segparity.migrate.reading.mmseg_items import KEYS

    assert len(str(source.outputs)) + len(str(source.metrics)) < 50_000_000  # type: ignore[attr-defined]
    assert len(source.seen_keys) <= KEYS + 1  # type: ignore[attr-defined]
    for part in source.unread:  # type: ignore[attr-defined]
        assert '\n' not in part.reason, part
        assert part.place.file, part


def attempt(read: Callable[[bytes, random.Random], None], content: bytes, generator: random.Random) -> str:
    """What is wrong with how an input was read; '' where nothing is."""
    WATCH.seen.clear()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    said = ''
    try:
        read(content, generator)
    except (ValueError, OSError) as error:
        text = str(error)
        said = f'a sentence of several lines: {text!r}' if '\n' in text or len(text) > 1000 else ''
        if isinstance(error, UnicodeError):
            said = f'an error of Python: {error!r}'
    except TimeoutEnd:
        said = f'it took longer than {SECONDS} s of one processor'
    except BaseException as error:
        said = ''.join(traceback.format_exception(error)[-6:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return said or '; '.join(WATCH.seen)


class TimeoutEnd(BaseException):
    """The time of an input is over; no handler of a reader catches it."""


def _ring(number: int, frame: object) -> None:
    raise TimeoutEnd


def installed_folders() -> list[str]:
    from segparity.migrate.reading.folders import installed_mmseg

    return [folder for folder in [installed_mmseg()] if folder]


WATCH = Watch([])


def work(options: argparse.Namespace) -> None:
    """The process that reads: a line of JSON for each failure, and one now and then for how far it came."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.signal(signal.SIGPROF, _ring)
    with tempfile.TemporaryDirectory() as folder:
        targets = {name: TARGETS[name][0](pathlib.Path(folder)) for name in options.target}
        inside = [os.path.realpath(pathlib.Path(folder) / name) for name in ('project', 'keras', 'files')]
        WATCH.folders = [*inside, *installed_folders()]
        warm(targets)
        sys.addaudithook(WATCH.hook)
        current = options.out / 'current'
        weights = [TARGETS[name][1] for name in options.target]
        slowest = 0.0
        for number in range(options.start, options.count):
            generator = random.Random(f'{options.seed} {number}')
            name = generator.choices(options.target, weights)[0]
            target = targets[name]
            content = mutated(generator.choice(target.seeds), target.seeds, generator)
            current.write_bytes(f'{number} {name}\n'.encode() + content)
            start = time.process_time()
            said = attempt(target.read, content, generator)
            slowest = max(slowest, time.process_time() - start)
            if said:
                keep(options, f'{number}-{name}', said)
            if said or number % 500 == 0:
                print(json.dumps([number, name, said, slowest]), flush=True)
        print(json.dumps([options.count, '', '', slowest]), flush=True)


def warm(targets: dict[str, Target]) -> None:
    """Everything is imported before it is watched: modules and encodings."""
    from segparity.migrate.reading.text import ENCODINGS

    importlib.import_module('unicodedata')  # which Python's own parser imports for names that are not ASCII
    for encoding in sorted(ENCODINGS):
        b'x'.decode(encoding)
    generator = random.Random(0)
    for target in targets.values():
        for seed in target.seeds:
            for _ in range(3):
                with contextlib.suppress(ValueError, OSError):
                    target.read(seed.encode(), generator)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--count', type=int, default=10_000)
    parser.add_argument('--start', type=int, default=0, help='the number of the first input, to repeat one')
    parser.add_argument('--target', action='append', choices=TARGETS, help='only this reader (repeatable)')
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('bench_out/fuzz'))
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.target = options.target or list(TARGETS)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.worker:
        (options.out / 'current').unlink(missing_ok=True)
    if options.worker:
        work(options)
        return 0
    return supervise(options)


def supervise(options: argparse.Namespace) -> int:
    """Starts the process that reads, again after an input that ended it; counts and keeps what failed."""
    number, failures, slowest, start = options.start, 0, 0.0, time.perf_counter()
    while number < options.count:
        command = [sys.executable, '-m', 'benchmarks.fuzz_readers', '--worker', '--seed', str(options.seed)]
        command += ['--start', str(number), '--count', str(options.count), '--out', str(options.out)]
        for name in options.target:
            command += ['--target', name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        for line in process.stdout:
            number, name, said, seconds = json.loads(line)
            slowest = max(slowest, seconds)
            if said:
                failures += 1
            if number % 20_000 == 0 or said:
                print(f'{number:,} inputs, {failures} failures, slowest {slowest:.1f} s {said[-300:]}', flush=True)
        if process.wait() == 0:
            break
        if not (options.out / 'current').exists():
            print('the process that reads does not start')
            return 1
        ended = int((options.out / 'current').read_bytes().partition(b'\n')[0].split()[0])
        failures += 1
        keep(options, f'{ended}-process', f'the process ended with {process.returncode}')
        print(f'{ended:,}: the process ended with {process.returncode}', flush=True)
        number = ended + 1
    seconds = time.perf_counter() - start
    print(
        f'{options.count - options.start:,} inputs of seed {options.seed} ({", ".join(options.target)}) in {seconds:.0f} s: '
        f'{failures} failures, slowest {slowest:.1f} s'
    )
    return 1 if failures else 0


def keep(options: argparse.Namespace, name: str, said: str) -> None:
    current = options.out / 'current'
    shutil.copy(current, options.out / f'{options.seed}-{name}.input')
    (options.out / f'{options.seed}-{name}.txt').write_text(said, encoding='utf-8')


if __name__ == '__main__':
    sys.exit(main())
