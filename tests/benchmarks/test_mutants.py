"""``python -m benchmarks.mutants``: which mistakes it plants, and that one is noticed or not."""

import os

import pytest

from benchmarks import mutant_tests
from benchmarks import mutants as campaign
from benchmarks.mutations import compiles, mutants

SOURCE = '''"""No 1 in a text."""

examples = {'one': 1}


def f(x: int = 1, *rest):
    """Nor here 2 < 3."""
    if not x and rest:
        raise ValueError(f'{x + 1} is wrong')
    x += 2
    return where(x <= 0.5, max(x, y), z), g(x, axis=-1)
'''


def changes(source=SOURCE):
    return {(m.kind.partition(',')[0], m.old, m.new) for m in mutants('f.py', source.encode())}


def test_mistakes_are_small_and_none_is_in_a_text():
    found = changes()
    assert found >= {
        ('constant', '1', '0'),
        ('condition', 'not x and rest', 'False'),
        ('not', 'not x', '(x)'),
        ('arithmetic', '+', '-'),
        ('comparison', '<=', '<'),
        ('constant', '0.5', '1.5'),
        ('name', 'max', 'min'),
        ('argument', 'axis=-1', ''),
        ('sign', '-1', '(1)'),
        ('order', 'max(x, y), z', 'z, max(x, y)'),
        ('statement', 'x += 2', 'pass'),
    }
    lines = {m.line for m in mutants('f.py', SOURCE.encode())}
    assert lines == {6, 8, 9, 10, 11}
    assert next(m for m in mutants('f.py', SOURCE.encode()) if m.line == 9).new == 'pass'


def test_applied_changes_the_one_piece():
    source = 'ä = 1 - 2  # ß\n'.encode()
    texts = {mutant.apply_to(source).decode() for mutant in mutants('f.py', source)}
    assert texts == {f'ä = {x}  # ß\n' for x in ('1 + 2', '0 - 2', '2 - 2', '1 - 3')}


def test_keys_are_unique_and_do_not_depend_on_the_place_in_the_file():
    one = [m.key for m in mutants('f.py', SOURCE.encode())]
    moved = [m.key for m in mutants('f.py', SOURCE.replace('\ndef', '\nzero = 0\n\n\ndef').encode())]
    assert len(set(one)) == len(one) and [key for key in moved if 'zero' not in key] == one


@pytest.mark.slow
def test_the_choice_is_the_same_for_one_seed_and_spread_over_the_files():
    files = ['shared_spec/overlap.py', 'shared_spec/granularity.py']
    first, again, other = (campaign.sample(files, seed, 40) for seed in (0, 0, 1))
    assert first == again != other and len(first) == 40
    assert {m.path for m in first} == set(files)
    assert not [m for m in first if not compiles(m.apply_to(open(m.path, 'rb').read()))]
    assert {m.path.split('/')[0] for m in campaign.sample([], 0, 300)} == {
        'shared_spec', 'mmseg_plugin', 'keras_plugin', 'segparity',
    }  # fmt: skip


def test_every_reason_names_a_mutant_that_exists():
    known = {}
    for key, reason in campaign.read_equivalent().items():
        path = key.partition(' ')[0]
        if path not in known:
            known[path] = {m.key for m in mutants(path, open(path, 'rb').read())}
        assert key in known[path] and len(reason) > 20, key


class Answers:
    """A server that gives one answer after the other, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def run(self, **request):
        self.asked.append(request)
        return dict(seconds={}, unfinished=False) | self.answers.pop(0)


def runner(tmp_path, *answers):
    found = object.__new__(campaign.Runner)
    (tmp_path / 'f.py').write_text(SOURCE)
    found.tree, found.quick, found.answer, found.servers = tmp_path, True, 'answer', {'torch': Answers(*answers)}
    return found


DIES, FAILS, PASSES = dict(failed=None, ended='t.py::a'), dict(failed='t.py::b: wrong'), dict(failed=None)


@pytest.mark.parametrize(
    ('answers', 'failed', 'undecided'),
    [
        ([DIES, FAILS], 't.py::b: wrong', None),
        ([DIES, PASSES], None, 't.py::a'),
        ([DIES, DIES], None, 't.py::a'),
        ([PASSES], None, None),
        ([FAILS], 't.py::b: wrong', None),
    ],
)
def test_a_process_without_an_answer_kills_nothing(answers, failed, undecided, tmp_path):
    run = runner(tmp_path, *answers)
    run.tests_of_line = lambda mutant: [run.ask('torch', tests=['t.py::a', 't.py::b'])]
    mutant = next(iter(mutants('f.py', SOURCE.encode())))
    result = run.result(mutant)
    assert (result['failed'], result['undecided']) == (failed, undecided)
    asked = [request['tests'] for request in run.servers['torch'].asked]
    assert asked == [['t.py::a', 't.py::b'], ['t.py::b']][: len(answers)]
    said = list(campaign.summary([mutant], {mutant.key: result}, {}))
    word = 'UNDECIDED f.py' if undecided else 'SURVIVES f.py'
    assert failed or said[1].startswith(word)
    assert said[-1].endswith(f'{int(bool(failed))} killed, {int(bool(failed)):.1%}, {int(bool(undecided))} undecided')


def test_a_fork_that_ends_says_where(tmp_path, monkeypatch):
    def ends(framework, request):
        (tmp_path / 'answer.test').write_text('t.py::a')
        os._exit(1)

    monkeypatch.setattr(mutant_tests, 'tests', ends)
    found = mutant_tests.run_in_fork('torch', dict(out=str(tmp_path / 'answer.json')))
    assert (found['failed'], found['ended']) == (None, 't.py::a')
