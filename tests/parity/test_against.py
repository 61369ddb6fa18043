"""A loss of ours against a user's function: how it is called is found, and what differs is said in words."""

import dataclasses
import json

import numpy as np
import pytest

from segparity.cli import main
from segparity.parity.against import compare, opponent
from segparity.parity.against.inputs import FACTS, built_in, channels_for, of_data
from segparity.parity.against.variants import equal_variant, variants
from segparity.parity.against.words import sentences
from segparity.parity.cases import Case
from shared_spec import LOSSES

OWN = 'tests.parity.own_losses'
DICE = LOSSES['SoftDiceLoss'](smooth=0.5, classes='all')
FLOAT = dict(atol=1e-12)


def against(function, spec=DICE, channels=4, module=OWN):
    return compare(type(spec).__name__, spec, opponent(f'{module}:{function}'), built_in(spec, channels))


@pytest.mark.parametrize('function', ['dice_loss', 'Dice', 'noisy', 'of_class_ids'])
def test_an_equal_one_in_whatever_form(function, capsys):
    found = against(function)
    assert found.ok and sentences(found)[1].startswith('It equals SoftDiceLoss in ')
    ids = function == 'of_class_ids'
    assert ('predictions, labels' in found.convention) == ids and ('class ids' in found.convention) == ids
    assert ('logits' in found.convention) == ids and ('(N, C, *space)' in found.convention) == ids
    assert set(found.not_taken) == ({'soft_label'} if ids else set())
    assert {m.case_name for m in found.meetings} == set(FACTS) - set(found.not_taken) - {'ignored_border'}
    assert capsys.readouterr().out == ''


def test_one_channel_with_and_without_its_axis():
    for function, layout in (('squeezed', '(N, *space),'), ('of_one_channel', 'space')):
        found = against(function, channels=1)
        assert found.ok and layout in found.convention, found
    assert against('of_one_channel', channels=4).refused.startswith(
        f'{OWN}:of_one_channel cannot be called on labels and'
    )
    assert not against('of_one_channel', channels=4).ok


@pytest.mark.parametrize(
    ('function', 'words'),
    [
        ('dice_of_images', "It is SoftDiceLoss with granularity='I', in place of granularity='D'"),
        ('dice_coef', 'It is 1 less SoftDiceLoss'),
        ('minus_dice', 'It is SoftDiceLoss less the constant 1: training is the same'),
        ('tripled', 'It is 3 times SoftDiceLoss: loss_weight=3 times ours makes them equal'),
        ('unlike_dice', 'They differ with several images, with one image,'),
        (
            'nan_where_absent',
            'It is NaN where a class is missing in all images and where an object is one pixel, where ours is 0.79',
        ),
        ('any_arguments', 'cannot be called on labels and predictions (TypeError: any_arguments takes one argument'),
    ],
)
def test_the_difference_in_words(function, words):
    found = against(function)
    said = sentences(found)
    assert not found.ok and any(words in text for text in said), said
    assert any('that is a score' in text for text in said) == (function == 'dice_coef')


def test_the_nearest_parameters_are_found_for_one_and_for_two_changes():
    other = LOSSES['SoftTverskyLoss'](alpha=0.7, beta=0.3, granularity='I')
    given = list(built_in(LOSSES['SoftTverskyLoss'](), 3))

    class Ours:
        name = 'ours'

        def __init__(self, spec):
            self.spec = spec

        def fit(self, cases, softmax, ours):
            return 'called'

        def on(self, case):
            return self.spec.reference(case.pred, case.target), None

    found = compare('SoftTverskyLoss', LOSSES['SoftTverskyLoss'](), Ours(other), given)
    assert equal_variant(found.spec, found.meetings) == ({'granularity': 'I', 'alpha': 0.7, 'beta': 0.3}, 1.0, 0.0)
    assert compare('SoftTverskyLoss', other, Ours(other), given).ok
    assert all(spec != other for change, spec in variants(other, 3))
    far = compare('SoftDiceLoss', DICE, Ours(LOSSES['RobustTLoss']()), given)
    assert equal_variant(far.spec, far.meetings) is None


def test_gradients_of_pytorch(tmp_path, monkeypatch):
    pytest.importorskip('torch', reason='needs PyTorch')
    (tmp_path / 'of_torch.py').write_text(
        'import torch\n'
        'def dice(logits, target):\n'
        '    p, y = logits.softmax(1), torch.nn.functional.one_hot(target, logits.shape[1]).movedim(-1, 1)\n'
        '    return 1 - (((p * y).sum((0, 2, 3)) + 0.5) / ((p + y).sum((0, 2, 3)) / 2 + 0.5)).mean()\n'
        'def of_probabilities(y_true, y_pred):\n'
        '    return 1 - (((y_pred * y_true).sum((0, 2, 3)) + 0.5) / ((y_pred + y_true).sum((0, 2, 3)) / 2 + 0.5)).mean()\n'
        'def in_float32(logits, target):\n'
        '    if logits.dtype != torch.float32: raise TypeError("float32 is wanted")\n'
        '    return dice(logits, target)\n'
        'def half_a_gradient(logits, target):\n'
        '    return (dice(logits, target) + dice(logits, target).detach()) / 2\n'
        'def rounded(y_true, y_pred):\n'
        '    p = (y_pred >= y_pred.max(1, keepdim=True).values).to(y_pred.dtype)\n'
        '    return of_probabilities(y_true, p)\n'
    )
    monkeypatch.chdir(tmp_path)
    for function in ('dice', 'of_probabilities', 'in_float32'):
        found = against(function, module='of_torch')
        known = [m.gradient_difference for m in found.meetings if m.gradient_difference is not None]
        assert (
            found.ok
            and len(known) == len(found.meetings)
            and max(known) < (1e-5 if function == 'in_float32' else 1e-10)
        ), found.convention
    found = against('half_a_gradient', module='of_torch')
    assert not found.ok and any(text.startswith('Values are equal, gradients are not: ') for text in sentences(found))
    found = against('rounded', module='of_torch')
    assert not found.ok and any('no gradient reaches the prediction' in text.lower() for text in sentences(found))


