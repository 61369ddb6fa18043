"""The parameters of BoundaryIoU and SurfaceDistance: what is refused, and what both worlds call them."""

import inspect

import pytest

import shared_spec
from shared_spec import SpecError
from shared_spec.metrics.boundary import BoundaryIoU, SurfaceDistance

both = pytest.mark.parametrize('kind', [BoundaryIoU, SurfaceDistance], ids=lambda kind: kind.__name__)


@both
def test_it_is_found_by_name(kind):
    assert shared_spec.METRICS[kind.__name__] is kind


COMMON = [
    (dict(num_classes=0), 'num_classes must be an integer >= 1, got 0'),
    (dict(ignore_index='255'), 'ignore_index must be an integer, or None'),
    (dict(levels=['I', 'I']), 'levels must be a list of different levels'),
    (dict(levels=[]), 'levels must be'),
    (dict(present_in='pred'), "present_in must be one of 'target', 'either'"),
    (dict(binary=1), 'binary must be True or False'),
    (dict(binary=True), 'binary=True needs num_classes=2'),
]
OF_BOUNDARY = [
    (dict(ratio=0), 'ratio must be a number > 0 and <= 1, got 0'),
    (dict(ratio=2), 'ratio must be a number > 0 and <= 1, got 2'),
    (dict(ratoi=0.1), "unknown parameter 'ratoi', did you mean 'ratio'"),
]
OF_SURFACE = [
    (dict(metrics=['HD59']), "did you mean 'HD95'"),
    (dict(metrics=[]), 'metrics must be'),
    (dict(levels=['D', 'I']), r"levels must be a list of different levels out of 'I', 'C', got \['D', 'I'\]"),
    (dict(spacing=1.5), 'spacing must be a list of one number > 0 for each spatial axis, or None, got 1.5'),
    (dict(spacing=[1, 0]), r'spacing must be .* got \[1, 0\]'),
    (dict(spacing=[1, float('inf')]), 'spacing must be'),
    (dict(empty='nan'), "empty must be one of 'inf', 'diagonal'"),
    (dict(spacings=[1, 1]), "unknown parameter 'spacings', did you mean 'spacing'"),
]


@pytest.mark.parametrize(
    ('kind', 'params', 'sentence'),
    [(BoundaryIoU, *case) for case in COMMON + OF_BOUNDARY]
    + [(SurfaceDistance, *case) for case in COMMON + OF_SURFACE],
)
def test_refused(kind, params, sentence):
    with pytest.raises(SpecError, match=sentence) as caught:
        kind(**{'num_classes': 3, **params})
    assert str(caught.value).startswith(f'{kind.__name__}: ') and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('kind', 'name'), [(kind, name) for kind in (BoundaryIoU, SurfaceDistance) for name in kind.examples]
)
def test_dictionary_round_trip(kind, name):
    spec = kind(**kind.examples[name].params)
    again = shared_spec.from_dict(spec.to_dict())
    assert again == spec and again.to_dict() == spec.to_dict() and spec.to_dict()['type'] == kind.__name__


def test_what_both_worlds_write():
    spec = BoundaryIoU(num_classes=4, ignore_index=None, ratio=0.05)
    assert spec.to_mmseg() == {
        'type': 'BoundaryMetric',
        'metrics': ['BoundaryIoU'],
        'ignore_index': None,
        'ratio': 0.05,
    }
    assert spec.to_keras() == {'num_classes': 4, 'ignore_class': None, 'ratio': 0.05}
    assert BoundaryIoU.from_keras(spec.keras_arguments()) == spec
    spec = SurfaceDistance(num_classes=4, spacing=(1, 2))
    assert spec.to_mmseg() == {
        'type': 'BoundaryMetric',
        'metrics': ['HD', 'HD95', 'ASSD'],
        'ignore_index': 255,
        'spacing': [1.0, 2.0],
    }
    assert SurfaceDistance.from_keras(spec.keras_arguments()) == spec


def test_names():
    spec = BoundaryIoU(num_classes=4)
    assert spec.names() == ['BoundaryIoUD', 'BoundaryIoUI', 'BoundaryIoUC'] and spec.is_fraction('BoundaryIoUD')
    spec = SurfaceDistance(num_classes=4)
    means = ['HDI', 'HDC', 'HD95I', 'HD95C', 'ASSDI', 'ASSDC']
    assert spec.names() == [*means, 'missed', *(name + '_rest' for name in means)]
    assert spec.is_fraction('missed') and not spec.is_fraction('HDI') and not spec.is_fraction('HDI_rest')
    some = dict(num_classes=4, metrics=['HD95', 'HD'], levels=['C'])
    assert SurfaceDistance(**some).names() == ['HD95C', 'HDC', 'missed', 'HD95C_rest', 'HDC_rest']
    assert SurfaceDistance(**some, empty='diagonal').names() == ['HD95C', 'HDC']


def test_the_evaluator_takes_the_parameters_of_both():
    pytest.importorskip('mmseg', reason="mmsegmentation is not installed: pip install -e '.[mmseg,mmcv-lite]'")
    from mmseg_plugin.evaluation.base import ImageMetric
    from mmseg_plugin.evaluation.boundary import BoundaryMetric

    fields = {**SurfaceDistance.parameters(), **BoundaryIoU.parameters()}
    ours = {name: field.default for name, field in fields.items() if name != 'num_classes'}
    ours['metrics'] = BoundaryIoU.metrics + ours['metrics']
    taken = {name: p.default for name, p in inspect.signature(BoundaryMetric.__init__).parameters.items()}
    host = {'self', 'keep_results', *inspect.signature(ImageMetric.__init__).parameters}
    assert {k: v for k, v in taken.items() if k not in host} == ours
