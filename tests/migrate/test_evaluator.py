"""The evaluator gives what Python gives wherever it gives a value, says Unread where it cannot, and never more than that."""

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.values import Called, Class, Function, Limits, Reference, places
from tests.migrate.evaluator_cases import EXPRESSIONS, PROGRAMS, UNREAD
from tests.support.ending import must_end


def read(text, **options):
    return Evaluator(text, 'source.py', **options).run()


def value(text, **options):
    return read(text, **options)['x']


@pytest.mark.parametrize('expression', EXPRESSIONS)
def test_expression(expression):
    want = eval(expression, {})
    got = value(f'x = {expression}')
    assert got == want
    assert type(got) is type(want) or isinstance(want, dict)


@pytest.mark.parametrize('program', PROGRAMS.values(), ids=PROGRAMS)
def test_program(program):
    names = {}
    exec(program, names)
    assert value(program, inline=True) == names['x']


@pytest.mark.parametrize('program, reason', UNREAD.values(), ids=UNREAD)
def test_unread(program, reason):
    got = value(program, inline=True)
    assert isinstance(got, Unread), got
    assert reason in got.reason
    assert got.place.file == 'source.py' and got.place.line > 0


def test_only_the_key_that_differs_is_unread():
    x = value('import a\nx = dict(k=1, m=dict(n=1, o=2))\nif a.b:\n    x["m"]["o"] = 3\nelse:\n    x["k"] = 1')
    assert x['k'] == 1 and x['m']['n'] == 1 and isinstance(x['m']['o'], Unread)


def test_what_a_method_that_is_not_evaluated_changes_is_forgotten():
    scope = read('x = dict(a=[1], b=2)\ny = x["a"]\nx["a"].frobnicate()')
    assert isinstance(scope['x']['a'], Unread) and scope['x']['b'] == 2 and isinstance(scope['y'], Unread)


def test_calls_are_told_in_their_order_with_resolved_names():
    heard = []
    text = (
        'import keras\nfrom keras import losses as L\nfrom .unet import build as make\nimport tensorflow.keras.backend as K\n'
        'model = make(3, classes=[1, 2])\nmodel.compile(loss=[L.Dice(axis=1)], metrics="accuracy")\n'
        'y = keras.layers.Conv2D(3)(model.output)\nz = K.mean(y) + 2 * K.sum(y)\n'
    )
    scope = read(text, on_call=lambda called, scope: heard.append(called))
    names = [called.name for called in heard]
    assert names == [
        '.unet.build', 'keras.losses.Dice', '.compile', 'keras.layers.Conv2D', '', 'tensorflow.keras.backend.mean',
        'tensorflow.keras.backend.sum',
    ]  # fmt: skip
    compiled = heard[2]
    assert compiled.on is scope['model'] and compiled.place.line == 6
    assert compiled.kwargs['loss'][0].name == 'keras.losses.Dice' and dict(compiled.kwargs['loss'][0].kwargs) == {
        'axis': 1
    }
    assert (
        heard[0].args == (3,) and heard[0].kwargs == {'classes': [1, 2]} and heard[0].text == 'make(3, classes=[1, 2])'
    )
    assert heard[4].on is heard[3] and isinstance(heard[4].args[0], Reference)
    assert (
        scope['z'].name == 'operator.add'
        and scope['z'].args[1].name == 'operator.mul'
        and scope['z'].args[1].args[0] == 2
    )


def test_arguments_are_as_they_were_at_the_call():
    heard = []
    read('m = [1]\nf(m)\nm.append(2)', on_call=lambda called, scope: heard.append(called))
    assert heard[0].args == ([1],)


def test_bodies_of_functions_are_followed_for_their_calls():
    heard = []
    text = (
        'N = 3\ndef build(n=N, rate=1e-3, *, loss):\n    model = make(n)\n    model.compile(optimizer=Adam(rate), loss=loss)\n'
        '    def inner(a):\n        return deep(a)\n    return model\n'
        'class T:\n    def fit(self):\n        self.model.compile(loss="mse")\nN = 5\n'
    )

    def hear(called, scope):
        heard.append((called, set(scope.defaults)))

    scope = read(text, on_call=hear, run_functions=True)
    assert [called.name for called, _ in heard] == ['make', 'Adam', '.compile', 'deep', '.compile']
    assert heard[0][0].args == (5,) and heard[0][1] == {'n', 'rate'}  # ours knows N as it is at last
    assert isinstance(heard[2][0].kwargs['loss'], Unread)
    assert scope['N'] == 5 and isinstance(scope['build'], Function) and isinstance(scope['T'], Class)


def test_places():
    scope = read('x = dict(\n    a=1,\n    b=2)\nx["b"] = 3\nx.update(\n  c=4)')
    assert {key: place.line for key, place in places(scope['x']).items()} == {'a': 2, 'b': 4, 'c': 6}
    assert scope.places['x'].line == 1


def test_a_network_in_which_values_double_is_read():
    with must_end():
        scope = read('import k\nx = k.Input()\n' + 'x = k.Add()([k.Conv()(x), x])\n' * 500)
    assert isinstance(scope['x'], Called)


REFUSED = {
    'python 2': ('print "a"', 'line 1'),
    'null': ('x = 1\0', 'no Python 3'),
    'surrogate': ('x = "\ud800"', 'no Python 3'),
    'brackets': ('x = ' + '(' * 5000, 'no Python 3'),
    'minus': ('x = ' + '-' * 100_000 + '1', 'nested too deeply'),
    'digits': ('x = ' + '9' * 100_000, 'no Python 3'),
    'dots': ('x = a' + '.b' * 100_000, 'nested too deeply'),
    'words': ('x = [' + '1,' * 500_000 + ']', 'larger than'),
    'bytes': ('#' * 6_000_000, 'larger than'),
    'steps': ('import a\n' + 'if a.b:\n    pass\n' * 15_000, 'steps'),
}


@pytest.mark.parametrize('text, said', REFUSED.values(), ids=REFUSED)
def test_refused_in_a_sentence(text, said):
    with must_end(), pytest.raises(ValueError) as caught:
        read(text)
    assert said in str(caught.value) and '\n' not in str(caught.value) and len(str(caught.value)) < 400


def test_limits_can_be_narrower():
    with pytest.raises(ValueError, match='steps'):
        read('x = 1\n' * 100, limits=Limits(steps=50))
