"""Mutated scripts, notebooks, JSON and .keras files for the readers of ``segparity migrate``: nothing may crash or run.

    python -m benchmarks.fuzz_keras_readers --inputs 500000 --seed 1

Each input is read by ``read_source``, which has to give a Source of plain values or one sentence (ValueError, OSError), in
bounded time and memory; an audit hook ends the run where anything is executed, imported, or opened outside of its folder.
"""

import argparse
import ast
import codecs
import collections
import contextlib
import importlib
import io
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from segparity.migrate.items import Context, Item, Output, Place, Source, Unread
from segparity.migrate.reading import read_source
from segparity.migrate.reading.folders import installed_mmseg
from segparity.migrate.reading.text import ENCODINGS

CORPUS = Path(__file__).resolve().parent.parent / 'tests' / 'migrate' / 'corpus' / 'keras'
SECONDS = 5.0  # for one input on a busy machine
MEGABYTES = 3_000
PYTHON = re.compile(r'Traceback|<[\w. ]+ object|NoneType|\[Errno|line \d+, in ')
TOKEN = re.compile(r'\w+|[^\w\s]|\s+')
FORBIDDEN = (
    'exec',
    'os.',
    'subprocess.',
    'socket.',
    'ctypes.',
    'pickle.',
    'marshal.',
    'shutil.',
    'code.',
    'sys._getframe',
)
HARMLESS = frozenset(('os.listdir', 'os.scandir', 'os.remove', 'os.truncate', 'sys._getframe'))

WORDS = """
model.compile compile loss= metrics= loss_weights= lambda def class import from return yield while for if else with try
except * ** ( ) [ ] { } : , . = == + - / // % @ -> := '' "" 0 1 -1 1e308 1e999 10**100 2**2**20 'a'*10**9 [0]*10**9 None
True ... range(10**9) keras.losses.Dice() tf.keras.losses.get sm.losses.DiceLoss() smp.losses.DiceLoss torch.nn x.backward()
self super() __import__('os').system('true') open('/etc/passwd') eval('1') exec globals() f'{x!r:>999999999}' %matplotlib !ls
to_categorical Conv2D(1,1,activation='softmax') Model Sequential add np.array \\ # ''' \x00 \u202e \ud7ff é
""".split()
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 10**400, 1.5, float('nan'), float('inf'), '', 'softmax', 'bce', 'function', 'Functional',
    'Sequential', 'x' * 3000, '\x00', '__keras_tensor__', '\ud7ff', [], {}, [[]], [None], {'class_name': 'Dice', 'config': {}},
    {'class_name': 'function', 'config': 'f'}, {'class_name': ['a'], 'config': 3}, {'config': 1, 'module': {}, 'class_name': 'Dice'},
    ['mask', 0, 0], {'keras_history': ['a', 0, 0]}, {'cells': []}, {'layers': [1, 2]},
]  # fmt: skip


def corpus() -> dict[str, bytes]:
    """The files of the corpus by their name, and .keras files made of its JSON."""
    files = {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.is_file()}
    files['config.py'] = (
        b"_base_ = []\nmodel = dict(decode_head=dict(num_classes=2, loss_decode=dict(type='DiceLoss')))\n"
    )
    files['config.json'] = (
        b'{"model": {"decode_head": {"loss_decode": {"type": "CrossEntropyLoss", "loss_weight": 0.5}}}}'
    )
    files['config.yaml'] = b'model:\n  decode_head:\n    loss_decode: {type: CrossEntropyLoss, loss_weight: 0.5}\n'
    files['small.keras'] = zipped({'config.json': files['model.json'], 'metadata.json': b'{"keras_version": "3.15.1"}'})
    return files


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w', method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


# Mutations


