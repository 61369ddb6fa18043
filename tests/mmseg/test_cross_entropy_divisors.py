"""Where MMSegmentation's cross-entropy and ours divide by different sums, with both numbers: what the page says of it."""

import pytest
import torch
from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401

IGNORED = 255
WEIGHTS = [1.0, 2.0, 5.0]
pytestmark = pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``')


def theirs(**parameters):
    loss = MODELS.build(dict(type='mmseg.CrossEntropyLoss', **parameters))
    return lambda *args, **kwargs: loss(*args, ignore_index=IGNORED, **kwargs).item()


def ours(**parameters):
    loss = MODELS.build(dict(type='WeightedCrossEntropyLoss', ignore_index=IGNORED, **parameters))
    return lambda *args, **kwargs: loss(*args, **kwargs).item()


def batch(width=8, ignored=True):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, width, generator=generator)
    target = torch.randint(3, (2, 8, width), generator=generator)
    if ignored:
        target[:, :4] = IGNORED
    return logits, target


def test_ignored_pixels():
    for theirs_too, activation in ((dict(), 'softmax'), (dict(use_sigmoid=True), 'sigmoid')):
        want = ours(activation=activation)(*batch())
        assert theirs(avg_non_ignore=True, **theirs_too)(*batch()) == pytest.approx(want, rel=1e-6)
        half = theirs(**theirs_too)(*batch())
        assert half == pytest.approx(want / 2, rel=1e-6)  # half of the pixels are ignored
        assert ours(activation=activation, divisor='all')(*batch()) == pytest.approx(half, rel=1e-6)


def test_class_weights():
    whole = batch(ignored=False)
    assert theirs(class_weight=WEIGHTS)(*whole) == pytest.approx(ours(class_weight=WEIGHTS)(*whole), rel=1e-6)
    with pytest.raises(IndexError, match='255 is out of bounds'):
        theirs(class_weight=WEIGHTS, avg_non_ignore=True)(*batch())
    logits, target = batch()
    kept = ours(class_weight=WEIGHTS)(logits[:, :, 4:], target[:, 4:])
    assert ours(class_weight=WEIGHTS)(logits, target) == pytest.approx(kept, rel=1e-6)


def test_class_weights_up_to_1_1_1_are_no_part_of_the_divisor():
    logits, target = batch()
    nll = torch.nn.functional.cross_entropy(logits, target, torch.tensor(WEIGHTS), ignore_index=255, reduction='none')
    for divisor, number in (('all', target.numel()), ('pixels', (target != IGNORED).sum())):
        want = (nll.sum() / number).item()
        assert ours(class_weight=WEIGHTS, divisor=divisor)(logits, target) == pytest.approx(want, rel=1e-6)


def test_the_one_class_weight_of_one_sigmoid_channel_is_pos_weight():
    logits, target = batch()[0][:, :1], (batch()[1] % 2).where(batch()[1] != IGNORED, IGNORED)
    want = theirs(class_weight=[3.0], use_sigmoid=True)(logits, target)
    assert ours(pos_weight=3.0, divisor='all')(logits, target) == pytest.approx(want, rel=1e-6)


def test_class_weights_of_sigmoid_lie_along_the_width():
    with pytest.raises(RuntimeError, match='must match'):
        theirs(class_weight=WEIGHTS, use_sigmoid=True)(*batch(8))
    logits, target = batch(3, ignored=False)
    loss = theirs(class_weight=WEIGHTS, use_sigmoid=True)
    assert loss(logits, target) != pytest.approx(loss(logits.flip(3), target.flip(2)), rel=1e-3)
    loss = ours(class_weight=WEIGHTS, activation='sigmoid')
    assert loss(logits, target) == pytest.approx(loss(logits.flip(3), target.flip(2)), rel=1e-6)


@pytest.mark.parametrize('class_weight', [None, WEIGHTS])
def test_hard_examples(class_weight):
    logits, target = batch(ignored=False)
    kept = torch.zeros(2, 8, 8)
    kept[:, 0] = 1
    mean = ours(class_weight=class_weight)(logits, target, weight=kept)
    assert mean == pytest.approx(ours(class_weight=class_weight)(logits[:, :, :1], target[:, :1]), rel=1e-6)
    mass = torch.ones(3) if class_weight is None else torch.tensor(class_weight)
    share = mass[target[:, :1]].sum() / mass[target].sum()
    assert theirs(class_weight=class_weight)(logits, target, weight=kept) == pytest.approx(
        mean * share.item(), rel=1e-5
    )
