"""Losses that a source writes itself: what they compute, and which of ours they are, without running them."""

import re
import subprocess
import sys

import numpy as np
import pytest

from segparity.migrate.computing.limits import NotUnderstood
from segparity.migrate.items import Context
from segparity.migrate.peers import migrate_item
from segparity.migrate.reading import read_source
from tests.migrate.own_formula_sources import SOURCES
from tests.support.ending import must_end
from tests.support.frameworks import axis

KERAS_USE = "\nmodel.compile(optimizer='adam', loss=loss)\n"
TORCH_USE = '\nlast = loss(model(images), masks)\nlast.backward()\n'


def read(tmp_path, text, use=None):
    """The first loss of a source."""
    path = tmp_path / 'train.py'
    path.write_text(text + (use or (TORCH_USE if 'import torch' in text else KERAS_USE)))
    return read_source(path).outputs[0].losses[0]


def arrays(context, seed=0):
    """(labels, prediction) in the layout of the world, as float64, ids as integers."""
    rng = np.random.default_rng(seed)
    n, h, w, c = 2, 4, 5, context['channels']
    ids = rng.integers(0, max(c, 2), (n, h, w))
    ids[:, 0, : max(c, 2)] = np.arange(max(c, 2))
    logits = rng.normal(size=(n, h, w, c))
    maps = (ids[..., None] == ([1] if c == 1 else np.arange(c))).astype(float)
    prob = 1 / (1 + np.exp(-logits)) if c == 1 else np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    pred = logits if context['activation'] == 'logits' else prob
    if context['world'] == 'mmseg':
        maps, pred = maps.transpose(0, 3, 1, 2), pred.transpose(0, 3, 1, 2)
    return (ids if context.get('labels') == 'ids' else maps), pred


def run(worker, text, labels, pred):
    """The mean of what the text itself returns, run on PyTorch, or on TensorFlow in a process of its own."""
    if 'import torch' not in text:
        arrays = dict(labels=np.ascontiguousarray(labels), pred=np.ascontiguousarray(pred))
        return worker.call('tests.migrate.keras_calls:run_text', arrays, text=text)[0]
    import torch

    scope = {}
    exec(text, scope)
    return float(scope['loss'](torch.tensor(pred), torch.tensor(labels)).mean())


@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
@pytest.mark.parametrize('name', SOURCES)
def test_value_is_that_of_running_it(name, framework, worker, tmp_path):
    imports, text, context, *_ = SOURCES[name]
    labels, pred = arrays(context)
    formula = read(tmp_path, imports + text).formula
    pair = (labels, pred) if context['world'] == 'keras' else (pred, labels)
    assert float(np.mean(formula(*pair))) == pytest.approx(
        run(worker, imports + text, labels, pred), rel=1e-6, abs=1e-9
    )
    again = formula(*(x[::-1] for x in pair))  # by the instructions that were kept
    assert float(np.mean(again)) == pytest.approx(
        run(worker, imports + text, labels[::-1].copy(), pred[::-1].copy()), rel=1e-6
    )


KNOWN = [name for name in SOURCES if SOURCES[name][3] is not None]
DEAR = {  # many losses of ours are tried before the one that it is
    'power_after_the_mean', 'focal_tversky_per_class', 'pooled_power', 'per_pixel_jaccard', 'torch_cross_entropy_and_dice',
    'log_dice', 'torch_bce_dice', 'focal_tversky', 'pooled', 'means', 'half_bce_less_dice', 'smoothed_twice',
}  # fmt: skip


@pytest.mark.parametrize('name', [pytest.param(n, marks=pytest.mark.slow) if n in DEAR else n for n in KNOWN])
def test_what_it_is(name, tmp_path):
    imports, text, context, verdict, spec_name, parameters, offset = SOURCES[name]
    migrated = migrate_item(read(tmp_path, imports + text), Context(**context))
    (reading,) = migrated.readings
    assert reading.verdict == verdict, reading
    assert (type(reading.spec).__name__ if reading.spec else None) == spec_name
    parameters = dict(parameters)
    if 'names' in parameters:
        assert [type(part).__name__ for part in reading.spec.parts] == parameters.pop('names')
    for word, value in parameters.items():
        assert getattr(reading.spec, word) == pytest.approx(value) if not isinstance(value, str) else value, word
    assert reading.offset == pytest.approx(offset)


def reading_of(tmp_path, text, use=None, **context):
    (reading,) = migrate_item(read(tmp_path, text, use), Context(**context)).readings
    return reading


