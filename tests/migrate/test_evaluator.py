"""The evaluator gives what Python gives wherever it gives a value, says Unread where it cannot, and never more than that."""

import time

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading.evaluator import Evaluator
from segparity.migrate.reading.values import Called, Class, Function, Limits, Reference, places


def read(text, **options):
    return Evaluator(text, 'source.py', **options).run()


def value(text, **options):
    return read(text, **options)['x']


EXPRESSIONS = [
    '1', '-2.5', '"a" "b"', 'b"ab"', 'None', 'True', '1e3', '(1, 2)', '[1, *[2, 3]]', '{1, 2} == {2, 1}',
    '{**{"a": 1}, "b": 2}', 'dict(a=1, **{"b": 2})', 'dict([("a", 1)], b=2)', '[1.0] * 4 + [0.1]', '(1,) * 3',
    '2 ** 10', '7 // 2', '7 % 4', '1 << 4', '5 & 3 | 8', '~5', 'not []', '1 < 2 < 3', '1 < 2 > 3', '"a" in "cab"',
    '2 in [1, 2]', '1 if [] else 2', '0 or "b"', '1 and 2', 'f"{3:03d}-{1.5:.2f}-{[1]!r}"', 'f"{[1, 2]}"',
    '"%s-%03d" % ("a", 5)', '"%(a)s" % {"a": 1}', '"{0}{a:>4}".format(1, a=2)', '"{}-{!r}".format(1, "b")',
    '",".join(["a", "b"])', '"a-b".split("-")', '"ab".upper()', '"abc"[1:]', '[1, 2, 3][-1]', '[1, 2, 3][::2]',
    '{"a": [1]}["a"][0]', '[i * 2 for i in range(5) if i % 2]', '{k: v for k, v in zip("ab", [1, 2])}',
    '[(i, j) for i in range(3) for j in range(i)]', 'sum(i for i in [1, 2, 3])', 'sum([[1], [2]], [])', 'len("abc")',
    'min(3, 1, 2)', 'max([1, 5])', 'min([], default=4)', 'int("7")', 'float("1.5")', 'str(1.5)', 'bool([])', 'round(2.567, 1)',
    'abs(-3)', 'list(enumerate("ab", 1))', 'sorted([3, 1, 2], reverse=True)', 'list(reversed([1, 2]))', 'any([0, 1])',
    'all([])', '{"a": 1}.get("b", 3)', '{"a": 1}.get("a")', 'list({"a": 1}.items())', 'list({"a": 1}.keys())',
    'tuple(range(3))', '[*range(3)]', '(y := 3) + y', '{"a": 1} | {"b": 2}', '"x".zfill(4)', '[] is None', 'None is None',
    '"a" * 3', '[[0] * 2 for _ in range(2)]', '1 != 1.0', '"b" > "a"', '(1, 2) < (1, 3)', '0x10', '1_000', 'range(3)[1]',
]  # fmt: skip


@pytest.mark.parametrize('expression', EXPRESSIONS)
def test_expression(expression):
    want = eval(expression, {})
    got = value(f'x = {expression}')
    assert got == want
    assert type(got) is type(want) or isinstance(want, dict)


PROGRAMS = {
    'unpack': 'a, (b, *c) = 1, (2, 3, 4)\nx = [a, b, c]',
    'chain': 'x = y = [1]\ny.append(2)',
    'augmented': 'x = [1]\ny = x\nx += [2]\nx = [x, y]',
    'augmented item': 'd = {"a": 1}\nd["a"] += 2\nx = d["a"]',
    'item': 'x = dict(a=dict(b=1))\nx["a"]["b"] = 2\nx["c"] = 3',
    'delete': 'x = dict(a=1, b=2)\ndel x["a"]\ny = 1\ndel y',
    'update': 'x = dict(a=1)\nx.update(b=2)\nx.update({"a": 3}, c=4)',
    'setdefault': 'x = {}\nx.setdefault("a", []).append(1)\nx.pop("b", None)',
    'if': 'n = 3\nif n > 5:\n    x = 1\nelif n > 2:\n    x = 2\nelse:\n    x = 3',
    'for': 'x = []\nfor i in range(5):\n    if i == 3:\n        break\n    if i % 2:\n        continue\n    x.append(i)\nelse:\n    x = 0',
    'for items': 'x = 0\nfor k, v in {"a": 1, "b": 2}.items():\n    x += v',
    'alias': 'a = dict(b=[1])\nx = a\nfor i in [1]:\n    a["b"].append(2)',
    'deepcopy': 'import copy\na = dict(b=[1])\nx = copy.deepcopy(a)\na["b"].append(2)',
    'copy': 'from copy import copy as c\na = dict(b=[1])\nx = c(a)\na["b"].append(2)\na["d"] = 1',
    'path': 'import os.path as osp\nx = osp.join("a", "b", "c.py")',
    'class': 'class A:\n    n = 3\n    m = n + 1\nclass B(A):\n    pass\nx = [A.m, B.n]',
    'while false': 'x = 1\nwhile False:\n    x = 2',
    'try': 'try:\n    x = 1\nexcept ValueError:\n    x = 2\nfinally:\n    y = 3',
    'with': 'class Open:\n    n = 1\nx = 1\nif True:\n    x = 2',
    'line ends': 'x = 1\r\ny = 2\r\n',
    'form feed': 'y = 1\n\x0cx = 2\n',
    'inline': 'def f(a, b=2, *c, d=4, **e):\n    z = a + b\n    return [z, c, d, e]\nx = f(1, 3, 5, d=6, g=7)',
    'lambda': 'f = lambda a, b=2: a + b\nx = f(1)',
    'changes': 'def f(d):\n    d["a"] = 2\nx = dict(a=1)\nf(x)',
    'global': 'x = 1\ndef f():\n    global x\n    x = 2\nf()',
    'early': 'def f(n):\n    if n:\n        return 1\n    return 2\nx = [f(0), f(1)]',
}


