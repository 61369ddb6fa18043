"""Saved outputs of two models: every way in which they may differ, planted one at a time, is found and named."""

import json
import re

import numpy as np
import pytest

from segparity.cli import main
from segparity.parity.models import compare_models, geometry
from segparity.parity.models.counts import near_borders
from segparity.parity.models.labels import count_pairs, in_words
from segparity.parity.models.order import matched
from segparity.parity.models.reading import open_pair
from segparity.parity.models.words import sentences
from shared_spec import LOSSES

N, C, H, W, F = 3, 5, 48, 64, 4
RNG = np.random.default_rng(0)
LOW = RNG.normal(size=(N, C, H // F, W // F)) * 3
UP = {name: np.stack([geometry.resized(x, (H, W), name) for x in LOW]) for name in geometry.RESIZES}
A = UP['half pixel centres']
LABELS = (A + RNG.normal(size=A.shape) * 0.3).argmax(1).astype(np.uint8)
ORDER = [2, 0, 1, 4, 3]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.fixture
def found(tmp_path):
    def compare(one, two, losses=None, **options):
        for name, arrays in (('a', one), ('b', two)):
            np.savez(tmp_path / f'{name}.npz', **arrays)
        a, b, factor = open_pair(tmp_path / 'a.npz', tmp_path / 'b.npz', **options)
        return compare_models(a, b, factor, losses)

    return compare


ONE = dict(logits=A, labels=LABELS, ignore_index=255)


def beside(**changes):
    """The other file."""
    return {name: value for name, value in {**ONE, **changes}.items() if value is not None}


def test_the_same_in_another_layout_and_precision(found):
    both = found(ONE, beside(logits=np.moveaxis(A, 1, -1).astype('f4')))
    assert both.ok and (both.a.layout, both.b.layout) == ('first', 'last')
    assert sentences(both)[0].startswith('outputs and labels are the same in both')
    assert both.counts.pixels == both.counts.agreeing == N * H * W and both.counts.largest < 1e-6
    assert not both.motion.moved


CASES = {
    'align_corners': (dict(logits=UP['align_corners']), 'a resize by 4 with align_corners=True in b and False in the other'),
    'legacy': (dict(logits=UP['no half pixel centres']), 'that is a resize by 4 with and without half pixel centres'),
    'nearest': (dict(logits=UP['nearest']), 'b is constant in blocks of 4x4: it was resized by nearest'),
    'one_pixel': (dict(logits=np.roll(A, (1, 1), (2, 3))), 'b is a moved by +1.00 rows and +1.00 columns (down and to the right); whole pixels'),
    'softmax': (dict(logits=softmax(A)), 'b has a softmax applied and the other does not'),
    'scaled': (dict(logits=2 * A + 0.5), 'logits of b are about 2 times those of a, plus 0.5'),
    'log_softmax': (dict(logits=np.log(softmax(A))), 'logits differ by a constant in each pixel'),
    'order': (dict(logits=A[:, np.argsort(ORDER)]), '0 of a is 2 of b, 1 of a is 0 of b, 2 of a is 1 of b, 3 of a is 4 of b'),
    'noise': (dict(logits=A + RNG.normal(size=A.shape) * 0.5), 'lie within 2 pixels of a border between classes'),
    'quarter': (dict(logits=LOW), 'a is b resized bilinearly with half pixel centres'),
    'no_relation': (dict(logits=RNG.normal(size=LOW.shape)), 'no resize of b makes a'),
    'reduce_zero_label': (dict(labels=LABELS - 1), 'b is a with reduce_zero_label=True (0 became 255'),
    'ignored': (dict(ignore_index=0), 'a ignores the label 255, b the label 0'),
    'nothing_ignored': (dict(ignore_index=None), 'a ignores the label 255, b no label'),
    'temperature': (dict(logits=2 * A), 'logits of b are about 2 times those of a: a temperature or a scale'),
    'one_less': (dict(labels=LABELS.astype(int) - 1), 'every id of b is 1 less than that of a (0 of a is -1 of b)'),
    'ids': (dict(logits=None, ids=np.roll(A.argmax(1), 1, 1)), 'b agrees most with a moved by +1 rows and +0 columns (down)'),
    'nan': (dict(logits=np.where(np.arange(A.size).reshape(A.shape) == 77, np.nan, A)), 'b has one number that is NaN'),
    'one_class': (dict(logits=A + 2 * (np.arange(C) == 3)[:, None, None]), 'class 3 is on average'),
}  # fmt: skip


@pytest.mark.parametrize('name', list(CASES))
def test_a_difference_that_was_planted_is_named(name, found):
    changes, words = CASES[name]
    both = found(ONE, beside(**changes))
    said = sentences(both)
    assert not both.ok and any(words in text for text in said), said
    assert all('\n' not in text for text in said)
    expected = {
        'softmax': 'what the outputs are',
        'log_softmax': 'what the outputs are',
        **dict.fromkeys(('reduce_zero_label', 'ignored', 'nothing_ignored', 'one_less'), 'the labels'),
    }
    assert said[0].startswith(expected.get(name, 'the outputs of the models')), said[0]
    geometric = ('align_corners', 'legacy', 'one_pixel')
    assert bool(both.motion and both.motion.moved) == (name in geometric)
    assert (both.order != list(range(C))) == (name == 'order')


def test_each_image_is_told_and_the_one_that_differs_is_first(found):
    z = A.copy()
    z[1] = np.roll(z[1], 7, 1)
    both = found(beside(names=np.array(['x', 'y', 'z'])), beside(logits=z))
    assert [image['image'] for image in both.counts.images] == ['x', 'y', 'z']
    assert [image['agreement'] == 1 for image in both.counts.images] == [True, False, True]
    assert any(text.startswith('images that agree least: y (') for text in sentences(both))


def test_classes_in_another_order_with_labels_in_theirs(found):
    """Each model is measured against its own labels, b's brought to the ids of a."""
    back = np.argsort(ORDER)
    both = found(ONE, beside(logits=A[:, back], labels=np.array(ORDER)[LABELS]))
    assert both.metrics[0]['mIoUD'] == pytest.approx(both.metrics[1]['mIoUD'])
    assert both.counts.agreeing == both.counts.pixels and not both.same_labels
    assert any('ids are permuted' in text for text in sentences(both))


WEIGHTED = LOSSES['WeightedCrossEntropyLoss'](class_weight=[1, 2, 3, 4, 5])
BACK = np.argsort(ORDER)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (dict(logits=A[:, BACK]), 'what follows has those of b in the order of a, losses and metrics too'),
        (dict(logits=A[:, BACK], labels=None), 'the labels are those of a alone'),
        (dict(logits=A[:, BACK], labels=np.array(ORDER)[LABELS]), 'ids are permuted'),
        (dict(labels=LABELS - 1), 'losses and metrics of b are of its labels brought to the ids of a'),
        (dict(labels=LABELS.astype(int) - 1), 'losses and metrics of b are of its labels brought to the ids of a'),
        (dict(labels=LABELS + 1), 'losses and metrics of b are of its labels brought to the ids of a'),
    ],
)
def test_losses_and_metrics_of_b_are_of_the_classes_of_a(changes, words, found):
    both = found(ONE, beside(**changes), dict(weighted=WEIGHTED))
    assert both.losses['weighted'][0] == pytest.approx(both.losses['weighted'][1])
    assert both.metrics[0] == pytest.approx(both.metrics[1]) and both.per_class[0] == pytest.approx(both.per_class[1])
    assert any(words in text for text in sentences(both)), sentences(both)


