"""The configurations that a user trains with, from JSON of either world, and the inputs made for them."""

import json

import numpy as np
import pytest

from segparity.parity.cases import Case
from segparity.parity.configurations import cases_for, classes_of, on_data, read_configurations
from shared_spec import LOSSES

DICE = dict(type='SoftDiceLoss', smooth=1.0, ignore_index=255)
EXAMPLES = [(name, example) for name, cls in LOSSES.items() for example in cls.examples]


def spec_of(name, example):
    about = LOSSES[name].examples[example]
    weights = {about.weights: [0.5, 1.0, 2.0]} if about.weights else {}
    return LOSSES[name](**{**about.params, **weights})


def test_json_text_and_files(tmp_path):
    want = LOSSES['SoftDiceLoss'](smooth=1.0, ignore_index=255)
    path = tmp_path / 'loss.json'
    path.write_text(json.dumps(DICE))
    assert read_configurations(json.dumps(DICE)) == read_configurations(str(path)) == {'SoftDiceLoss': want}
    path.write_text(json.dumps([DICE, dict(type='LovaszSoftmaxLoss'), dict(DICE, smooth=0)]))
    found = read_configurations(f'{path}')
    assert list(found) == ['SoftDiceLoss', 'LovaszSoftmaxLoss', 'SoftDiceLoss 2']
    assert found['SoftDiceLoss 2'].smooth == 0


def test_what_keras_writes():
    """Its own spelling and its own defaults: from_logits is False where it is left out."""
    config = dict(
        class_name='SoftDiceLoss',
        config=dict(ignore_class=255, name='a', reduction='sum_over_batch_size', dtype='float32'),
    )
    want = LOSSES['SoftDiceLoss'](ignore_index=255, from_logits=False)
    assert read_configurations(json.dumps(config)) == {'SoftDiceLoss': want}
    total = dict(class_name='WeightedSumLoss', config=dict(losses=[config], weights=[2.0]))
    (spec,) = read_configurations(json.dumps(total)).values()
    assert spec.parts == (want,) and spec.shares == (2.0,)
    total['config']['losses'] = [dict(type='SoftDiceLoss', **config['config'])]  # as a sum of ours writes its parts
    assert read_configurations(json.dumps(total)) == {'WeightedSumLoss': spec}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('SoftDiceLoss', '--config must be JSON such as'),
        ('{"type": ', '--config is no JSON'),
        ('[' * 100_000, '--config is no JSON'),
        ('[]', 'an empty list'),
        ('[1]', 'must be an object with a type'),
        ('{"type": "SoftDise"}', "did you mean 'SoftDiceLoss'"),
        ('{"type": ["SoftDiceLoss"]}', 'unknown loss'),
        ('{"type": "FineGrained", "num_classes": 2}', "unknown loss 'FineGrained'"),
        ('{"type": "SoftDiceLoss", "smoth": 1}', "unknown parameter 'smoth', did you mean 'smooth'?"),
        ('{"type": "SoftDiceLoss", "smooth": -1}', 'smooth must be a number >= 0, got -1'),
        ('{"type": "SoftDiceLoss", "ignore_class": 1}', "did you mean 'ignore_index'?"),
        ('{"class_name": "SoftDiceLoss"}', 'config must be an object of parameters'),
        ('{"class_name": ["Dice"], "config": {}}', 'unknown loss'),
        ('{"class_name": "WeightedSumLoss", "config": {"losses": [1]}}', 'losses must be objects, got 1'),
        ('{"class_name": "Dice", "config": {}}', 'unknown loss'),
        ('{"class_name": "SoftDiceLoss", "config": {"reduction": "sum"}}', 'reduction must be "sum_over_batch_size"'),
    ],
)
def test_refused_in_one_sentence(text, words):
    with pytest.raises(ValueError) as caught:
        read_configurations(text)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(OSError):
        read_configurations('nowhere.json')
    (tmp_path / 'large.json').write_text(' ' * (2**20 + 1))
    with pytest.raises(ValueError, match='has 1,048,577 bytes, expected the JSON of a loss'):
        read_configurations(str(tmp_path / 'large.json'))