def mutate_text(chance: random.Random, text: str, others: list[str]) -> str:
    """One to four changes of lines or words."""
    for _ in range(chance.randint(1, 4)):
        kind = chance.randrange(9)
        lines = text.split('\n')
        at = chance.randrange(len(lines))
        if kind == 0:
            del lines[at : at + chance.randint(1, 3)]
        elif kind == 1:
            lines.insert(chance.randrange(len(lines) + 1), lines[at])
        elif kind == 2:
            other = chance.choice(others).split('\n')
            start = chance.randrange(len(other))
            lines[at:at] = other[start : start + chance.randint(1, 12)]
        elif kind == 3:
            lines[at] = ' ' * chance.choice((1, 4, 8)) + lines[at]
        elif kind == 4 and chance.random() < 0.1:
            depth = chance.choice((50, 99, 200, 3000))
            lines[at] += chance.choice(
                ('(' * depth, '[' * depth + ']' * depth, 'x' + '.a' * depth, '1' + '+1' * depth, '-' * depth + '1')
            )
        else:
            words = TOKEN.findall(lines[at]) or ['']
            where = chance.randrange(len(words))
            words[where] = chance.choice((chance.choice(WORDS), chance.choice(words), '', words[where] * 2))
            lines[at] = ''.join(words)
        text = '\n'.join(lines)
    return text


def mutate_json(chance: random.Random, value: Any, others: list[str]) -> Any:
    """One to four nodes of a JSON value replaced, removed, doubled or nested."""
    for _ in range(chance.randint(1, 4)):
        nodes: list[tuple[Any, Any]] = []
        waiting = [value]
        while waiting:
            part = waiting.pop()
            for key, inner in (
                part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
            ):
                nodes.append((part, key))
                waiting.append(inner)
        if not nodes:
            return chance.choice(VALUES)
        owner, key = chance.choice(nodes)
        kind = chance.randrange(7)
        if kind == 0:
            del owner[key]
        elif kind == 1:
            other, name = chance.choice(nodes)
            owner[key] = json.loads(json.dumps(other[name]))
        elif kind == 2:
            for _ in range(chance.choice((1, 2, 30))):
                owner[key] = chance.choice(
                    ([owner[key]], {'config': owner[key]}, {'a': owner[key]}, [owner[key], owner[key]][:1])
                )
        elif kind == 3 and isinstance(owner, dict):
            owner[chance.choice([*owner, 'loss', 'class_name'])] = owner.pop(key)
        elif kind == 4 and isinstance(owner[key], str):
            owner[key] = mutate_text(chance, owner[key], others)
        else:
            owner[key] = json.loads(json.dumps(chance.choice(VALUES)))
    return value


