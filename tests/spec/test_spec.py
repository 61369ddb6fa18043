"""Parameters: refused in one sentence, frozen, and round-tripped exactly."""

import json

import pytest

import shared_spec
from shared_spec import LOSSES, METRICS, SpecError, from_dict

SPECS = [cls(**example.params) for cls in LOSSES.values() for example in cls.examples.values()]
NAMES = [f'{type(s).__name__}-{i}' for i, s in enumerate(SPECS)]


def test_registries_are_sorted():
    assert list(LOSSES) == sorted(LOSSES)
    assert list(METRICS) == sorted(METRICS)
    assert {'JaccardMetricLoss', 'WeightedSumLoss'} <= set(LOSSES)


@pytest.mark.parametrize('spec', SPECS, ids=NAMES)
def test_dictionary_round_trip_is_exact_and_json(spec):
    config = spec.to_dict()
    assert config['type'] == type(spec).__name__
    assert json.loads(json.dumps(config)) == config
    again = type(spec).from_dict(config)
    assert again == spec and hash(again) == hash(spec)
    assert from_dict(json.loads(json.dumps(config))) == spec


@pytest.mark.parametrize('spec', SPECS, ids=NAMES)
def test_each_world_gets_back_the_same_spec(spec):
    config = spec.to_mmseg()
    assert config.pop('type') == type(spec).__name__
    assert type(spec)(**config) == spec
    for arguments in (spec.to_keras(), spec.keras_arguments()):
        again = type(spec).from_keras(arguments)
        # a sum without losses is the recipe, which Keras gets written out
        assert again == spec or (again.parts, again.shares) == (spec.parts, spec.shares)


def test_what_a_keras_configuration_leaves_out_has_keras_default():
    assert LOSSES['SoftDiceLoss'].from_keras({}) == LOSSES['SoftDiceLoss'](from_logits=False)
    assert LOSSES['RobustTLoss'].from_keras({}).learn_nu is False
    assert LOSSES['LovaszHingeLoss'].from_keras({}).from_logits is True


def test_ignore_label_and_kind_of_prediction_are_always_written_out():
    spec = LOSSES['JaccardMetricLoss']()
    assert spec.to_mmseg() == {'type': 'JaccardMetricLoss', 'ignore_index': None}
    assert spec.to_keras() == {'from_logits': True, 'ignore_class': None}


def test_frozen_and_canonical():
    spec = LOSSES['JaccardMetricLoss'](smooth=1, granularity={'C': 1, 'I': 0.5}, class_weight=[1, 2])
    assert spec.smooth == 1.0 and isinstance(spec.smooth, float)
    assert spec == LOSSES['JaccardMetricLoss'](smooth=1.0, granularity={'I': 0.5, 'C': 1.0}, class_weight=(1.0, 2.0))
    with pytest.raises(AttributeError):
        spec.smooth = 2.0


def test_takes_what_a_config_hands_over():
    np = pytest.importorskip('numpy')
    config = pytest.importorskip('mmengine').ConfigDict(granularity=dict(I=0.5, C=0.5), class_weight=[1, 2])
    spec = LOSSES['SoftDiceLoss'](**config, smooth=np.float32(0.5), ignore_index=np.int64(255))
    assert spec.to_dict()['granularity'] == {'I': 0.5, 'C': 0.5}
    assert type(spec.to_dict()['granularity']) is dict and type(spec.ignore_index) is int


