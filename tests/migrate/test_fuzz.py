"""The fuzzer of readers notices what it is there for, and a few hundred of its inputs are read or refused as they should."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fuzz_mutations, fuzz_readers

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('target, count', [('evaluator', 150), ('config', 60)])
def test_some_inputs(target, count, tmp_path):
    command = [
        sys.executable,
        '-m',
        'benchmarks.fuzz_readers',
        '--seed',
        '7',
        '--count',
        str(count),
        '--target',
        target,
    ]
    done = subprocess.run([*command, '--out', str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'{count:,} inputs of seed 7 ({target}) in' in done.stdout and ': 0 failures' in done.stdout
    assert not list(tmp_path.glob('*.input'))


def test_mutations_are_drawn_from_the_seed_and_change_the_text():
    text = 'model = dict(decode_head=dict(num_classes=3))\n' * 5
    made = [fuzz_mutations.mutated(text, [text], random.Random(seed)) for seed in range(200)]
    assert made == [fuzz_mutations.mutated(text, [text], random.Random(seed)) for seed in range(200)]
    assert len({*made, text.encode()}) > 180
    for change in fuzz_mutations.CHANGES:
        assert change(fuzz_mutations.tokens(text), [text], random.Random(1)) != fuzz_mutations.tokens(text)


FAULTS = {
    'executes': ("exec('x = 1')", 'exec'),
    'imports': ("__import__('antigravity')", 'import'),
    'opens': ("open('/etc/hostname').close()", 'open of'),
    'writes': ("open('written', 'w').close()", 'for writing'),
    'starts': ("import subprocess; subprocess.run(['true'])", 'subprocess.Popen'),
    'connects': ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", 'socket.connect'),
    'raises': ("{}['a']", 'KeyError'),
    'lines': ("raise ValueError('a\\nb')", 'several lines'),
    'unicode': ("'\\ud800'.encode()", 'an error of Python'),
    'waits': ('while True: pass', 'longer than'),
    'recursion': ('(lambda f: f(f))(lambda f: f(f))', 'RecursionError'),
}


@pytest.mark.parametrize(
    'fault, said',
    [
        pytest.param(*case, id=name, marks=() if name in ('executes', 'opens', 'raises', 'lines') else pytest.mark.slow)
        for name, case in FAULTS.items()
    ],
)
def test_faults_are_noticed(fault, said, tmp_path):
    """A reader with a planted fault, in a process of its own as the hook of a process stays."""
    code = (
        'import builtins, os, random, signal, sys\nfrom benchmarks import fuzz_readers as fuzz\n'
        'fuzz.SECONDS = 1\nsignal.signal(signal.SIGPROF, fuzz._ring)\nsys.addaudithook(fuzz.WATCH.hook)\n'
        'import subprocess, socket\n'
        f'def read(content, generator):\n    with fuzz.WATCH:\n        {fault}\n'
        'print(fuzz.attempt(read, b"", random.Random(0)))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert said in done.stdout, done.stdout + done.stderr


def test_a_sentence_is_no_fault():
    def read(content, generator):
        raise ValueError('the file is no configuration')

    old = fuzz_readers.signal.signal(fuzz_readers.signal.SIGPROF, fuzz_readers._ring)
    try:
        assert not fuzz_readers.attempt(read, b'', random.Random(0))
    finally:
        fuzz_readers.signal.signal(fuzz_readers.signal.SIGPROF, old)