def test_labels_of_b_alone_are_in_its_order(found):
    both = found(
        beside(labels=None), beside(logits=A[:, BACK], labels=np.array(ORDER)[LABELS]), dict(weighted=WEIGHTED)
    )
    one = found(ONE, ONE, dict(weighted=WEIGHTED))
    assert both.losses['weighted'] == pytest.approx(one.losses['weighted']) and both.metrics[0] == one.metrics[0]
    assert any('alone, taken to be in the order of its own classes' in text for text in sentences(both))


def test_labels_that_are_not_recognised_stay_as_they_are(found):
    labels = np.random.default_rng(5).integers(C, size=LABELS.shape)
    both = found(ONE, beside(labels=labels), dict(weighted=WEIGHTED))
    want = np.mean([WEIGHTED.reference(A[k : k + 1], labels[k : k + 1]) for k in range(N)])
    assert both.losses['weighted'][1] == pytest.approx(want)
    assert any('losses and metrics of b are of its own labels as they are' in text for text in sentences(both))


def test_losses_are_those_of_the_reference_by_image(found):
    losses = {name: LOSSES[name]() for name in ('SoftDiceLoss', 'LovaszHingeLoss')}
    both = found(ONE, beside(logits=softmax(2 * A)), losses)
    spec = LOSSES['SoftDiceLoss'](ignore_index=255)
    want = [np.mean([spec.reference(z[k : k + 1], LABELS[k : k + 1]) for k in range(N)]) for z in (A, 2 * A)]
    assert both.losses['SoftDiceLoss'] == pytest.approx(tuple(want))
    assert 'LovaszHingeLoss: ' in both.losses['LovaszHingeLoss']


