"""Parameters of other libraries: the sentence says what they are here, and what it says is true."""

import ast
import re

import pytest

from shared_spec import LOSSES, METRICS, SpecError
from shared_spec.other_words import OTHER_WORDS, explain_parameter

SIGMOID = "here activation='sigmoid' for True and 'softmax' for False"


@pytest.mark.parametrize(
    ('name', 'word', 'meant'),
    [
        ('SoftDiceLoss', 'use_sigmoid', SIGMOID),
        ('SoftDiceLoss', 'sigmoid', SIGMOID),
        ('RegionMutualInformationLoss', 'use_sigmoid', "here ce='sigmoid' for True and 'softmax' for False"),
        ('LovaszHingeLoss', 'use_sigmoid', 'the activation of this loss is fixed'),
        ('SoftDiceLoss', 'softmax', "here activation='softmax' for True and 'sigmoid' for False"),
        ('SoftDiceLoss', 'activate', 'here from_logits=True, or False where pred holds probabilities'),
        (
            'SoftDiceLoss',
            'naive_dice',
            'here norm=1 for True and norm=2 for False; its one score of all classes is pooled',
        ),
        ('SoftJaccardLoss', 'average', "here pooled=True for 'micro' and False for 'macro'"),
        ('SoftDiceLoss', 'squared_pred', 'here norm=2 for True and norm=1 for False'),
        ('SoftDiceLoss', 'eps', 'here smooth, in pixels; half of it for a Dice (2 tp + eps) / (2 tp + fp + fn + eps)'),
        ('RobustTLoss', 'eps', "did you mean 'epsilon'?"),
        ('SoftDiceLoss', 'reduction', 'a mean is always taken, and granularity says over what'),
        ('LovaszSoftmaxLoss', 'reduction', 'a mean is always taken'),
        ('WeightedCrossEntropyLoss', 'avg_non_ignore', "here divisor='valid' for True and 'all' for False"),
        ('SoftDiceLoss', 'avg_non_ignore', 'ignored pixels never count, as with avg_non_ignore=True'),
        ('WeightedSumLoss', 'ignore_index', 'give it to each of the losses'),
        ('SoftTverskyLoss', 'batch', "here granularity='D' for True and 'I' for False"),
        ('SoftTverskyLoss', 'include_background', "here classes='all' for True and the other ids"),
        ('SoftDiceLoss', 'to_onehot_y', 'class ids and one-hot labels are both taken: leave it out'),
        ('SoftDiceLoss', 'jaccard', 'here SoftJaccardLoss or JaccardMetricLoss for True'),
        ('SoftDiceLoss', 'mode', 'here one channel is binary'),
        ('SoftDiceLoss', 'log_loss', 'it is a parameter of JaccardMetricLoss'),
        ('WeightedCrossEntropyLoss', 'classes', 'here class_weight, with 0 for a class that is not to count'),
        ('WeightedCrossEntropyLoss', 'smooth_factor', 'here label_smoothing'),
        ('OhemCrossEntropyLoss', 'thres', 'here thresh'),
        ('WeightedCrossEntropyLoss', 'thresh', 'here OhemCrossEntropyLoss chooses hard pixels'),
        ('WeightedCrossEntropyLoss', 'k', 'here TopKCrossEntropyLoss is the loss of the hardest pixels'),
        ('SoftDiceLoss', 'label_smoothing', 'smooth the labels'),
        ('SoftDiceLoss', 'axis', 'here granularity says over what sums are taken'),
        (
            'SoftDiceLoss',
            'gamma',
            'FocalCrossEntropyLoss, FocalTverskyLoss and UnifiedFocalLoss are the focal losses here',
        ),
        ('ExponentialLogarithmicLoss', 'gamma', 'here gamma_dice and gamma_ce'),
    ],
)
def test_a_word_of_another_library_is_translated(name, word, meant):
    with pytest.raises(SpecError) as caught:
        LOSSES[name](**{word: True})
    assert str(caught.value).startswith(f'{name}: unknown parameter {word!r}, {meant}')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', LOSSES)
def test_what_a_translation_names_is_taken(name):
    """The values that stand for True and False are taken, and a loss that is named exists and has the parameter."""
    known = list(LOSSES[name].parameters())
    for word in set(OTHER_WORDS) - set(known):
        text = explain_parameter(word, known) or ''
        for parameter, *values in re.findall(r"here (\w+)=('?\w+'?) for True and (?:\w+=)?('?\w+'?) for False", text):
            for value in values:
                LOSSES[name](**{parameter: ast.literal_eval(value)})
        for loss in re.findall(r'\b[A-Z]\w+Loss\b', text):
            assert loss in LOSSES and (text.startswith('here') or word in LOSSES[loss].parameters()), (word, loss)


def test_every_word_has_an_owner_and_no_parameter_is_translated_away():
    owners = [list(spec.parameters()) for spec in (*LOSSES.values(), *METRICS.values())]
    owners.append(['ignore_class', 'loss_name', 'metrics', 'per_image_file'])
    for word in OTHER_WORDS:
        assert any(explain_parameter(word, known) for known in owners if word not in known), word


def test_a_file_of_class_weights_is_to_be_read_first():
    for value in ('weights.npy', 'weights.json'):
        with pytest.raises(SpecError, match=f"class_weight must be .*, got '{value}'; give the numbers that the file"):
            LOSSES['WeightedCrossEntropyLoss'](class_weight=value)


def test_a_misspelling_is_still_one():
    with pytest.raises(SpecError, match="unknown parameter 'reductoin', it takes"):
        LOSSES['SoftDiceLoss'](reductoin='mean')