@pytest.mark.parametrize('distance', ['jaccard', 'cosine'])
def test_features_are_made_for_feature_distance(distance):
    spec = LOSSES['FeatureDistanceLoss'](distance=distance)
    found = dict(cases_for(spec))
    assert set(found) == {'features', 'features_weighted'}
    for case in found.values():
        assert 0 < spec.reference(case.pred, case.target, case.weight) < 1


@pytest.mark.parametrize(('name', 'example'), [pair for pair in EXAMPLES if not LOSSES[pair[0]].of_features()])
def test_inputs_are_made_that_the_reference_takes(name, example):
    """As the configuration says: its number of classes, its ignored label, logits or probabilities."""
    spec = spec_of(name, example)
    for from_logits in (True, False):
        changed = {**spec.to_dict(), 'ignore_index': 7, 'from_logits': from_logits}
        if name == 'WeightedSumLoss':
            changed = dict(type=name, losses=[dict(type='SoftDiceLoss', ignore_index=7, from_logits=from_logits)])
        if not from_logits and (LOSSES[name].needs_logits or changed.get('ce') == 'softmax'):
            continue
        own = LOSSES[name].from_dict(changed)
        found = dict(cases_for(own))
        assert {'hard_label', 'absent_class', 'ignored_border', 'pixel_weight', 'not_a_number'} <= set(found)
        assert ('soft_label' in found) == ('soft' in LOSSES[name].labels)
        for case_name, case in found.items():
            assert case.from_logits is from_logits and case.ignore_index == 7
            assert (case.target == 7).any() == (case_name == 'ignored_border')
            assert case.pred.shape[1] in (classes_of(own) or 4, 1)
            case = case.adapted(own)
            value = own.reference(case.pred, case.target, case.weight, **case.call)
            assert np.isnan(value) == (case_name == 'not_a_number')


def test_the_number_of_classes_is_that_of_lists():
    spec = LOSSES['WeightedSumLoss'](
        losses=[dict(type='SoftDiceLoss'), dict(type='SoftDiceLoss', class_weight=[1.0] * 7)]
    )
    assert classes_of(spec) == 7 and classes_of(LOSSES['SoftDiceLoss']()) is None
    assert classes_of(LOSSES['SoftDiceLoss'](classes=[8])) == 9
    assert dict(cases_for(spec))['hard_label'].pred.shape[1] == 7


def test_parts_that_differ_in_what_one_call_has():
    losses = [dict(type='SoftDiceLoss', ignore_index=255), dict(type='SoftJaccardLoss')]
    with pytest.raises(ValueError, match=r'the losses have different ignore_index \(255, None\)'):
        list(cases_for(LOSSES['WeightedSumLoss'](losses=losses)))


def test_a_configuration_and_data_have_one_meaning():
    case = Case(np.zeros((1, 3, 2, 2)), np.zeros((1, 2, 2), int), ignore_index=255)
    for given, ignore, call in ((255, 255, None), (None, None, 255)):
        _, found = on_data(LOSSES['SoftDiceLoss'](ignore_index=given), case)
        assert (found.ignore_index, found.call_ignore_index) == (ignore, call)
    with pytest.raises(ValueError, match='the configuration has ignore_index=7, the data 255'):
        on_data(LOSSES['SoftDiceLoss'](ignore_index=7), case)
    probabilities = Case(case.pred, case.target, from_logits=False)
    with pytest.raises(ValueError, match='--probabilities contradicts from_logits=True'):
        on_data(LOSSES['SoftDiceLoss'](), probabilities)
    assert on_data(LOSSES['SoftDiceLoss'](from_logits=False), probabilities)[1].from_logits is False