def test_a_framework_s_own_loss_is_told_from_the_reference(found):
    losses = {'SoftDiceLoss': LOSSES['SoftDiceLoss']()}
    right = LOSSES['SoftDiceLoss'](ignore_index=255).reference(A, LABELS)
    both = found(beside(loss=right), beside(loss=right + 1e-3), losses)
    said = sentences(both)
    assert said[0] == 'the losses (b) differ'
    assert any(text.startswith('a says that its loss is') and 'which is that of SoftDiceLoss' in text for text in said)
    assert any(
        text.startswith('b says that its loss is') and 'which is not that of SoftDiceLoss' in text for text in said
    )


def test_probabilities_of_one_channel_and_no_labels(found):
    z = A[:, :1]
    one, two = dict(logits=z), dict(probabilities=1 / (1 + np.exp(-z)))
    both = found(one, two, layout_a='NCHW', layout_b='NCHW')
    assert (both.a.kind, both.b.kind, both.activation) == ('logits', 'sigmoid', 'sigmoid') and both.same_outputs
    assert any('b has a sigmoid applied' in text for text in sentences(both))
    assert any('neither file has labels' in text for text in sentences(both)) and both.metrics is None
    assert any('the labels are those of a alone' in text for text in sentences(found(ONE, beside(labels=None))))


@pytest.mark.parametrize(
    ('two', 'words'),
    [
        (dict(logits=A[:2]), 'has 3 images and'),
        (dict(logits=A[:, :4]), 'expected as many images and classes'),
        (dict(logits=A[..., :30]), 'expected as many images and classes'),
        (dict(other=A), 'must have an array logits or pred or probabilities or prob or ids for the outputs'),
        (dict(logits=A[0]), 'must be floating point (N, C, H, W)'),
        (dict(logits=A, labels=A), 'labels must be class ids (N, H, W)'),
        (dict(logits=A, names=np.array(['z', 'x', 'y'])), "the same images in another order: image 0 is 'z'"),
        (dict(logits=A, names=np.array(['x', 'y', 'w'])), "other images: image 2 is 'w'"),
        (dict(logits=A, names=np.array(['x'])), 'names has 1 entries for 3 images'),
        (dict(logits=A, loss=np.zeros(2)), 'loss must be one number'),
        (dict(ids=np.full((N, H, W), 70000)), 'class ids up to 70000'),
        (dict(logits=A, labels=LABELS[:, :7]), 'have no whole factor'),
    ],
)
def test_refused_in_one_sentence(two, words, found):
    one = beside(names=np.array(['x', 'y', 'z'])) if 'ids' not in two else dict(ids=LABELS)
    with pytest.raises(ValueError) as caught:
        found(one, two)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_a_layout_that_may_be_either_is_asked_for(found):
    z = RNG.normal(size=(2, 8, 8, 8))
    with pytest.raises(ValueError, match='--layout NCHW or NHWC says it'):
        found(dict(logits=z), dict(logits=z))
    both = found(dict(logits=z), dict(logits=np.moveaxis(z, 1, -1)), layout_a='NCHW', layout_b='NHWC')
    assert both.same_outputs


