"""Random configurations on random bases are what MMEngine makes of them, wherever MMEngine takes them."""

import random

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading.config_chain import Chain
from tests.migrate.test_mmseg_config import of_mmengine, plain

KEYS = 'a', 'b', 'type', 'head', 'loss'
NAMES = 'model', 'data', 'norm', 'x'


def literal(generator, depth=0, deletes=False):
    """The source of a random value."""
    kind = generator.random()
    if depth > 3 or kind < 0.35:
        return generator.choice(('1', '2.5', "'text'", 'True', 'None', '[1, 2]', '(3, 4)', "'DiceLoss'"))
    if kind < 0.5:
        return f'[{", ".join(literal(generator, depth + 1, deletes) for _ in range(generator.randint(0, 3)))}]'
    keys = generator.sample(KEYS, generator.randint(0, 4))
    parts = [f'{key}={literal(generator, depth + 1, deletes)}' for key in keys]
    if deletes and generator.random() < 0.25:
        parts.append(f'_delete_={generator.choice(("True", "True", "False"))}')
    return f'dict({", ".join(parts)})'


def base_file(generator):
    """Names with random values, most of them dicts that have every key, one of them in two places."""
    lines = [f'shared = {literal(generator, 2)}']
    for name in NAMES if generator.random() < 0.8 else generator.sample(NAMES, 2):
        parts = ', '.join(f'{key}={generator.choice(("shared", literal(generator, 2)))}' for key in KEYS[:3])
        whole = (
            f'dict({parts}, head=dict(loss=shared, a={literal(generator, 3)}, b=dict(a=1)), loss=dict(a=2, b=shared))'
        )
        lines.append(f'{name} = {whole if generator.random() < 0.8 else literal(generator)}')
    return '\n'.join(lines)


def path(generator, start):
    """A random place in a dict: subscripts."""
    return start + ''.join(f'[{generator.choice(KEYS)!r}]' for _ in range(generator.randint(1, 2)))


def old_child(generator):
    """Lines of a configuration with ``_base_``."""
    lines = []
    for name in generator.sample(NAMES, generator.randint(1, 4)):
        lines.append(f'{name} = {literal(generator, deletes=True)}')
        other = generator.choice(NAMES)
        lines += generator.sample(
            (
                f'{path(generator, name)} = {literal(generator, 2, deletes=True)}',
                f'{name}.update({literal(generator, 1, deletes=True)})',
                f'y_{name} = {{{{_base_.{other}}}}}',
                f'z_{name} = [{{{{_base_.{other}.{generator.choice(KEYS)}}}}}, 1]',
                f'w_{name} = _base_.{other}.{generator.choice(KEYS)}',
                f'{name} = dict(a={name}, b={name})',
            ),
            generator.randint(0, 1),
        )
    return '\n'.join(lines)


def new_child(generator):
    """Lines of a configuration that imports its base."""
    lines = ['from mmengine.config import read_base', 'with read_base():', '    from .base import *']
    name = generator.choice(NAMES)
    for _ in range(generator.randint(1, 3)):
        other = generator.choice((*NAMES, 'own'))
        lines += generator.choice(
            (
                [f'{name}.update({literal(generator, 1)})'],
                [f'{name}.update(head={literal(generator, 1)})'],
                [f'{name}.merge({literal(generator, 1, deletes=True)})'],
                [f'own = {literal(generator, 1)}', f'{name}.head = own', f'{path(generator, "own")} = 5'],
                [f'{name}.head = {literal(generator, 1)}', f'{name}.head.loss = 3'],
                [f'{path(generator, name)} = {literal(generator, 2)}'],
                [f'{name}.a = {name}.b'],
                [f'{name}.update(a={other})'],
                [f'own = {name}.head', 'own.loss = 7'],
                [f'del {name}.a'],
            )
        )
    return '\n'.join(lines)


def without_delete(value):
    """Without ``_delete_`` that had nothing to delete, which MMEngine leaves where it is."""
    if isinstance(value, dict):
        return {key: without_delete(part) for key, part in value.items() if key != '_delete_'}
    return [without_delete(part) for part in value] if isinstance(value, list) else value


def holds_unread(value):
    if isinstance(value, dict):
        return any(holds_unread(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_unread(part) for part in value)
    return isinstance(value, Unread)


@pytest.mark.parametrize('child', [old_child, new_child])
@pytest.mark.parametrize('count', [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_random_configurations(child, count, tmp_path):
    pytest.importorskip('mmengine')
    taken = refused = 0
    for seed in range(count):
        generator = random.Random(seed)
        (tmp_path / 'base.py').write_text(base_file(generator))
        text = child(generator)
        config = tmp_path / f'config{seed % 7}.py'
        config.write_text(text if child is new_child else f"_base_ = './base.py'\n{text}")
        chain = Chain(str(config))
        try:
            want = plain(of_mmengine(str(config)))
        except Exception:
            refused += 1
            chain.read(str(config))  # whatever is wrong with it, it is read or refused in a sentence
            continue
        taken += 1
        got = without_delete(plain(chain.read(str(config))))
        want = without_delete(want)
        assert got == want, config.read_text() + '\n---\n' + (tmp_path / 'base.py').read_text()
        assert not holds_unread(got)
    assert taken > count / 8 and refused