KERAS = 'from keras import backend as K\n'
ONE = dict(world='keras', channels=1, activation='sigmoid')
DICE = """
def dice(y_true, y_pred, smooth=1.0):
    return (2 * K.sum(y_true * y_pred) + smooth) / (K.sum(y_true) + K.sum(y_pred) + smooth)
def loss(y_true, y_pred, smooth=1.0):
    return 1 - dice(y_true, y_pred, smooth)
"""


def test_one_channel_and_several_where_the_source_shows_neither(tmp_path):
    found = {
        reading.versions: reading for reading in migrate_item(read(tmp_path, KERAS + DICE), Context('keras')).readings
    }
    several, one = found['with several channels'], found['with one channel']
    assert several.verdict == 'exact'
    assert (several.spec.pooled, several.spec.granularity, several.spec.smooth) == (True, 'D', 0.5)
    assert (one.versions, one.verdict, one.spec.smooth) == ('with one channel', 'exact', 0.5)


def test_many_classes_are_measured_with_all_of_them(tmp_path):
    text = (
        'import tensorflow as tf\ndef loss(y_true, y_pred):\n    both = tf.reduce_sum(y_true * y_pred, [0, 1, 2])\n'
        '    size = tf.reduce_sum(y_true + y_pred, [0, 1, 2])\n    return 1 - tf.reduce_mean((2 * both + 1) / (size + 1))\n'
    )
    found = reading_of(tmp_path, text, world='keras', channels=19, activation='softmax')
    assert (found.verdict, type(found.spec).__name__, found.spec.smooth) == ('exact', 'SoftDiceLoss', 0.5)
    summed = text.replace('reduce_mean((', 'reduce_sum((').replace('1 - ', '19 - ')
    found = reading_of(tmp_path, summed, world='keras', channels=19, activation='softmax')
    assert (found.verdict, found.spec.loss_weight, found.offset) == ('exact', 19.0, 0.0)


def test_arguments_of_partial_are_those_of_the_formula(tmp_path):
    text = KERAS + 'import functools\n' + DICE + 'loss = functools.partial(loss, smooth=8.0)\n'
    found = reading_of(tmp_path, text, **ONE)
    assert (found.verdict, found.spec.smooth) == ('exact', 4.0)


def test_arguments_of_the_call_in_a_loop(tmp_path):
    text = (
        'import torch\ndef dice_loss(pred, target, smooth=1.0):\n    p = torch.sigmoid(pred)\n'
        '    return 1 - (2 * (p * target).sum() + smooth) / (p.sum() + target.sum() + smooth)\n'
    )
    use = 'out = model(images)\nloss = 2 * dice_loss(out, masks, smooth=6.0)\nloss.backward()\n'
    item = read(tmp_path, text, use)
    (found,) = migrate_item(item, Context('mmseg', channels=1)).readings
    assert (item.name, item.weight, found.verdict, found.spec.smooth) == ('dice_loss', 2.0, 'exact', 3.0)
    swapped = use.replace('dice_loss(out, masks, smooth=6.0)', 'dice_loss(target=masks, pred=out)')
    assert migrate_item(read(tmp_path, text, swapped), Context('mmseg', channels=1)).readings[0].verdict == 'exact'


def test_a_sum_with_losses_of_libraries_is_that_of_its_terms(tmp_path):
    text = (
        'import segmentation_models as sm\ndef loss(y_true, y_pred):\n'
        '    return 2 * sm.losses.dice_loss(y_true, y_pred) + sm.losses.jaccard_loss(y_true, y_pred) - 1\n'
    )
    found = reading_of(tmp_path, text, **ONE)
    assert (found.verdict, found.spec.shares, found.offset) == ('exact', (2.0, 1.0), -1.0)
    assert [type(part).__name__ for part in found.spec.parts] == ['SoftDiceLoss', 'SoftJaccardLoss']