def mutate_bytes(chance: random.Random, data: bytes) -> bytes:
    """Bits flipped, parts cut, doubled or moved."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if not content:
            break
        at = chance.randrange(len(content))
        kind = chance.randrange(5)
        if kind <= 1:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del content[at : at + chance.choice((1, 4, 100))]
        elif kind == 3:
            content[at:at] = content[at : at + chance.choice((1, 4, 50))]
        else:
            content[at : at + 4] = chance.choice((b'\xff\xff\xff\xff', b'\0\0\0\0', b'\xff\xff\xff\x7f'))
    return bytes(content)


def mutate_zip(chance: random.Random, files: dict[str, bytes], others: list[str]) -> bytes:
    """A .keras file of mutated JSON, with other names, twice the same member, a bomb, or damaged bytes."""
    model = json.loads(files['model.json'])
    config = json.dumps(mutate_json(chance, model, others)).encode()
    members = {
        'config.json': config,
        'metadata.json': json.dumps(mutate_json(chance, {'keras_version': '3.15.1'}, others)).encode(),
    }
    kind = chance.randrange(8)
    if kind == 0:
        members[chance.choice(('/etc/passwd', '../x', 'a/../../b', 'C:\\x', '\\x', 'x\0y', ' ', 'config.json/'))] = b'x'
    elif kind == 1:
        members.pop(chance.choice(list(members)))
    elif kind == 2 and chance.random() < 0.02:
        members['config.json'] = b' ' * (40 << 20)
    elif kind == 3 and chance.random() < 0.1:
        members['config.json'] = chance.choice(
            (b'[' * 100_000, b'{"a":' * 50_000, b'[' + b'[],' * 300_000 + b'0]', b'"' + b'\\\\' * 500_000 + b'"')
        )
    data = zipped(members, chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return mutate_bytes(chance, data) if chance.random() < 0.5 else data


def mutants(chance: random.Random, files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """(suffix, content) without end."""
    scripts = {name: data.decode() for name, data in files.items() if name.endswith('.py')}
    others = list(scripts.values())
    trees = {name: data for name, data in files.items() if name.endswith(('.json', '.ipynb'))}
    while True:
        kind = chance.randrange(10)
        if kind <= 4:
            content = mutate_text(chance, chance.choice(others), others).encode('utf-8', 'surrogatepass')
            suffix = '.py'
            if chance.random() < 0.8 and not parses(content):
                continue
        elif kind <= 7:
            name = chance.choice(list(trees))
            value = mutate_json(chance, json.loads(trees[name]), others)
            content, suffix = json.dumps(value, indent=chance.choice((None, 1))).encode(), Path(name).suffix
        elif kind == 8:
            content, suffix = mutate_zip(chance, files, others), '.keras'
        else:
            name = chance.choice(list(files))
            content, suffix = files[name], Path(name).suffix
        if chance.random() < 0.15 or kind == 9:
            content = mutate_bytes(chance, content)
        if chance.random() < 0.02:
            suffix = chance.choice(('.py', '.json', '.ipynb', '.keras', '.yaml', '.txt', '', '.h5'))
        yield suffix, content


def parses(content: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


# What has to hold


def hold(what: bool, said: object) -> None:
    """AssertionError where something does not hold."""
    if not what:
        raise AssertionError(said)


def check(source: Source) -> None:
    """A Source of what its fields promise, all of it plain."""
    hold(source.world in {'mmseg', 'keras'} and isinstance(source.kind, str), source)
    for output in source.outputs:
        hold(isinstance(output, Output) and isinstance(output.place, Place), output)
        hold(bool(output.losses) or source.world == 'mmseg', output)
        check_context(output.context)
        for item in output.losses:
            hold(isinstance(item, Item), item)
            check_value(item)
    for item, context in source.metrics:
        hold(isinstance(item, Item), item)
        check_value(item)
        check_context(context)
    for unread in source.unread:
        hold(isinstance(unread, Unread) and '\n' not in unread.reason and '\n' not in unread.text, unread)
    for remark in source.remarks:
        hold(isinstance(remark, str) and '\n' not in remark, remark)
    for call in source.seen_calls:
        hold(isinstance(call.name, str) and isinstance(call.arguments, Mapping), call)


def check_context(context: Context) -> None:
    hold(context.activation in {None, 'logits', 'softmax', 'sigmoid'}, context)
    hold(context.labels in {None, 'ids', 'one_hot', 'soft'}, context)
    for number in (context.num_classes, context.channels):
        hold(number is None or (type(number) is int and (number > 0 or context.world == 'mmseg')), context)


def check_value(value: Any) -> None:
    waiting, count = [value], 0
    while waiting:
        value, count = waiting.pop(), count + 1
        hold(count < 2_000_000, 'too much')
        if isinstance(value, Item):
            hold(isinstance(value.name, str) and isinstance(value.library, str) and '\n' not in value.text, value)
            hold(isinstance(value.weight, (int, float, Unread)) and not isinstance(value.weight, bool), value)
            waiting.extend(value.arguments.values())
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
        else:
            hold(value is None or isinstance(value, (str, int, float, bool, Unread)), value)


class Watch:
    """An audit hook: while ``on``, nothing may be executed, imported or opened outside of a folder."""

    def __init__(self, folder: str) -> None:
        self.folders = tuple(os.path.join(os.path.realpath(f), '') for f in (folder, installed_mmseg() or folder))
        self.on = False
        self.broken: list[str] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == 'open':
            path = arguments[0]
            inside = isinstance(path, str) and (not path or os.path.realpath(path).startswith(self.folders))
            mode = arguments[1]
            if not inside or (isinstance(mode, str) and set(mode) & set('wax+')):
                self.broken.append(f'{event} {arguments[:2]}')
        elif event == 'import' and not str(arguments[0]).startswith(('encodings', '_codecs', '_multibytecodec')):
            self.broken.append(f'import {arguments[0]}')
        elif event.startswith(FORBIDDEN) and event not in HARMLESS:
            self.broken.append(f'{event} {str(arguments)[:200]}')


def run(inputs: int, seed: int, report: Callable[[str], None], keep: str = '') -> int:
    """Reads so many mutants; the number of failures, which are reported."""
    files, chance = corpus(), random.Random(seed)
    failures, said, slowest = 0, collections.Counter[str](), 0.0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        for name in files:  # whatever is imported on demand
            try:
                read_source(os.path.join(folder, name))
            except ValueError:
                continue
        importlib.import_module('unicodedata')  # Python's parser asks for it
        for encoding in (*ENCODINGS, 'utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be'):
            with contextlib.suppress(LookupError):
                codecs.lookup(encoding)
        watch = Watch(folder)
        for count, (suffix, content) in zip(range(inputs), mutants(chance, files)):
            path = os.path.join(folder, f'input{suffix}')
            with open(path, 'wb') as file:
                file.write(content)
            fault, before = '', time.perf_counter()
            watch.on = True
            try:
                source = read_source(path)
                watch.on = False
                check(source)
                said[f'{source.kind}, {"losses" if source.outputs else "nothing"} read'] += 1
            except (ValueError, OSError) as error:
                watch.on = False
                sentence = str(error)
                said['refused in a sentence'] += 1
                if '\n' in sentence or PYTHON.search(sentence) or len(sentence) > 600 or not sentence:
                    fault = f'no sentence: {sentence!r}'
            except ModuleNotFoundError as error:
                watch.on = False
                if 'mmseg_config' not in str(error):
                    fault = told()
            except BaseException:
                watch.on = False
                fault = told()
            took = time.perf_counter() - before
            slowest = max(slowest, took)
            if took > SECONDS:
                fault = fault or f'{took:.1f} s'
            if watch.broken:
                fault, watch.broken = f'{fault} {watch.broken}', []
            if fault:
                failures += 1
                kept = ''
                if keep:
                    kept = os.path.join(keep, f'seed{seed}_{count}{suffix}')
                    Path(kept).write_bytes(content)
                report(f'input {count} ({suffix}) {kept}: {fault}')
            os.remove(path)
            if count % 20_000 == 19_999:
                report(
                    f'{count + 1:,} inputs, {failures} failures, slowest {slowest:.2f} s, {peak()} MB, {time.monotonic() - started:.0f} s'
                )
    report(
        f'{inputs:,} inputs of seed {seed}: {failures} failures, slowest {slowest:.2f} s, at most {peak()} MB of memory'
    )
    for words, times in said.most_common():
        report(f'{times:9,} {words}')
    return failures


def told() -> str:
    """The error that is handled, with the last places of its way, on a line."""
    kind, error, trace = sys.exc_info()
    places = [f'{os.path.basename(part.filename)}:{part.lineno}' for part in traceback.extract_tb(trace)[-4:]]
    return f'{kind.__name__ if kind else ""} {str(error)[:500]!r} at {" > ".join(places)}'


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--inputs', type=int, default=20_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--keep', default='', help='a folder for inputs that fail')
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
    return 1 if run(options.inputs, options.seed, lambda line: print(line, flush=True), options.keep) else 0


if __name__ == '__main__':
    sys.exit(main())
