"""The parameters of FineGrained: what is refused, and what both worlds call them."""

import inspect

import pytest

import shared_spec
from shared_spec import SpecError
from shared_spec.metrics.fine_grained import FineGrained


def test_it_is_found_by_name():
    assert shared_spec.METRICS['FineGrained'] is FineGrained


@pytest.mark.parametrize(
    ('params', 'sentence'),
    [
        (dict(num_classes=0), 'num_classes must be an integer >= 1, got 0'),
        (dict(num_classes=2.5), 'num_classes must be an integer >= 1, got 2.5'),
        (dict(num_clases=3), "unknown parameter 'num_clases', did you mean 'num_classes'"),
        (dict(ignore_index='255'), 'ignore_index must be an integer, or None'),
        (dict(levels=['D', 'D']), 'levels must be a list of different levels'),
        (dict(levels=[]), 'levels must be'),
        (dict(levels=['K']), 'levels must be'),
        (dict(q=5), r'q must be a list \(it may be empty\) of different integers from 1 to 100, got 5'),
        (dict(q=[0]), 'q must be'),
        (dict(q=[101]), 'q must be'),
        (dict(q=[5, 5]), 'q must be'),
        (dict(metrics=['mIOU']), "did you mean 'mIoU'"),
        (dict(beta=0), 'beta must be a number > 0, got 0'),
        (dict(present_in='pred'), "present_in must be one of 'target', 'either'"),
        (dict(binary=1), 'binary must be True or False'),
        (dict(binary=True), 'binary=True needs num_classes=2'),
    ],
)
def test_refused(params, sentence):
    with pytest.raises(SpecError, match=sentence) as caught:
        FineGrained(**{'num_classes': 3, **params} if 'num_clases' not in params else params)
    assert str(caught.value).startswith('FineGrained: ') and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', FineGrained.examples)
def test_dictionary_round_trip(name):
    spec = FineGrained(**FineGrained.examples[name].params)
    again = shared_spec.from_dict(spec.to_dict())
    assert again == spec and again.to_dict() == spec.to_dict() and spec.to_dict()['type'] == 'FineGrained'


def test_what_both_worlds_write():
    spec = FineGrained(num_classes=4, q=[], ignore_index=None)
    assert spec.to_mmseg() == {'type': 'FineGrainedMetric', 'ignore_index': None, 'q': []}
    # Keras' default is a short report: fewer metrics, no worst cases
    assert spec.to_keras() == {'num_classes': 4, 'ignore_class': None, 'metrics': ['mAcc', 'mIoU', 'mDice']}
    assert FineGrained.from_keras(spec.keras_arguments()) == spec


def test_names():
    spec = FineGrained(num_classes=4, levels=['I', 'D'], metrics=['mDice'], q=[5])
    assert spec.names() == ['aAcc', 'FWIoU', 'mDiceI', 'mDiceI5', 'mDiceIQ', 'mDiceD']
    assert len(FineGrained(num_classes=4).names()) == len(set(FineGrained(num_classes=4).names())) == 29


def arguments(callable_, *host):
    """Name -> default of a constructor, without the host's own arguments."""
    return {
        name: p.default
        for name, p in inspect.signature(callable_).parameters.items()
        if name not in host and name != 'self'
    }


def test_the_evaluator_takes_the_parameters_of_the_spec():
    pytest.importorskip('mmseg', reason="mmsegmentation is not installed: pip install -e '.[mmseg,mmcv-lite]'")
    from mmseg_plugin.evaluation.base import ImageMetric
    from mmseg_plugin.evaluation.fine_grained import FineGrainedMetric

    ours = {name: field.default for name, field in FineGrained.parameters().items() if name != 'num_classes'}
    host = inspect.signature(ImageMetric.__init__).parameters
    assert arguments(FineGrainedMetric.__init__, 'keep_results', *host) == ours