@pytest.mark.parametrize(
    ('name', 'params', 'words'),
    [
        ('JaccardMetricLoss', dict(smoth=1), "unknown parameter 'smoth', did you mean 'smooth'?"),
        ('JaccardMetricLoss', dict(smooth='a'), "smooth must be a number >= 0, got 'a'"),
        ('JaccardMetricLoss', dict(smooth=-1), 'smooth must be a number >= 0, got -1'),
        ('JaccardMetricLoss', dict(smooth=float('nan')), 'smooth must be a number >= 0, got nan'),
        ('JaccardMetricLoss', dict(smooth=True), 'smooth must be a number >= 0, got True'),
        ('JaccardMetricLoss', dict(norm=1.5), 'norm must be an integer >= 1, got 1.5'),
        ('JaccardMetricLoss', dict(gamma=0.5), 'gamma must be a number >= 1, got 0.5'),
        ('JaccardMetricLoss', dict(granularity='Q'), "granularity must be one of 'D', 'I', 'C', or weights"),
        ('JaccardMetricLoss', dict(granularity={'I': 0, 'C': 0}), 'granularity must be'),
        ('JaccardMetricLoss', dict(granularity={'I': -1}), 'granularity must be'),
        ('JaccardMetricLoss', dict(granularity={}), 'granularity must be'),
        ('JaccardMetricLoss', dict(granularity={'D': 1, 'i': 1}), "got {'D': 1, 'i': 1}, did you mean 'I'?"),
        ('JaccardMetricLoss', dict(classes='presnt'), "did you mean 'present'?"),
        ('JaccardMetricLoss', dict(classes=[1, 1]), 'a list of different class ids'),
        ('JaccardMetricLoss', dict(classes=[]), 'a list of different class ids'),
        ('JaccardMetricLoss', dict(classes=[-1]), 'a list of different class ids'),
        ('JaccardMetricLoss', dict(activation='softmx'), "did you mean 'softmax'?"),
        ('JaccardMetricLoss', dict(ignore_index=1.5), 'ignore_index must be an integer, or None, got 1.5'),
        (
            'JaccardMetricLoss',
            dict(class_weight=[0, 0]),
            'class_weight must be a list of one number >= 0 for each class',
        ),
        ('JaccardMetricLoss', dict(class_weight=3), 'class_weight must be a list'),
        ('JaccardMetricLoss', dict(presence_threshold=1), 'presence_threshold must be a number >= 0 and < 1'),
        ('SoftDiceLoss', dict(norm=3), 'norm must be an integer from 1 to 2, got 3'),
        ('SoftTverskyLoss', dict(alpha=-3), 'alpha must be a number >= 0, got -3'),
        ('SoftDiceLoss', dict(alpha=0.5), "unknown parameter 'alpha'"),
        ('GeneralizedDiceLoss', dict(granularity='C'), "granularity must be one of 'D', 'I'"),
        ('GeneralizedDiceLoss', dict(class_weight=[1, 2]), "unknown parameter 'class_weight'"),
        ('GeneralizedDiceLoss', dict(classes='present'), "classes must be one of 'all'"),
        ('GeneralizedDiceLoss', dict(weighting='sqare'), "did you mean 'square'?"),
        ('WeightedCrossEntropyLoss', dict(class_weight='balance'), "did you mean 'balanced'?"),
        ('WeightedCrossEntropyLoss', dict(label_smoothing=1.5), 'label_smoothing must be a number >= 0 and <= 1'),
        ('WeightedCrossEntropyLoss', dict(granularity='I'), "unknown parameter 'granularity'"),
        ('WeightedSumLoss', dict(losses=[dict(type='JacardMetricLoss')]), "did you mean 'JaccardMetricLoss'?"),
        (
            'WeightedSumLoss',
            dict(losses=[dict(type='SoftDiceLoss')], weights=[1, 2]),
            'one entry for each of the 1 losses',
        ),
        ('WeightedSumLoss', dict(weights=[1]), 'weights are given without losses'),
        (
            'WeightedSumLoss',
            dict(losses=[dict(type='SoftDiceLoss'), dict(type='SoftJaccardLoss', from_logits=False)]),
            'agree on from_logits',
        ),
    ],
)
def test_refuses_in_one_sentence(name, params, words):
    with pytest.raises(SpecError) as caught:
        LOSSES[name](**params)
    message = str(caught.value)
    assert words in message and '\n' not in message
    assert message.startswith(name) or 'unknown loss' in message


def test_an_unknown_parameter_is_told_all_that_there_are():
    for cls in (*LOSSES.values(), *METRICS.values()):
        for name in ('self', 'xxxxxxxxxxxx'):
            with pytest.raises(SpecError) as caught:
                cls(**{name: 1})
            head, _, told = str(caught.value).partition(' it takes ')
            assert head.startswith(f'{cls.__name__}: unknown parameter {name!r},')
        assert sorted(told.split(', ')) == sorted(cls.parameters())


def test_refuses_positional_arguments_and_other_types():
    with pytest.raises(SpecError, match='by name'):
        LOSSES['JaccardMetricLoss'](19)
    with pytest.raises(SpecError, match="configuration of 'SoftDiceLoss'"):
        LOSSES['JaccardMetricLoss'].from_dict({'type': 'SoftDiceLoss'})
    with pytest.raises(SpecError, match="did you mean 'SoftDiceLoss'"):
        shared_spec.from_dict({'type': 'SoftDice'})


def test_every_spec_says_what_segparity_show_prints():
    for cls in (*LOSSES.values(), *METRICS.values()):
        assert cls.title and cls.formula and cls.source, cls
        for name, field in cls.parameters().items():
            assert field.metadata['meaning'] and field.metadata['allowed'].describe(), (cls, name)
