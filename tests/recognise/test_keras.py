"""Losses as they are written for Keras, each in a process of its backend."""

import functools

import pytest

from tests.support.frameworks import need, worker_of

pytestmark = pytest.mark.xdist_group('keras_torch')  # one worker, and each loss is recognised once
MODULE = 'tests.recognise.written_for_keras'
D = dict(from_logits=False, ignore_class=None, classes='all')
CE = {'type': 'WeightedCrossEntropyLoss', 'from_logits': False, 'ignore_class': None}


def dice(smooth=0.5, kind='SoftDiceLoss', **others):
    return {'type': kind, **D, 'smooth': smooth, **others}


def total(*losses, weights):
    return {'type': 'WeightedSumLoss', 'losses': list(losses), 'weights': weights}


@functools.cache
def recognised(name, classes=None, backend='keras_torch'):
    need(backend)
    result, _ = worker_of(backend).call('tests.recognise.calls:recognised', module=MODULE, name=name, classes=classes)
    return result


EXACT = {  # name: (channels, Keras configuration, sign, offset)
    'dice_coef': (1, dice(), -1, 1),
    'dice_coef_loss': (1, dice(), 1, -1),
    'dice_per_image': (1, dice(5e-4, granularity='I'), 1, 0),
    'dice_per_image_and_class': (3, dice(granularity='I'), 1, 0),
    'squared_dice': (1, dice(5e-7, norm=2), 1, 0),
    'jaccard_distance_100': (1, dice(100.0, 'SoftJaccardLoss', loss_weight=100.0), 1, 0),
    'bce_dice_loss': (1, total(dice(), CE, weights=[1.0, 1.0]), 1, 0),
    'half_bce_less_dice': (1, total(dice(), CE, weights=[1.0, 0.5]), 1, -1),
    'tversky': (1, dice(1.0, 'SoftTverskyLoss'), -1, 1),
    'focal_tversky': (1, dice(1.0, 'FocalTverskyLoss'), 1, 0),
    'weighted_ce': (3, {**CE, 'class_weight': [0.5, 1.0, 3.0]}, 1, 0),
    'weighted_dice': (3, dice(5e-6, class_weight=[0.5, 1.0, 3.0]), 1, -0.5),
    'unnamed': (1, total(dice(), CE, weights=[1.0, 1.0]), 1, 0),
    'MyDice': (1, dice(1.0), 1, 0),
    'built_in': (1, dice(0.0), 1, 0),
}


SLOW = (
    'half_bce_less_dice',
    'focal_tversky',
    'dice_per_image',
    'softmax_dice',
    'jaccard_distance',
    'unnamed',
    'tversky',
    'bce_dice_loss',
)


def by_speed(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


@pytest.mark.parametrize('name', by_speed(EXACT))
def test_equal_to_one_of_ours(name):
    channels, config, sign, offset = EXACT[name]
    found = recognised(name, channels)
    best = found['answers'][0]
    assert found['equal'] and best['verdict'] == 'equal' and found['framework'] == 'Keras on PyTorch', found['lines']
    assert best['sign'] == sign and best['offset'] == pytest.approx(offset, abs=1e-5)
    got = best['keras']
    assert set(got) == set(config) and all(
        got[k] == pytest.approx(v) if isinstance(v, float) else got[k] == v for k, v in config.items()
    ), got
    first = 'prediction, labels' if name == 'unnamed' else 'labels, prediction'
    assert best['called']['arguments'].startswith(first)


@pytest.mark.slow
def test_all_classes_in_one_sum_are_pooled():
    found = recognised('softmax_dice', 3)
    best = found['answers'][0]
    assert best['verdict'] == 'equal' and best['keras'] == dice(from_logits=True, pooled=True), found['lines']
    assert 'FP = FN' in ' '.join(found['wrong'])


def test_the_logarithm_of_dice_on_hard_labels():
    best = recognised('log_dice', 1)['answers'][0]
    assert best['verdict'] == 'equal on hard labels' and best['keras'] == dice(kind='DiceSemimetricLoss', log_loss=True)


def test_class_ids_and_logits():
    best = recognised('sparse', 3)['answers'][0]
    assert best['verdict'] == 'equal' and best['keras']['from_logits'] is True
    assert best['called']['labels'].startswith('class ids')


def test_an_epsilon_below_the_line_is_said():
    assert any('its value is 1, with ours 0' in note for note in recognised('built_in', 1)['answers'][0]['notes'])


DIFFERENT = {  # name: (channels, part of a reason, part of what is likely wrong)
    'jaccard_distance': (3, 'ratio in each pixel', 'axis=-1'),
    'mean_dice': (1, 'grows with the size of the picture', 'divides means, not sums'),
    'doubled_smooth': (1, 'smooth differs above', '(2 * n + 1) / (d + 1) is meant'),
}


@pytest.mark.parametrize('name', by_speed(DIFFERENT))
def test_none_of_ours_and_why(name):
    channels, reason, sentence = DIFFERENT[name]
    found = recognised(name, channels)
    assert not found['equal'] and any(reason in r for r in found['answers'][0]['reasons']), found['lines']
    assert sentence in ' '.join(found['wrong'])


def test_a_score_returned_as_a_loss():
    assert 'score returned as a loss' in recognised('dice_score_as_loss', 1)['wrong'][0]
    assert not any('score returned' in sentence for sentence in recognised('dice_coef', 1)['wrong'])


def test_the_prediction_first_in_keras():
    assert 'Keras hands over the labels first' in ' '.join(recognised('unnamed', 1)['wrong'])


@pytest.mark.slow
@pytest.mark.parametrize(('backend', 'words'), [('keras_jax', 'JAX'), ('keras_tensorflow', 'TensorFlow')])
def test_other_backends(backend, words):
    found = recognised('dice_coef_loss', 1, backend)
    best = found['answers'][0]
    assert found['framework'] == f'Keras on {words}' and best['verdict'] == 'equal', found['lines']
    assert best['keras'] == dice() and best['difference']['gradient'] < 1e-5