@pytest.mark.parametrize(
    ('to', 'words'),
    [
        ({0: 0, 1: 1, 2: 2}, None),
        ({0: 0, 1: 255}, 'a has masks of 0 and 1, b of 0 and 255'),
        ({0: 0, 255: 1}, 'b has masks of 0 and 1, a of 0 and 255'),
        ({0: 255, 1: 0, 2: 1}, 'b is a with reduce_zero_label=True'),
        ({255: 0, 0: 1, 1: 2}, 'a is b with reduce_zero_label=True'),
        ({0: 1, 1: 2, 2: 3}, 'every id of b is 1 more than that of a'),
        ({3: 1, 4: 2}, 'every id of b is 2 less'),
        ({0: 1, 1: 2, 255: -1}, 'every id of b is 1 more than that of a (255 of a is -1 of b)'),
        ({0: -1, 1: 0, 2: 1}, 'every id of b is 1 less than that of a (0 of a is -1 of b)'),
        ({0: -1, 1: 0, 2: 1, 255: 255}, 'every id of b is 1 less than that of a (0 of a is -1 of b)'),
        ({0: 65535, 1: 0, 2: 1}, 'every id of b is 1 less than that of a (0 of a is 65535 of b)'),
        ({0: 1, 1: 2, 2: 0}, 'every id of b is 1 more than that of a (2 of a is 0 of b)'),
        ({0: 0, 1: 1, 255: -1}, 'the ignored label differs: 255 of a is -1 of b'),
        ({0: 1, 1: 0, 2: 2}, 'ids are permuted: 0 of a is 1 of b, 1 of a is 0 of b'),
        ({0: 0, 1: 7, 2: 3}, 'ids are renamed: 1 of a is 7 of b, 2 of a is 3 of b'),
        ({0: 0, 1: 0, 2: 2}, 'several ids of a are one of b: 0'),
    ],
)
def test_how_labels_are_encoded(to, words):
    from collections import Counter

    ids = np.repeat(sorted(to), 50)
    pairs = Counter()
    count_pairs(ids, np.array([to[k] for k in ids.tolist()]), pairs)
    said = in_words(pairs)
    assert (said == []) if words is None else any(words in text for text in said), said
    if words and 'several' not in words:
        pairs[min(to), 99] = 3
        said = in_words(pairs)
        assert words in said[0] and said[1].startswith('beyond that they differ in')


def test_labels_that_no_renaming_explains():
    from collections import Counter

    pairs = Counter()
    count_pairs(RNG.integers(4, size=1000), RNG.integers(4, size=1000), pairs)
    assert 'no renaming of ids explains it' in in_words(pairs)[0]


@pytest.mark.parametrize(
    ('dy', 'dx', 'ey', 'ex'), [(0.5, 0.5, 0, 0), (0, -0.25, 0, 0), (2.0, 0, 0, 0), (0, 0, 1.5, 1.5), (0.5, 0, -0.5, 0)]
)
def test_shift_and_stretch_are_found_to_a_hundredth_of_a_pixel(dy, dx, ey, ex):
    """Of a sum of waves that are known between pixels too."""
    waves = np.random.default_rng(3).uniform(-0.25, 0.25, (3, 2))

    def maps(rows, columns):
        return np.stack([np.sin(p * rows[:, None] + q * columns[None] + k) for k, (p, q) in enumerate(waves)])

    rows, columns = np.arange(80.0), np.arange(70.0)
    t, s = np.linspace(-1, 1, 80), np.linspace(-1, 1, 70)
    a = maps(rows, columns)
    b = 3 * maps(rows + dy + ey * t, columns + dx + ex * s) - 2
    found = geometry.motion(lambda: [(a, b)])
    got = [found.dy, found.dx, found.ey, found.ex, found.factor, found.offset]
    assert np.allclose(got, [-dy, -dx, -ey, -ex, 3, -2], atol=0.03), found  # b is read from there: content goes back
    assert found.explained > 0.95 and found.moved


