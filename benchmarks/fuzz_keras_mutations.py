"""Damaged scripts, notebooks, JSON and .keras files for ``fuzz_readers.py``, and what has to hold of a Source that is read."""

import ast
import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segparity.migrate.items import Context, Item, Output, Place, Source, Unread

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
        members['config.json'] = b' ' * (17 << 20)
    elif kind == 3 and chance.random() < 0.1:
        members['config.json'] = chance.choice(
            (b'[' * 100_000, b'{"a":' * 50_000, b'[' + b'[],' * 300_000 + b'0]', b'"' + b'\\\\' * 500_000 + b'"')
        )
    small = len(members.get('config.json', b'')) < 100_000
    data = zipped(members, zipfile.ZIP_STORED if small and chance.random() < 0.5 else zipfile.ZIP_DEFLATED)
    return mutate_bytes(chance, data) if chance.random() < 0.5 else data


class Seeds:
    """The corpus, sorted by what is done to it."""

    def __init__(self) -> None:
        self.files = corpus()
        self.scripts = [data.decode() for name, data in self.files.items() if name.endswith('.py')]
        self.trees = [name for name in self.files if name.endswith(('.json', '.ipynb'))]

    def mutant(self, chance: random.Random) -> tuple[str, bytes]:
        """(suffix, content) of one damaged source."""
        kind = chance.randrange(10)
        if kind <= 4:
            content, suffix = self.script(chance), '.py'
        elif kind <= 7:
            name = chance.choice(self.trees)
            value = mutate_json(chance, json.loads(self.files[name]), self.scripts)
            content, suffix = json.dumps(value, indent=chance.choice((None, 1))).encode(), Path(name).suffix
        elif kind == 8:
            content, suffix = mutate_zip(chance, self.files, self.scripts), '.keras'
        else:
            name = chance.choice(list(self.files))
            content, suffix = self.files[name], Path(name).suffix
        if chance.random() < 0.15 or kind == 9:
            content = mutate_bytes(chance, content)
        if chance.random() < 0.02:
            suffix = chance.choice(('.py', '.json', '.ipynb', '.keras', '.yaml', '.txt', '', '.h5'))
        return suffix, content

    def script(self, chance: random.Random) -> bytes:
        """A mutated script; four of five parse."""
        for _ in range(20):
            content = mutate_text(chance, chance.choice(self.scripts), self.scripts).encode('utf-8', 'surrogatepass')
            if chance.random() < 0.2 or parses(content):
                break
        return content


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