@pytest.mark.parametrize(
    ('body', 'words'),
    [
        ('2 * K.sum(t * p) / K.sum(t + p)', 'score of probabilities, the mean over batches; our metrics count .*mDice'),
        ('K.sum(t * p) / (K.sum(t + p) - K.sum(t * p))', 'nearest of them is mIoU'),
        ('K.mean(K.equal(t, K.round(p)))', 'it counts predicted classes of each batch.*aAcc'),
    ],
)
def test_metrics_are_scores_of_their_own(tmp_path, body, words):
    path = tmp_path / 'train.py'
    path.write_text(f"{KERAS}def score(t, p):\n    return {body}\nmodel.compile('adam', 'mse', metrics=[score])\n")
    ((item, _),) = read_source(path).metrics
    (found,) = migrate_item(item, Context(**ONE)).readings
    assert found.verdict == 'none' and found.spec is None
    assert re.search(words, found.differences[0])


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('score_as_a_loss', 'It is a score returned as a loss'),
        ('thresholded', 'No gradient reaches the prediction'),
        ('smoothed_twice', 'counts the smoothing twice'),
        ('means', 'It divides means, not sums'),
        ('per_pixel_jaccard', 'Its sum runs over the channel axis alone'),
    ],
)
def test_what_is_wrong_is_said(name, words, tmp_path):
    imports, text, context, *_ = SOURCES[name]
    assert words in reading_of(tmp_path, imports + text, **context).bug


def test_logits_without_activation_are_named(tmp_path):
    found = reading_of(tmp_path, KERAS + DICE, world='keras', channels=1, activation='logits')
    assert (found.verdict, found.spec.from_logits) == ('nearest', True)
    assert 'takes logits for probabilities' in found.bug


def test_a_stopped_gradient_is_named(tmp_path):
    text = KERAS + DICE.replace('K.sum(y_pred) + smooth', 'K.sum(K.stop_gradient(y_pred)) + smooth')
    found = reading_of(tmp_path, text, **ONE)
    assert found.verdict == 'nearest' and 'stops the gradient' in found.bug
    labels = KERAS + DICE.replace('K.sum(y_true) + K', 'K.sum(K.stop_gradient(y_true)) + K')
    assert reading_of(tmp_path, labels, **ONE).verdict == 'exact'


UNKNOWN = {
    'return K.map_fn(lambda x: x, y_pred)': 'line 5: <lambda> is handed on as a function',
    'return distance_map(y_true) * y_pred': 'line 5: distance_map(y_true) is not computed',
    'y_pred[y_pred > 0.5] = 1\n    return K.mean(y_true - y_pred)': 'items of an array are changed',
    'y_pred.clamp_(0, 1)\n    return K.mean(y_true - y_pred)': 'it is changed in place',
    'with torch.no_grad():\n        x = K.mean(y_true - y_pred)\n    return x': 'it stands inside with no_grad',
    'return y_true @ y_pred': 'is not computed',
    'return y_true, y_pred': 'it returns no number',
    'return y_pred.__class__.__mro__[1].__subclasses__()': 'the attribute __class__ of an array is not computed',
    'return K.reshape(y_pred, (10**9, 10**9))': 'stops with ValueError',
    'return K.zeros((10**5, 10**5)) + y_pred': 'is too large',
    'return K.sum(K.one_hot(K.cast(y_true, "int32"), 10**12))': 'is too large',
    'return K.tile(y_pred, [1000, 1000, 1, 100])': 'is too large',
    'return K.mean(y_pred[None].repeat(10**10))': 'is too large',
    'return loss(y_pred, y_true)': 'functions of the source call each other too often',
    'while K.sum(y_pred) > 0:\n        y_pred = y_pred - 1\n    return y_pred': 'it depends on the loop',
    'return open("x").read() * y_pred': 'is not computed',
    'return eval("1") * y_pred': 'is not computed',
    'return K.sum(y_pred) + unknown': 'unknown is not known',
    'return y_pred ** 10**10 ** 10': 'the number is too large',
}


@pytest.mark.parametrize('body', UNKNOWN)
def test_what_is_not_computed_is_named(body, tmp_path):
    text = f'import torch.nn\nimport keras\n{KERAS}def loss(y_true, y_pred):\n    {body}\n'
    with must_end():
        found = reading_of(tmp_path, text, KERAS_USE, **ONE)
    assert (found.verdict, found.spec) == ('none', None)
    (sentence,) = found.differences
    assert UNKNOWN[body] in sentence
    assert sentence.endswith(f'segparity recognise {tmp_path}/train.py:loss runs it and says which of ours it is')


def test_what_a_function_makes_is_not_named_for_recognise(tmp_path):
    text = f'{KERAS}def make(a):\n    def loss(y_true, y_pred):\n        return other(y_true) * a\n    return loss\nloss = make(2)\n'
    (sentence,) = reading_of(tmp_path, text, **ONE).differences
    assert 'is not computed' in sentence and 'segparity recognise' not in sentence


