"""Losses in NumPy, and how objects are loaded."""

import numpy as np
import pytest

from segparity import recognise
from segparity.recognise import calling_convention, load, other_losses
from segparity.recognise.calls import Caller
from segparity.recognise.probes import fitting
from segparity.recognise.recognition import conventions
from shared_spec import LOSSES
from tests.recognise import written_in_numpy as written


def test_a_score_of_metric_overlap():
    best = recognise(written.jaccard_metric, classes=1).answers[0]
    assert best.equal and type(best.spec).__name__ == 'JaccardMetricLoss' and best.spec.smooth == 0


@pytest.mark.slow
def test_generalized_dice():
    found = recognise(written.generalized_dice, classes=3)
    assert found.equal and type(found.spec).__name__ == 'GeneralizedDiceLoss' and found.spec.weighting == 'square'


def test_clipped_probabilities_do_not_hide_smooth():
    best = recognise(written.clipped, classes=1).answers[0]
    assert best.equal and best.spec.smooth == pytest.approx(5e-8) and any('between 1e-07' in n for n in best.notes)


def test_focal_cross_entropy_is_none_of_ours_yet():
    best = recognise(written.focal, classes=1).answers[0]
    assert not best.equal and any('(1 - p)^2' in r for r in best.reasons)


def test_what_is_wrong():
    assert 'constant' in recognise(written.constant).wrong[0]
    assert 'labels get the gradient' in recognise(written.swapped, classes=1).wrong[0]
    assert any('share of wrong pixels' in r for r in recognise(written.accuracy, classes=1).answers[0].reasons)
    with pytest.raises(TypeError, match='returned str, not a number'):
        recognise(written.text)


@pytest.mark.parametrize(
    ('target', 'sentence'),
    [
        ('loss', 'MODULE:FUNCTION or FILE.py:FUNCTION'),
        ('nowhere.py:loss', 'there is no file'),
        ('no_such_module_here:loss', 'there is no module'),
        (f'{written.__name__}:dice_los', "did you mean 'dice_loss'"),
    ],
)
def test_loading_refuses_in_a_sentence(target, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(target)


def test_a_file_that_fails_is_a_sentence(tmp_path):
    (tmp_path / 'broken.py').write_text('import no_such_package_here')
    with pytest.raises(ValueError, match="it needs 'no_such_package_here'"):
        load(f'{tmp_path}/broken.py:loss')
    (tmp_path / 'leaves.py').write_text('raise SystemExit')
    with pytest.raises(ValueError, match='cannot be imported: SystemExit'):
        load(f'{tmp_path}/leaves.py:loss')


def test_the_convention_that_is_nearest_to_a_spec():
    spec = LOSSES['SoftDiceLoss'](classes='all', smooth=0.5)
    caller, convention, apart = calling_convention(written.dice_loss, spec, classes=1)
    assert apart.hard < 1e-12 and convention.takes == 'probabilities' and convention.labels_first
    other = LOSSES['SoftDiceLoss'](classes='all', smooth=5)
    assert calling_convention(written.dice_loss, other, classes=1)[2].hard > 0.01
    prob, target = np.full((1, 1, 2, 2), 0.5), np.ones((1, 1, 2, 2))
    assert caller.value(convention, convention.arrange(prob), convention.arrange(target)) == 1 - (2 * 2 + 1) / (
        2 + 4 + 1
    )


@pytest.mark.slow
def test_a_generalized_dice_is_tried_as_it_is():
    caller = Caller(written.generalized_dice)
    (group, *_) = conventions(caller, 3, 'generalized_dice')[1][0]
    probes = fitting(3)
    group.values = np.array([caller.on(group.convention, p) for p in probes])
    spec, sign, offset, apart = other_losses.answer(caller, group, probes)
    assert type(spec).__name__ == 'GeneralizedDiceLoss' and spec.weighting == 'square' and spec.smooth == 0
    assert sign == 1 and offset == 0 and apart.hard < 1e-12


def test_probabilities_need_not_add_up_to_1():
    best = recognise(written.flat_tversky, classes=3).answers[0]
    assert best.verdict == 'equal' and best.spec.pooled and (best.spec.alpha, best.spec.beta) == (0.2, 0.8)
