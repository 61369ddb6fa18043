"""The table of peers: every row runs the peer beside ours, and what the rows and the page say is what was measured."""

import math

import pytest

from segparity.migrate import measure
from segparity.migrate.items import Context, Item
from segparity.migrate.measure import Measured, context_of, holds, item_of, measure_on_probes, reading_of
from segparity.migrate.peers import migrate_item
from segparity.migrate.peers.mmseg import EMPTY_IMAGE
from segparity.migrate.peers.recorded import key_of, records
from segparity.migrate.running import installed_version
from shared_spec import LOSSES
from tests.support.frameworks import need, worker_of

EXAMPLES = [(row, example) for row, example in measure.all_examples() if example.how != 'none']
DIGITS = 0.01  # of a recorded difference that is more than rounding


def identity(row, example):
    return key_of(row, example).replace(' | ', '-')


def asked(row, example):
    """How Keras is called, None for the others; skips where the peer is not here."""
    if row.library == 'keras' and example.how == 'run':
        need('keras_torch')
        return worker_of('keras_torch').call
    if example.how == 'run' and installed_version(row.library) is None:
        pytest.skip(f'{row.library} is not installed')
    return None


@pytest.mark.parametrize(
    'row, example',
    [
        pytest.param(
            row,
            example,
            id=identity(row, example),
            marks=pytest.mark.xdist_group('keras_torch' if row.library == 'keras' else 'peers'),
        )
        for row, example in EXAMPLES
    ],
)
def test_row(row, example):
    """A peer differs from ours by what the verdict says, no more and no less, and by what was recorded."""
    reading = reading_of(row, example)
    found = measure_on_probes(item_of(row, example), reading, context_of(row, example), asked(row, example))
    assert found is not None, f'{row.library} {installed_version(row.library)} is not a version of this row'
    beyond = EMPTY_IMAGE in reading.differences  # what is told of such images no probe shows: it may be equal on all
    assert holds(reading.verdict, found, row.kind == 'metric' or beyond), (reading.verdict, found)
    kept = records()[key_of(row, example)]
    assert kept['verdict'] == reading.verdict
    assert set(kept['refused']) == set(found.refused)
    for name in ('value', 'gradient'):
        got, want = getattr(found, name), kept[name]
        assert (got is None) == (want is None), name
        if want is not None and want > 1e-6:
            assert got == pytest.approx(want, rel=DIGITS), name
        elif want is not None and name == 'value':
            assert got <= 1e-6


def test_every_example_is_recorded_and_nothing_else():
    keys = [key_of(row, example) for row, example in measure.all_examples()]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(records())


def test_verdicts_without_a_figure_claim_no_equality():
    for row, example in measure.all_examples():
        if example.how == 'none':
            assert reading_of(row, example).verdict in ('none', 'not yet', 'nearest'), key_of(row, example)


def test_differences_are_sentences():
    """Each reading that is not equal says why, in one line that ends without a full stop."""
    for row, example in measure.all_examples():
        reading = reading_of(row, example)
        if reading.verdict not in ('exact', 'float32'):
            assert reading.differences or reading.bug, key_of(row, example)
        for sentence in (*reading.differences, reading.bug):
            assert '\n' not in sentence
            assert not sentence.endswith('.')


class TestHolds:
    """The judge of verdicts fails where it should."""

    @pytest.mark.parametrize(
        'verdict, value, gradient, metric, want',
        [
            ('exact', 1e-13, 1e-11, False, True),
            ('exact', 1e-11, 0.0, False, False),
            ('exact', 0.0, 1e-9, False, False),
            ('float32', 1e-8, 1e-8, False, True),
            ('float32', 1e-5, 0.0, False, False),
            ('float32', 0.0, 1e-3, False, False),
            ('float32', 0.0, 0.0, False, False),  # worse named than it is
            ('float32', 0.0, None, True, True),
            ('nearest', 0.1, 0.1, False, True),
            ('nearest', 0.0, 0.1, False, True),
            ('nearest', 1e-8, 1e-8, False, False),
            ('not yet', math.inf, None, True, True),
            ('nearest', math.nan, None, False, True),
            ('exact', math.nan, None, False, False),
            ('exact', None, None, False, False),
        ],
    )
    def test_verdict(self, verdict, value, gradient, metric, want):
        assert holds(verdict, Measured(value, gradient), metric) == want

    def test_a_wrong_reading_is_seen(self):
        """Swapped weights of false positives and negatives, which agree wherever alpha is beta."""
        pytest.importorskip('torch')
        item, context = Item('torch', 'CrossEntropyLoss', {'weight': [0.5, 1.75, 1.0]}), Context(channels=3)
        (reading,) = migrate_item(item, context).readings
        assert holds(reading.verdict, measure_on_probes(item, reading, context))
        wrong = LOSSES['WeightedCrossEntropyLoss'](class_weight=[1.75, 0.5, 1.0])
        assert not holds('float32', measure_on_probes(item, measure.dataclasses.replace(reading, spec=wrong), context))


def test_measure_is_none_where_the_peer_is_not_here(monkeypatch):
    monkeypatch.setattr(measure, 'installed_version', lambda library: None)
    item, context = Item('monai', 'DiceLoss', {'sigmoid': True}), Context(channels=1)
    (reading,) = migrate_item(item, context).readings
    assert measure.measure(item, reading, context) is None


def test_measure_of_what_cannot_be_installed_is_that_of_its_formulas():
    item = Item('segmentation_models', 'DiceLoss', {'smooth': 1.0})
    context = Context('keras', channels=1, activation='sigmoid')
    (reading,) = migrate_item(item, context).readings
    assert measure.measure(item, reading, context) <= 1e-12


def test_no_measure_without_something_near():
    item = Item('mmseg', 'SiLogLoss')
    (reading,) = migrate_item(item, Context()).readings
    assert measure.measure(item, reading, Context()) is None


class TestRecorded:
    """What a reading says without running anything."""

    HEAD = Context('mmseg', '1.2.2', channels=3, ignore_index=255)

    def test_the_same_call(self):
        (reading,) = migrate_item(
            Item('mmseg', 'CrossEntropyLoss', {'reduction': 'sum', 'avg_non_ignore': True}), self.HEAD
        ).readings
        key = "mmseg | 1.2.2 | CrossEntropyLoss(reduction='sum', avg_non_ignore=True) | ignored label 255, 3 channels"
        assert reading.measured == records()[key]['value'] == 59

    def test_another_call_has_the_largest_of_its_verdict(self):
        item = Item('mmseg', 'CrossEntropyLoss', {'loss_weight': 0.3, 'reduction': 'sum'})
        (reading,) = migrate_item(item, self.HEAD).readings
        mine = [r for key, r in records().items() if key.startswith('mmseg | 1.2.2 | CrossEntropyLoss')]
        assert reading.verdict == 'nearest'
        assert reading.measured == max(r['value'] for r in mine if r['verdict'] == 'nearest')

    def test_none_without_a_spec(self):
        assert migrate_item(Item('mmseg', 'SiLogLoss'), self.HEAD).readings[0].measured is None