HOSTILE = {
    'deep': 'x = y_pred\n    for k in range(60):\n        x = x + y_true\n        x = K.exp(-x)\n    return K.mean(x)',
    'wide': 'x = y_pred\n' + '    x = x * x + y_true - x\n' * 400 + '    return K.mean(x)',
    'doubling': 'x = [y_pred]\n    for k in range(40):\n        x = x + x\n    return sum(x)',
    'concatenating': 'x = y_pred\n    for k in range(50):\n        x = K.concatenate([x, x], 0)\n    return K.mean(x)',
    'calling': 'def f(a, n):\n        return f(a, n - 1) + f(a, n - 2)\n    return f(y_pred, 60)',
    'nested': 'return ' + '(' * 60 + 'y_pred' + '+ 1)' * 60,
    'indices': 'return y_pred' + '[None]' * 200,
    'powers': 'x = y_pred\n    for k in range(60):\n        x = x ** x\n    return K.mean(x * y_true)',
    'einsum': 'return K.mean(np.einsum("abcd,efgh->abcdefgh", y_pred, y_true))',
}


@pytest.mark.parametrize('name', [pytest.param(n, marks=pytest.mark.slow) if n == 'wide' else n for n in HOSTILE])
def test_hostile_sources_end(name, tmp_path):
    text = f'{KERAS}import numpy as np\ndef loss(y_true, y_pred):\n    {HOSTILE[name]}\n'
    item = read(tmp_path, text)
    y, p = np.ones((2, 16, 16, 3)), np.full((2, 16, 16, 3), 0.5)
    with must_end():
        try:
            assert np.isscalar(float(np.mean(item.formula(y, p))))
        except NotUnderstood as error:
            assert str(error) and '\n' not in str(error)
        if name in ('calling', 'indices', 'wide'):
            migrate_item(item, Context(**ONE))


def test_nothing_of_the_source_is_run(tmp_path):
    marker = tmp_path / 'marker'
    text = (
        f'{KERAS}class Evil:\n    def __getattr__(self, name):\n        open({str(marker)!r}, "w")\n'
        f'def loss(y_true, y_pred):\n    open({str(marker)!r}, "w")\n    print(y_pred)\n    return K.mean(y_true - y_pred)\n'
    )
    item = read(tmp_path, text)
    assert float(item.formula(np.ones((1, 2, 2, 1)), np.zeros((1, 2, 2, 1)))) == 1.0
    assert not marker.exists()


def test_a_formula_depends_on_the_shapes_that_the_source_asks_for(tmp_path):
    text = (
        'import tensorflow as tf\ndef loss(y_true, y_pred):\n    if y_pred.shape[-1] == 1:\n'
        '        return tf.reduce_mean(y_pred)\n    n = tf.shape(y_pred)[0]\n'
        '    return tf.reduce_sum(y_pred) / tf.cast(n, tf.float32) + len(y_pred.shape)\n'
    )
    formula = read(tmp_path, text).formula
    p = np.arange(24.0).reshape(2, 3, 4, 1)
    assert float(formula(p, p)) == p.mean()
    q = p.reshape(2, 3, 2, 2)
    assert float(formula(q, q)) == q.sum() / 2 + 4


def test_values_that_decide_shapes_are_computed_anew(tmp_path):
    text = (
        'import tensorflow as tf\ndef loss(y_true, y_pred):\n    chosen = tf.boolean_mask(y_pred, y_true > 0)\n'
        '    return tf.reduce_sum(chosen) / tf.cast(tf.size(chosen), tf.float32)\n'
    )
    formula = read(tmp_path, text).formula
    p = np.arange(8.0).reshape(1, 2, 2, 2)
    for least in (1, 3, 6):
        y = (p >= least).astype(float)
        assert float(formula(y, p)) == p[p >= least].mean()


def test_no_framework_is_loaded_by_the_search(tmp_path):
    (tmp_path / 'train.py').write_text(KERAS + DICE + KERAS_USE)
    code = (
        'import sys\nfrom segparity.migrate.reading import read_source\nfrom segparity.migrate.peers import migrate_item\n'
        'output = read_source(sys.argv[1]).outputs[0]\nprint(migrate_item(output.losses[0], output.context).readings[-1].verdict)\n'
        "print(sorted({'torch', 'tensorflow', 'keras', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, '-c', code, tmp_path / 'train.py'], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ['exact', '[]'], done.stderr