@pytest.mark.parametrize('program', PROGRAMS.values(), ids=PROGRAMS)
def test_program(program):
    names = {}
    exec(program, names)
    assert value(program, inline=True) == names['x']


UNREAD = {
    'unknown name in arithmetic': ('x = unknown_thing is None', 'not known'),
    'condition': ('import a\nx = 1\nif a.b:\n    x = 2', 'it depends on `a.b`, which is not known'),
    'one branch': ('import a\nif a.b:\n    x = 2', 'it depends on'),
    'expression': ('import a\nx = 1 if a.b else 2', 'its condition `a.b` is not known'),
    'loop': ('import a\nx = 0\nfor i in a.b:\n    x += 1', 'is not known'),
    'while': ('import a\nx = 0\nwhile a.b:\n    x += 1', 'it depends on the loop `while a.b`'),
    'break': ('import a\nx = 0\nfor i in range(3):\n    x = i\n    if a.b:\n        break', 'where the loop ends'),
    'stop': ('x = {}["a"]', 'KeyError'),
    'divide': ('x = 1 / 0', 'ZeroDivisionError'),
    'power': ('x = 10 ** 10 ** 10', 'too large'),
    'shift': ('x = 1 << 10 ** 9', 'too large'),
    'repeat': ('x = [0] * 10 ** 9', 'too large'),
    'text': ('x = "a" * 10 ** 9', 'too large'),
    'wide': ('x = f"{1:>99999999}"', 'too wide'),
    'wide percent': ('x = "%99999999d" % 1', 'too wide'),
    'star': ('x = "%*d" % (99999999, 1)', 'width'),
    'looks in': ('x = "{0.__class__}".format(1)', 'looks into'),
    'range': ('x = list(range(10 ** 9))', 'too long'),
    'turns': ('x = [i for i in range(5000)]', 'turns'),
    'attribute': ('x = (1).real', 'not evaluated'),
    'dunder': ('x = ().__class__.__bases__', 'not evaluated'),
    'contains itself': ('x = []\nx.append(x)', 'contains itself'),
    'grows': ('x = (1,)\n' + 'x = (x, x)\n' * 60, 'too large'),
    'compared': ('y = [1]\n' + 'y = [y, y]\n' * 60 + 'x = y == y', 'too large'),
    'nested': ('x = ' + '-(' * 80 + '1' + ')' * 80, 'nested too deeply'),
    'recursion': ('def f(n):\n    return f(n + 1)\nx = f(0)', 'too deeply'),
    'decorated': ('import a\n@a.b\ndef f():\n    return 1\nx = f()', 'decorator'),
    'generator': ('def f():\n    yield 1\nx = f()', 'generator'),
    'unsure': ('import a\ndef f():\n    if a.b:\n        return 1\n    return 2\nx = f()', 'not known'),
    'await': ('async def f():\n    pass\nx = f()', 'decorator'),
    'long': ('x = 1\nfor i in range(2000):\n    for j in range(2000):\n        x += 1', 'takes too long'),
}  # fmt: skip


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
    assert (
        isinstance(scope['x']['a'], Unread) and scope['x']['b'] == 2 and all(isinstance(v, Unread) for v in scope['y'])
    )


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


def test_a_network_in_which_values_double_is_read_at_once():
    start = time.perf_counter()
    scope = read('import k\nx = k.Input()\n' + 'x = k.Add()([k.Conv()(x), x])\n' * 500)
    assert isinstance(scope['x'], Called) and time.perf_counter() - start < 2


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
    start = time.perf_counter()
    with pytest.raises(ValueError) as caught:
        read(text)
    assert said in str(caught.value) and '\n' not in str(caught.value) and len(str(caught.value)) < 400
    assert time.perf_counter() - start < 10


def test_limits_can_be_narrower():
    with pytest.raises(ValueError, match='steps'):
        read('x = 1\n' * 100, limits=Limits(steps=50))