def test_data_are_compared_as_a_whole_and_by_image():
    rng = np.random.default_rng(0)
    case = Case(rng.normal(size=(3, 4, 5, 6)), rng.integers(4, size=(3, 5, 6)), weight=np.ones(3))
    given = dict(of_data(case))
    assert list(given) == ['your data', 'image 0', 'image 1', 'image 2']
    assert np.array_equal(given['image 1'].pred, case.pred[1:2]) and given['image 1'].weight.shape == (1,)
    weighted = compare('SoftDiceLoss', DICE, opponent(f'{OWN}:dice_loss'), of_data(case))
    assert not weighted.ok and weighted.refused.endswith('leave the weights out of the data')
    case = dataclasses.replace(case, weight=None)
    found = compare('SoftDiceLoss', DICE, opponent(f'{OWN}:dice_of_images'), of_data(case))
    assert [m.ok for m in found.meetings] == [False, True, True, True]
    assert compare('SoftDiceLoss', DICE, opponent(f'{OWN}:dice_loss'), of_data(case)).ok


def test_built_in_cases_are_what_they_are_called():
    for channels in (1, 2, 5):
        given = dict(built_in(LOSSES['SoftDiceLoss'](ignore_index=255), channels))
        assert set(given) == set(FACTS)
        top = max(channels, 2) - 1
        classes = {
            name: [set(np.unique(y)) - {255} for y in c.target] for name, c in given.items() if c.labels == 'hard'
        }
        every = set(range(top + 1))
        assert all(found == every for name in ('hard_label', 'one_image') for found in classes[name])
        assert [top in found for found in classes['absent_in_one_image']] == [True, False, True]
        assert not any(top in found for found in classes['absent_class'])
        assert (given['single_pixel'].target == top).sum() == 1 and len(given['one_image'].pred) == 1
        assert (given['ignored_border'].target == 255).any()
        assert DICE.reference(given['nearly_perfect'].pred, given['nearly_perfect'].target) < 0.02
        assert DICE.reference(given['disjoint'].pred, given['disjoint'].target) > 0.9
    assert 'soft_label' not in dict(built_in(LOSSES['LovaszSoftmaxLoss'](), 3))
    assert channels_for(DICE, None) == [4, 1] and channels_for(DICE, 3) == [3]
    assert channels_for(LOSSES['SoftDiceLoss'](class_weight=[1.0] * 6), None) == [6]
    assert channels_for(LOSSES['LovaszHingeLoss'](), None) == [1]


CONFIG = json.dumps(dict(type='SoftDiceLoss', smooth=0.5, classes='all'))


def test_the_command_says_it_and_its_json_has_the_same(capsys):
    assert main(['check', '--config', CONFIG, '--against', f'{OWN}:dice_loss', '--channels', '3']) == 0
    assert 'It equals SoftDiceLoss in 9 cases' in capsys.readouterr().out
    assert main(['check', '--config', CONFIG, '--against', f'{OWN}:dice_coef', '--channels', '3', '--json']) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found['command'], found['ok'], found['against']) == ('check --against', False, f'{OWN}:dice_coef')
    (one,) = found['comparisons']
    assert list(one) == [
        'name', 'configuration', 'channels', 'ok', 'convention', 'refused', 'not_compared', 'cases', 'sentences'
    ]  # fmt: skip
    assert one['configuration'] == DICE.to_dict() and 'It is 1 less SoftDiceLoss' in one['sentences']
    assert list(one['cases'][0]) == ['case', 'ours', 'theirs', 'value_error', 'gradient_error', 'ok', 'error']
    assert main(['check', 'SoftDiceLoss', '--against', f'{OWN}:of_one_channel', '--json']) == 1
    assert [one['channels'] for one in json.loads(capsys.readouterr().out)['comparisons']] == [1]


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ([], '--against compares a loss that is named or given by --config'),
        (['SoftDise'], "did you mean 'SoftDiceLoss'"),
        (['FineGrained'], 'unknown loss'),
        (['SoftDiceLoss', '--framework', 'torch'], '--framework does not go with --against'),
        (['SoftDiceLoss', '--way', 'plain'], '--way does not go with --against'),
    ],
)
def test_wrong_words_are_one_sentence(words, said, capsys):
    assert main(['check', *words, '--against', f'{OWN}:dice_loss']) == 2
    assert said in capsys.readouterr().err
    assert main(['check', 'SoftDiceLoss', '--channels', '3']) == 2
    assert '--channels is of the built-in cases' in capsys.readouterr().err
