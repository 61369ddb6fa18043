"""Losses as they are written for PyTorch: what each equals was worked out by hand from its formula."""

import subprocess
import sys
import time

import pytest

from shared_spec import LOSSES

torch = pytest.importorskip('torch')

from segparity import recognise
from segparity.cli import main
from segparity.recognise import calls, clock, recognition
from segparity.recognise.calls import Caller
from segparity.recognise.recognition import conventions
from segparity.recognise.report import as_json, lines
from tests.recognise import written_for_torch as written


def dice(smooth=0.5, **others):
    return LOSSES['SoftDiceLoss'](from_logits=False, classes='all', smooth=smooth, **others)


def total(*losses, **others):
    return LOSSES['WeightedSumLoss'](losses=losses, **others)


CE = LOSSES['WeightedCrossEntropyLoss'](from_logits=False)
EXACT = {  # name: (channels, spec, offset)
    'dice_loss': (1, dice(), 0),
    'DiceLoss': (3, dice(5e-7, granularity='I', activation='sigmoid'), 0),
    'SquaredDice': (1, dice(norm=2), 0),
    'iou_loss': (1, LOSSES['SoftJaccardLoss'](from_logits=False, classes='all', smooth=1e-6), 0),
    'bce_dice': (1, total(dice(), CE), 0),
    'half_bce_less_dice': (1, total(dice(5e-6), CE, weights=[1, 0.5]), -1),
    'multiclass_dice': (3, dice(), 0),
    'dice_without_background': (3, LOSSES['SoftDiceLoss'](from_logits=False, classes=[1, 2], smooth=1), 0),
    'summed_dice_without_background': (
        3, LOSSES['SoftDiceLoss'](from_logits=False, classes=[1, 2], smooth=0.5, loss_weight=2), 0
    ),
    'monai_like': (3, dice(5e-6, granularity='I'), 0),
    'Tversky': (1, LOSSES['SoftTverskyLoss'](from_logits=False, classes='all', smooth=1, alpha=0.3, beta=0.7), 0),
    'FocalTversky': (
        1, LOSSES['FocalTverskyLoss'](from_logits=False, classes='all', smooth=1, alpha=0.3, beta=0.7, gamma=4 / 3), 0
    ),
    'weighted_ce': (3, LOSSES['WeightedCrossEntropyLoss'](from_logits=False, class_weight=[0.5, 1, 2.5]), 0),
    'four_classes': (4, LOSSES['WeightedCrossEntropyLoss'](from_logits=False, class_weight=[0.5, 1, 2.5, 4]), 0),
    'smoothed_ce': (3, LOSSES['WeightedCrossEntropyLoss'](from_logits=False, label_smoothing=0.1), 0),
    'ce_dice': (3, total(dice(), CE, weights=[0.6, 0.4]), 0),
    'log_cosh_dice': (1, LOSSES['LogCoshDiceLoss'](from_logits=False, classes='all', smooth=0.5), 0),
    'per_image': (1, dice(granularity='I'), 0),
    'make_loss': (1, dice(1.0), 0),
}  # fmt: skip


