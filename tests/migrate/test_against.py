"""Our configurations beside those of installed libraries: ``compare_with_peer``."""

import pytest

from segparity.migrate.peers import against
from segparity.migrate.peers.against import LIBRARIES, compare_with_peer
from segparity.migrate.running import installed_version
from shared_spec import LOSSES, METRICS, SpecError
from tests.support.frameworks import need, worker_of

SAME = [
    ('mmseg', LOSSES['WeightedCrossEntropyLoss'](ignore_index=255), 'CrossEntropyLoss'),
    ('mmseg', LOSSES['SoftTverskyLoss'](granularity='I', classes='all', ignore_index=255, smooth=1.0), 'TverskyLoss'),
    ('mmseg', LOSSES['LovaszSoftmaxLoss'](ignore_index=255, per_image=True), 'LovaszLoss'),
    ('mmseg', LOSSES['LovaszHingeLoss'](), 'LovaszLoss'),
    ('mmseg', METRICS['FineGrained'](num_classes=3), 'IoUMetric'),
    ('monai', LOSSES['SoftDiceLoss'](granularity='I', classes='all', smooth=0.5), 'DiceLoss'),
    ('monai', LOSSES['JaccardMetricLoss'](granularity='D', classes=[1, 2], smooth=1.0), 'DiceLoss'),
    ('monai', LOSSES['SoftTverskyLoss'](granularity='D', classes='all', ignore_index=255), 'TverskyLoss'),
    ('monai', LOSSES['GeneralizedWassersteinDiceLoss'](smooth=1e-5), 'GeneralizedWassersteinDiceLoss'),
    ('monai', METRICS['FineGrained'](num_classes=3), 'DiceMetric'),
    ('smp', LOSSES['WeightedCrossEntropyLoss'](label_smoothing=0.1), 'SoftCrossEntropyLoss'),
    ('smp', LOSSES['LovaszSoftmaxLoss'](ignore_index=255), 'LovaszLoss'),
    ('keras', LOSSES['WeightedCrossEntropyLoss'](ignore_index=255), 'SparseCategoricalCrossentropy'),
    ('keras', LOSSES['SoftDiceLoss'](granularity='I', classes='all', smooth=0), 'Dice'),
    ('keras', LOSSES['SoftTverskyLoss'](granularity='D', classes='all', smooth=0), 'Tversky'),
]


def here(library):
    if installed_version(library) is None:
        pytest.skip(f'{library} is not installed')


@pytest.mark.parametrize(
    'library, spec, name',
    [
        pytest.param(
            *case,
            id=f'{case[0]}-{type(case[1]).__name__}',
            marks=pytest.mark.xdist_group('keras_torch' if case[0] == 'keras' else 'peers'),
        )
        for case in SAME
    ],
)
def test_what_is_the_same(library, spec, name):
    here(library)
    if library == 'keras':
        need('keras_torch')
    (row,) = compare_with_peer(spec, library, worker_of('keras_torch').call if library == 'keras' else None)
    assert row.item.startswith(f'{name}(')
    assert row.value <= 1e-6
    assert row.gradient is None or row.gradient <= 1e-5


def test_a_difference_has_its_reason():
    here('monai')
    (row,) = compare_with_peer(LOSSES['SoftDiceLoss'](granularity='C', smooth=1.0), 'monai')
    assert row.value > 1e-3
    assert "its granularity is 'I', ours 'C'" in row.reason


def test_a_bug_is_named():
    here('mmseg')
    (row,) = compare_with_peer(LOSSES['SoftDiceLoss'](activation='sigmoid', granularity='I', classes='all'), 'mmseg')
    assert 'its pooled is True, ours False' in row.reason and 'keep their place' in row.reason


def test_a_sum_that_the_peer_has():
    here('monai')
    parts = [LOSSES['SoftDiceLoss'](granularity='I', classes='all', smooth=5e-6), LOSSES['WeightedCrossEntropyLoss']()]
    (row,) = compare_with_peer(LOSSES['WeightedSumLoss'](losses=parts, weights=[2, 0.5], loss_weight=2.0), 'monai')
    assert row.item.startswith('DiceCELoss(')
    assert row.value <= 1e-12


def test_a_sum_by_its_parts():
    here('smp')
    rows = compare_with_peer(LOSSES['WeightedSumLoss'](), 'smp')
    assert [row.ours for row in rows] == ['WeightedCrossEntropyLoss', 'JaccardMetricLoss']


def test_a_weight_that_the_peer_lacks_stands_outside():
    here('smp')
    (row,) = compare_with_peer(LOSSES['WeightedCrossEntropyLoss'](loss_weight=0.25), 'smp')
    assert row.value <= 1e-12
    assert '0.25' in row.reason


def test_nothing_near():
    here('mmseg')
    (row,) = compare_with_peer(LOSSES['RobustTLoss'](), 'mmseg')
    assert (row.item, row.value, row.gradient) == ('', None, None)
    assert row.reason == 'MMSegmentation has nothing that is near'


def test_an_unknown_library():
    with pytest.raises(SpecError, match="unknown library 'mmsge', did you mean 'mmseg'"):
        compare_with_peer(LOSSES['SoftDiceLoss'](), 'mmsge')


def test_a_library_that_is_not_here(monkeypatch):
    monkeypatch.setattr(against, 'installed_version', lambda library: None)
    with pytest.raises(RuntimeError, match='MONAI is not installed'):
        compare_with_peer(LOSSES['SoftDiceLoss'](), 'monai')


@pytest.mark.parametrize('name', [*LOSSES, *METRICS])
@pytest.mark.parametrize('library', [library for library in LIBRARIES if library != 'keras'])
def test_every_configuration_has_a_row(library, name):
    here(library)
    kind = {**LOSSES, **METRICS}[name]
    example = next(iter(kind.examples.values()))
    for row in compare_with_peer(kind(**example.params), library):
        assert row.reason or row.value <= 1e-6