@pytest.mark.parametrize(
    ('move', 'words'),
    [
        (lambda z: np.roll(z, 2, 3), '0.00 rows and +2.00 columns (to the right)'),
        (lambda z: np.roll(z, -1, 2), '-1.00 rows and 0.00 columns (up)'),
        (lambda z: (z + np.roll(z, 1, 3)) / 2, '0.00 rows and +0.50 columns (to the right)'),
    ],
)
def test_a_shift_is_said_as_content_goes(move, words, found):
    said = sentences(found(ONE, beside(logits=move(A))))
    assert any(f'b is a moved by {words}' in re.sub(r'[+-]?0[.]0[0-9]', '0.00', text) for text in said), said


def test_no_motion_where_there_is_none_or_nothing_is_known():
    a = RNG.normal(size=(2, 30, 30))
    for b in (a, 2 * a, np.zeros_like(a), RNG.normal(size=a.shape)):
        assert not geometry.motion(lambda b=b: [(a, b)]).moved
    assert not geometry.motion(lambda: [(np.full((1, 20, 20), np.nan), a[:1, :20, :20])]).moved


def test_pieces():
    ids = np.zeros((9, 9), int)
    ids[4, 4] = 1
    want = np.zeros((9, 9), bool)
    want[3:6, 3:6] = True
    want[4, 2] = want[4, 6] = want[2, 4] = want[6, 4] = True
    near = near_borders(ids)
    assert near[want].all() and not near[[0, 8, 0, 8], [0, 8, 8, 0]].any() and not near_borders(0 * ids).any()
    assert near.sum() == 21  # the cross of 5 pixels, widened by one to all sides
    assert matched(np.array([[0.9, 0.1], [0.95, 0.2]])) == [1, 0]
    assert geometry.blocks(np.arange(16.0).reshape(1, 4, 4)) == 1
    assert geometry.blocks(np.arange(16.0).reshape(1, 4, 4).repeat(2, 1).repeat(2, 2)) == 2


def test_the_command_and_its_json(tmp_path, capsys):
    paths = [str(tmp_path / f'{name}.npz') for name in 'ab']
    np.savez(paths[0], **ONE)
    np.savez(paths[1], **beside(logits=UP['align_corners']))
    words = ['check', '--model-a', paths[0], '--model-b', paths[1]]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert 'align_corners=True in b' in out and 'JaccardMetricLoss' in out and 'mIoUD' in out and 'of 3, images' in err
    assert main([*words, 'SoftDiceLoss', '--json']) == 1
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        'segparity', 'command', 'ok', 'same_outputs', 'same_labels', 'a', 'b', 'factor', 'class_order', 'not_numbers',
        'pixels', 'agreement', 'agreement_near_borders', 'agreement_inside', 'probability_difference', 'logit_difference',
        'motion', 'resize', 'shift_of_ids', 'classes', 'images', 'label_pairs', 'losses', 'losses_of_batch', 'metrics',
        'sentences',
    ]  # fmt: skip
    assert found['ok'] is False and found['same_labels'] is True and set(found['losses']) == {'SoftDiceLoss'}
    assert found['motion']['rows_at_border'] == pytest.approx(1.5, abs=0.1) and len(found['images']) == N
    assert found['agreement_inside'] > found['agreement_near_borders']
    assert main(['check', '--model-a', paths[0], '--model-b', paths[0]]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--model-a', 'x.npz'], '--model-a and --model-b are given together'),
        (['--model-a', 'x.npz', '--model-b', 'y.npz'], 'x.npz: No such file'),
        (['--model-a', 'x.npz', '--model-b', 'y.npz', '--data', 'z.npz'], '--data does not go with --model-a'),
        (['--layout-b', 'NCHW'], '--layout-b is of --model-b'),
        (['--model-a', 'x.npz', '--model-b', 'y.npz', 'FineGrained'], 'unknown loss'),
    ],
)
def test_wrong_words(words, said, capsys):
    for more in ([], ['--json']):
        assert main(['check', *words, *more]) == 2
        out, err = capsys.readouterr()
        assert said in err and not out