def same(spec, wanted):
    """Equal up to rounding of the numbers in their configurations."""
    if isinstance(wanted, dict):
        return set(spec) == set(wanted) and all(same(spec[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(spec) == len(wanted) and all(same(a, b) for a, b in zip(spec, wanted))
    return spec == pytest.approx(wanted, rel=1e-6) if isinstance(wanted, float) else spec == wanted


SLOW = (
    'DiceLoss',
    'FocalTversky',
    'log_cosh_dice',
    'half_bce_less_dice',
    'monai_like',
    'SquaredDice',
    'focal_tversky_of_the_mean',
    'unactivated',
    'ce_dice',
    'bce_dice',
    'PresentDice',
)


def by_speed(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


@pytest.mark.parametrize('name', by_speed(EXACT))
def test_equal_to_one_of_ours(name):
    channels, spec, offset = EXACT[name]
    found = recognise(getattr(written, name), classes=channels if name != 'four_classes' else None, name=name)
    best = found.answers[0]
    assert found.equal and best.channels == channels and found.framework == 'PyTorch'
    assert best.sign == 1 and best.offset == pytest.approx(offset)
    assert same(best.spec.to_dict(), spec.to_dict()), best.spec
    assert best.difference.gradient < 1e-5 and best.difference.hard < 1e-6
    assert not best.group.convention.labels_first and best.group.convention.takes == 'logits'


@pytest.mark.slow
def test_all_classes_in_one_sum_are_pooled():
    found = recognise(written.dice_loss, classes=3)
    best = found.answers[0]
    assert found.equal and same(best.spec.to_dict(), dice(activation='sigmoid', pooled=True).to_dict()), best.spec
    assert 'all classes are in one sum' in ' '.join(found.wrong)


@pytest.mark.slow
def test_layout_labels_and_activation_are_found():
    def called(name, channels):
        (answer,) = recognise(getattr(written, name), classes=channels).answers
        return answer.group.convention

    assert called('multiclass_dice', 3).form == 'ids' and called('multiclass_dice', 3).layout == 'first'
    convention = called('DiceLoss', 3)
    assert convention.form == 'maps' and convention.activation == 'sigmoid'


DIFFERENT = {  # name: (channels, part of a reason, part of what is likely wrong)
    'PresentDice': (3, 'stays in the mean', ''),
    'focal_tversky_of_the_mean': (3, 'acts on the mean over classes', 'gradient is NaN'),
    'unactivated': (1, 'as if they were probabilities', 'takes logits for probabilities'),
    'thresholded': (1, 'thresholds its prediction', 'No gradient reaches the prediction'),
}


@pytest.mark.parametrize('name', by_speed(DIFFERENT))
def test_none_of_ours_and_why(name):
    channels, reason, sentence = DIFFERENT[name]
    found = recognise(getattr(written, name), classes=channels, name=name)
    assert not found.equal and any(reason in r for r in found.answers[0].reasons)
    assert sentence in ' '.join(found.wrong)


@pytest.mark.slow
def test_what_is_like_nothing_has_a_nearest_with_its_difference():
    found = recognise(written.symmetric_cubic, classes=1)
    best = found.answers[0]
    assert not found.equal and best.spec is not None and 0 < best.difference.typical <= best.difference.largest < 0.1
    assert any('the nearest is' in line for line in lines(found))


def test_what_cannot_be_compared_is_said():
    assert 'random' in recognise(written.random_loss).wrong[0]
    assert 'labels are never used' in recognise(written.forgets_labels, classes=1).wrong[0]
    remarks = ' '.join(recognise(written.in_place, classes=1).remarks)
    assert 'it prints' in remarks and 'changes its inputs' in remarks
    assert 'returns arrays' in ' '.join(recognise(written.per_image, classes=1).remarks)


def test_the_command(capsys, tmp_path):
    place = written.__file__
    assert main(['recognise', f'{place}:bce_dice', '--classes', '1']) == 0
    out = capsys.readouterr().out
    assert 'equals SoftDiceLoss(' in out and 'losses.WeightedSumLoss(' in out and "dict(type='WeightedSumLoss'" in out
    assert main(['recognise', f'{place}:thresholded', '--classes', '1', '--json']) == 1
    import json

    (found,) = json.loads(capsys.readouterr().out)
    assert found['equal'] is False and found['answers'][0]['mmseg']['type'] in LOSSES


WRONG = {
    'no_such': "has no 'no_such'",
    'dice_los': "did you mean 'dice_loss'",
    'number': 'no function but int',
    'needs_a_key': "KeyError: 'mask'",
    'asynchronous': 'async function',
    'three': 'needs 3 arguments',
    'NeedsArguments': 'name an instance',
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_input_is_a_sentence(name, capsys):
    assert main(['recognise', f'{written.__file__}:{name}']) == 2
    out, err = capsys.readouterr()
    assert WRONG[name] in err and err.count('\n') == 1 and not out


def test_interrupts_pass(capsys):
    assert main(['recognise', f'{written.__file__}:interrupts']) == 130


def test_the_lines_to_copy_are_the_function(capsys):
    """The line for each world, run, has the function's value."""
    found = as_json(recognise(written.multiclass_dice, classes=3))['answers'][0]
    from mmseg_plugin import losses

    config = dict(found['mmseg'])
    loss = getattr(losses, config.pop('type'))(**config)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=generator)
    target = torch.randint(3, (2, 8, 8), generator=generator)
    assert float(loss(logits, target)) == pytest.approx(float(written.multiclass_dice(logits, target)), rel=1e-6)


@pytest.mark.slow
def test_modules_of_the_current_folder_are_found(tmp_path):
    (tmp_path / 'mine.py').write_text(
        'def loss(y_true, y_pred):\n    return 1 - (y_true * y_pred).sum() / (y_true.sum() + y_pred.sum()) * 2\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', 'import sys; from segparity.cli import main; sys.exit(main(["recognise", "mine:loss"]))'],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**__import__('os').environ, 'PYTHONPATH': ':'.join(p for p in sys.path if p)},
    )  # fmt: skip
    assert done.returncode == 0 and 'SoftDiceLoss(' in done.stdout, done.stderr


@pytest.mark.slow
def test_sigmoids_of_several_channels_are_independent():
    """A flattened Tversky of sigmoids is no Dice: its FP and FN differ."""
    found = recognise(written.Tversky, classes=3)
    best = found.answers[0]
    assert best.verdict == 'equal' and best.spec.pooled and best.group.convention.activation == 'sigmoid'
    assert (best.spec.alpha, best.spec.beta, best.spec.smooth) == (0.3, 0.7, 1.0), best.spec
    assert 'FP = FN' not in ' '.join([*found.wrong, *found.remarks])


def test_maps_that_ids_do_not_give_have_no_lines_for_mmseg():
    found = recognise(written.weighted_bce, classes=1)
    told = as_json(found)['answers'][0]
    assert found.equal and told['equal'] == {'mmseg': False, 'keras': True}
    text = '\n'.join(lines(found))
    assert 'loss_decode' not in text and 'no lines give your number' in text and 'losses.WeightedCross' in text
    told = as_json(recognise(written.multiclass_dice, classes=3))['answers'][0]
    assert told['equal'] == {'mmseg': True, 'keras': True}


def test_float32_is_tried_before_another_order():
    (group, *_) = conventions(Caller(written.hinge_in_float32), 1, 'hinge')[1][0]
    assert group.convention.dtype == 'float32' and not group.convention.labels_first


class Ticks:
    """``time`` whose clock goes on by a thousandth of a second each time that it is read."""

    def __init__(self, monkeypatch):
        self.read = 0
        for module in (clock, recognition, calls):
            monkeypatch.setattr(module, 'time', self)

    def monotonic(self):
        self.read += 1
        return self.read / 1000

    def __getattr__(self, name):
        return getattr(time, name)


@pytest.mark.slow
def test_the_clock_ends_the_search_and_what_is_not_matched_is_not_certain(monkeypatch):
    Ticks(monkeypatch)
    told = []
    found = recognise(written.symmetric_cubic, classes=1, wall=4, progress=told.append)
    assert len(told) == 1
    assert any('ended by the clock' in remark for remark in found.remarks)
    text = '\n'.join(lines(found))
    assert 'not certain' in text and text.index('do not give the function') < text.index('loss_decode')


def test_where_the_formula_is_diagnosed_no_lines_are_printed():
    text = '\n'.join(lines(recognise(written.thresholded, classes=1, name='thresholded')))
    assert 'No gradient' in text and 'loss_decode' not in text


def test_a_score_named_like_a_loss_is_exit_code_1(capsys):
    assert main(['recognise', f'{written.__file__}:dice_score_loss', '--classes', '1']) == 1
    assert 'are the loss, not the score' in capsys.readouterr().out


def test_nan_and_the_current_folder_are_said(capsys):
    assert main(['recognise', f'{written.__file__}:no_number', '--classes', '1']) == 2
    assert 'it gives NaN' in capsys.readouterr().err
    assert main(['recognise', '.:x']) == 2
    assert "'.' is no module" in capsys.readouterr().err


@pytest.mark.parametrize('wall', [0.01, 0.1])
def test_the_clock_ends_before_a_way_to_call_it_is_found(monkeypatch, wall):
    Ticks(monkeypatch)
    with pytest.raises(TypeError, match=rf'how to call it was not found .*: give it more than {wall} seconds$'):
        recognise(written.symmetric_cubic, classes=1, wall=wall)
