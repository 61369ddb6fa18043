"""What items mean: versions, arguments, contexts, what was not read, items of our own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segparity.migrate.formulas import FORMULAS
from segparity.migrate.items import Context, Item, Place, Unread
from segparity.migrate.peers import migrate_item
from segparity.migrate.peers.mmseg import EMPTY_IMAGE
from segparity.migrate.peers.rows import ROWS
from segparity.migrate.peers.versions import Versions
from segparity.migrate.probes import probes
from shared_spec import LOSSES, METRICS

ROOT = Path(__file__).resolve().parents[2]
HEAD = Context('mmseg', channels=3, ignore_index=255)
HIDDEN = Unread('it is the result of a call', Place('train.py', 3), 'alpha()')


def only(library, name, arguments=None, context=HEAD, **options):
    (reading,) = migrate_item(Item(library, name, arguments or {}), context, **options).readings
    return reading


class TestVersions:
    @pytest.mark.parametrize(
        'since, before, version, want',
        [
            ('1.1', None, '1.1.0', True),
            ('1.1', None, '1.0.5', False),
            (None, '1.1', '1.0.0rc3', True),
            (None, '1.1', 'v0.30.0', True),
            (None, '3.16', '3.15.1', True),
            (None, '3.16', '3.16.0', False),
            (None, None, 'unknown', True),
        ],
    )
    def test_range(self, since, before, version, want):
        assert (version in Versions('', since, before)) == want

    def test_keras_tversky_by_version(self):
        arguments = {'alpha': 0.3, 'beta': 0.7}
        old = only('keras', 'Tversky', arguments, Context('keras', '3.15.1', channels=1))
        new = only('keras', 'Tversky', arguments, Context('keras', '3.16.0', channels=1))
        assert (old.spec.alpha, old.spec.beta) == (0.7, 0.3)
        assert old.bug
        assert (new.spec.alpha, new.spec.beta) == (0.3, 0.7)
        assert not new.bug

    def test_both_readings_where_no_version_shows(self):
        readings = migrate_item(
            Item('keras', 'tversky', {'alpha': 0.3, 'beta': 0.7}), Context('keras', channels=1)
        ).readings
        assert [r.versions for r in readings] == ['up to 3.15.1', 'from 3.16']
        assert {r.spec.alpha for r in readings} == {0.3, 0.7}

    def test_one_reading_where_both_are_the_same(self):
        reading = only('keras', 'Tversky', {'alpha': 1.0, 'beta': 1.0}, Context('keras', channels=1))
        assert reading.versions == 'any'

    def test_arguments_tell_the_version(self):
        assert only('mmseg', 'DiceLoss', {'eps': 1.0}).versions == 'from 1.1'
        assert only('mmseg', 'DiceLoss', {'exponent': 2}).versions == 'up to 1.0'
        assert len(migrate_item(Item('mmseg', 'DiceLoss', {'loss_weight': 3.0}), HEAD).readings) == 2

    def test_between_two_known_versions_both_are_given(self):
        item = Item('mmseg', 'CrossEntropyLoss', {'class_weight': [1.0, 2.0, 3.0]})
        readings = migrate_item(item, Context('mmseg', '1.2.0', channels=3)).readings
        assert [r.versions for r in readings] == ['up to 1.1.1', '1.2.2']

    def test_the_version_of_the_host_is_not_that_of_another_library(self):
        item = Item('monai', 'GeneralizedWassersteinDiceLoss', {'dist_matrix': [[0, 1], [1, 0]]})
        readings = migrate_item(item, Context('mmseg', '1.2.2', channels=2)).readings
        assert [r.versions for r in readings] == ['up to 1.5', 'from 1.6']


class TestArguments:
    def test_positions_are_names(self):
        named = only('monai', 'DiceLoss', {'include_background': False, 'to_onehot_y': True, 'sigmoid': True})
        assert only('monai', 'DiceLoss', {'0': False, '1': True, '2': True}).spec == named.spec

    def test_an_argument_that_the_peer_lacks_is_named_and_no_equality_claimed(self):
        reading = only('mmseg', 'TverskyLoss', {'wieght': 3})
        assert any('wieght' in sentence for sentence in reading.differences)
        assert reading.verdict == 'nearest'
        assert reading.spec == only('mmseg', 'TverskyLoss').spec

    def test_a_position_too_many(self):
        reading = only('mmseg', 'BoundaryLoss', {'0': 1.0, '1': 'loss_b', '2': 2})
        assert any('positional argument 3' in sentence for sentence in reading.differences)

    def test_what_was_not_read_is_named_and_the_rest_is_read(self):
        reading = only('mmseg', 'TverskyLoss', {'smooth': HIDDEN, 'loss_weight': 2.0})
        assert reading.differences == (EMPTY_IMAGE, 'smooth alpha() was not read: it is the result of a call')
        assert reading.verdict == 'nearest'
        assert (reading.spec.loss_weight, reading.spec.smooth) == (2.0, 1.0)

    def test_unread_parts_of_a_list(self):
        reading = only('mmseg', 'CrossEntropyLoss', {'class_weight': [1.0, HIDDEN], 'avg_non_ignore': True})
        assert any('class_weight' in sentence and 'was not read' in sentence for sentence in reading.differences)
        assert reading.spec.class_weight is None

    def test_weights_in_a_file(self):
        reading = only('mmseg', 'LovaszLoss', {'class_weight': 'w.npy', 'reduction': 'none'})
        assert any("'w.npy'" in sentence for sentence in reading.differences)
        assert reading.verdict == 'nearest'

    @pytest.mark.parametrize('weights', ['abc', [1.0, -1.0, 2.0], [0, 0, 0], [1.0, True, 2.0], [1.0, 2.0], 3, {}])
    def test_weights_that_are_none(self, weights):
        reading = only('mmseg', 'TverskyLoss', {'class_weight': weights})
        assert reading.spec.class_weight is None
        assert reading.differences

    def test_what_ours_refuses_is_a_sentence(self):
        reading = only('mmseg', 'TverskyLoss', {'alpha': -3.0, 'beta': 4.0})
        assert reading.verdict == 'none'
        assert reading.spec is None
        assert 'alpha' in reading.differences[0]

    @pytest.mark.parametrize('value', ['x', None, float('nan'), True, 10**400])
    def test_numbers_that_are_none(self, value):
        reading = only('mmseg', 'TverskyLoss', {'smooth': value})
        assert reading.differences
        assert reading.verdict in ('nearest', 'none')


class TestContext:
    def test_one_channel_of_softmax(self):
        assert only('mmseg', 'CrossEntropyLoss', context=Context(channels=1)).verdict == 'none'

    def test_one_channel_dice_is_not_reproduced(self):
        """1.2.2 learns the background; ours never does, --compat or not."""
        for compat in (False, True):
            reading = only('mmseg', 'DiceLoss', {'eps': 1e-3}, Context('mmseg', '1.2.2', channels=1), compat=compat)
            assert 'background' in reading.bug
            assert reading.verdict == 'nearest'

    def test_compat_says_so(self):
        context = Context('mmseg', '1.2.2', channels=2, ignore_index=0)
        reading = only('mmseg', 'DiceLoss', {'ignore_index': 0, 'naive_dice': True}, context, compat=True)
        assert any('--compat' in sentence for sentence in reading.differences)
        assert reading.bug

    def test_the_label_of_the_head(self):
        reading = only('mmseg', 'CrossEntropyLoss', {'avg_non_ignore': True}, Context(channels=3, ignore_index=7))
        assert reading.spec.ignore_index == 7

    def test_a_sampler(self):
        context = Context(channels=3, sampler='OHEMPixelSampler')
        reading = only('mmseg', 'CrossEntropyLoss', {'avg_non_ignore': True}, context)
        assert reading.verdict == 'nearest'
        assert 'OHEMPixelSampler' in reading.differences[-1]
        assert 'OhemCrossEntropyLoss' in reading.differences[-1]

    def test_hard_examples(self):
        reading = only('mmseg', 'OhemCrossEntropy', {'thres': 0.9, 'min_kept': 131072}, Context(channels=3))
        assert reading.verdict == 'exact'
        assert (reading.spec.thresh, reading.spec.min_kept, reading.spec.ignore_index) == (0.9, 131073, 255)
        assert only('mmseg', 'OhemCrossEntropy', {'thres': 1.5}, Context(channels=3)).spec.thresh == 1

    def test_logits_taken_for_probabilities(self):
        context = Context('keras', channels=1, activation='logits')
        reading = only('keras', 'Dice', context=context)
        assert reading.bug
        assert reading.spec.from_logits

    def test_a_softmax_twice(self):
        context = Context('keras', channels=3, activation='softmax')
        assert 'twice' in only('keras', 'CategoricalCrossentropy', {'from_logits': True}, context).bug

    def test_metrics_need_the_number_of_classes(self):
        reading = only('mmseg', 'IoUMetric', context=Context())
        assert reading.spec is None
        assert 'num_classes' in reading.differences[-1]

    def test_results_are_those_of_the_spec(self):
        context = Context(num_classes=4, channels=4)
        for library, rows in ROWS.items():
            for row in rows:
                for example in row.examples:
                    for reading in migrate_item(Item(library, row.name, example.arguments), context).readings:
                        if row.kind == 'metric' and reading.spec is not None:
                            assert reading.results
                            assert set(reading.results) <= set(reading.spec.names())

    def test_the_offset_of_weighted_scores(self):
        reading = only('segmentation_models', 'DiceLoss', {'class_weights': [0.5, 0.25]}, Context('keras', channels=2))
        assert reading.offset == 1 - (0.5 + 0.25) / 2


class TestUnknown:
    @pytest.mark.parametrize(
        'library, name, word',
        [
            ('mmseg', 'DiceLos', 'did you mean DiceLoss?'),
            ('own', 'dice_coef_loss', 'defined by the project itself'),
            ('paddleseg', 'DiceLoss', 'paddleseg has no entries'),
        ],
    )
    def test_a_sentence(self, library, name, word):
        reading = only(library, name)
        assert reading.verdict == 'none'
        assert reading.spec is None
        assert word in reading.differences[0]


class TestOurs:
    @pytest.mark.parametrize('name', LOSSES)
    def test_losses_in_both_worlds(self, name):
        for example in LOSSES[name].examples.values():
            spec = LOSSES[name](**example.params)
            for world, config in (('mmseg', spec.to_mmseg()), ('keras', spec.to_keras())):
                arguments = {k: v for k, v in config.items() if k != 'type'}
                reading = only('segparity', name, arguments, Context(world))
                assert reading.verdict == 'exact'
                if name == 'WeightedSumLoss':  # Keras states the recipe that is the default
                    assert reading.spec.parts == spec.parts
                    assert reading.spec.shares == spec.shares
                else:
                    assert reading.spec == spec

    @pytest.mark.parametrize('name', METRICS)
    def test_evaluators(self, name):
        for example in METRICS[name].examples.values():
            spec = METRICS[name](**example.params)
            config = spec.to_mmseg()
            kind = config.pop('type')
            if kind == 'BoundaryMetric':
                config.setdefault('metrics', ['BoundaryIoU'])
            reading = only('segparity', kind, config, Context(num_classes=spec.num_classes))
            assert reading.spec == spec
            assert list(reading.results) == spec.names()

    @pytest.mark.parametrize(
        'name, arguments, results',
        [
            ('MeanIoU', {'num_classes': 3, 'level': 'C', 'q': 5}, ['mIoUC5']),
            ('MeanDice', {'0': 3}, ['mDiceD']),
            ('MeanFscore', {'num_classes': 3, 'beta': 2.0, 'level': 'I', 'q': 'Q'}, ['mFscoreIQ']),
            ('PixelAccuracy', {'num_classes': 3, 'ignore_class': 255}, ['aAcc']),
            ('BoundaryIoU', {'num_classes': 3, 'level': 'I'}, ['BoundaryIoUI']),
            ('CalibrationError', {'num_classes': 3, 'metric': 'SCE'}, ['SCED']),
        ],
    )
    def test_keras_metrics(self, name, arguments, results):
        reading = only('segparity', name, arguments, Context('keras'))
        assert list(reading.results) == results
        assert set(results) <= set(reading.spec.names())

    def test_items_in_a_sum(self):
        parts = [Item('segparity', 'SoftDiceLoss', {'smooth': 1.0}), Item('segparity', 'WeightedCrossEntropyLoss')]
        reading = only('segparity', 'WeightedSumLoss', {'0': parts, 'weights': [1, 2]}, Context('keras'))
        assert [type(part).__name__ for part in reading.spec.parts] == ['SoftDiceLoss', 'WeightedCrossEntropyLoss']
        assert reading.spec.parts[0].smooth == 1
        assert not reading.spec.parts[0].from_logits

    def test_a_misspelt_parameter(self):
        reading = only('segparity', 'SoftDiceLoss', {'smoth': 1})
        assert reading.verdict == 'none'
        assert "did you mean 'smooth'" in reading.differences[0]

    def test_unread(self):
        reading = only('segparity', 'SoftDiceLoss', {'smooth': HIDDEN, 'norm': 2})
        assert reading.verdict == 'nearest'
        assert reading.spec == LOSSES['SoftDiceLoss'](norm=2, ignore_index=255)  # that of the head


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(HIDDEN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
NAMES = sorted({(library, row.name) for library, rows in ROWS.items() for row in rows})


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_argument_makes_it_raise(data):
    library, name = data.draw(st.sampled_from(NAMES))
    signature = next(row.signature for row in ROWS[library] if row.name == name)
    known = st.sampled_from([*signature, '0', '1', 'other'])
    arguments = data.draw(st.dictionaries(known, JUNK, max_size=4))
    context = Context(
        data.draw(st.sampled_from(['mmseg', 'keras'])),
        data.draw(st.sampled_from([None, '0.30.0', '1.2.2', '3.15.1', 'x'])),
        channels=data.draw(st.sampled_from([None, 1, 2, 3])),
        num_classes=data.draw(st.sampled_from([None, 2, 3])),
        activation=data.draw(st.sampled_from([None, 'logits', 'softmax', 'sigmoid'])),
        labels=data.draw(st.sampled_from([None, 'ids', 'one_hot', 'soft'])),
    )
    for reading in migrate_item(Item(library, name, arguments), context, data.draw(st.booleans())).readings:
        assert reading.verdict in ('exact', 'float32', 'nearest', 'none', 'not yet')
        assert reading.spec is not None or reading.verdict in ('none', 'not yet')
        assert all(isinstance(sentence, str) for sentence in reading.differences)


def test_nothing_but_numpy_is_loaded():
    text = (
        'from segparity.migrate.items import Context, Item\n'
        'from segparity.migrate.peers import migrate_item\n'
        "migrate_item(Item('mmseg', 'DiceLoss'), Context())\n"
        'import sys\n'
        'print(*{name.split(".")[0] for name in sys.modules})'
    )
    done = subprocess.run(
        [sys.executable, '-c', text],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert not loaded & {'torch', 'keras', 'tensorflow', 'jax', 'mmseg', 'mmengine', 'monai', 'scipy', 'pandas', 'rich'}


class TestFormulas:
    """Peers that cannot be installed, against sums by hand: one image of two pixels, p = 0.8 and 0.4, label 1 and 0."""

    P = np.array([[[[0.8, 0.4]]]])
    Y = np.array([[[1, 0]]])

    def of(self, name, **arguments):
        return FORMULAS['segmentation_models', name, 'any'](self.P, self.Y, arguments, {})

    def test_segmentation_models(self):
        assert self.of('DiceLoss', smooth=1.0) == pytest.approx(1 - (2 * 0.8 + 1) / (1.2 + 1 + 1), abs=1e-15)
        assert self.of('JaccardLoss', smooth=1.0) == pytest.approx(1 - (0.8 + 1) / (1.2 + 1 - 0.8 + 1), abs=1e-15)
        assert self.of('DiceLoss', smooth=0.0, beta=2) == pytest.approx(
            1 - 5 * 0.8 / (5 * 0.8 + 4 * 0.2 + 0.4), abs=1e-15
        )
        assert self.of('BinaryCELoss') == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, abs=1e-15)
        assert self.of('BinaryFocalLoss') == pytest.approx(
            -(0.25 * 0.2**2 * np.log(0.8) + 0.75 * 0.4**2 * np.log(0.6)) / 2, abs=1e-15
        )
        assert self.of('IOUScore', threshold=0.5, smooth=0.0) == 1
        assert self.of('bce_dice_loss') == self.of('BinaryCELoss') + self.of('DiceLoss')

    def test_categorical_cross_entropy_divides_by_the_classes(self):
        p = np.array([[[[0.5]], [[0.25]], [[0.25]]]])
        got = FORMULAS['segmentation_models', 'CategoricalCELoss', 'any'](p, np.array([[[0]]]), {}, {})
        assert got == pytest.approx(np.log(2) / 3, abs=1e-15)

    def test_keras_tversky_from_3_16(self):
        got = FORMULAS['keras', 'Tversky', 'from 3.16'](self.P, self.Y, {'alpha': 1.0, 'beta': 0.0}, {})
        assert got == pytest.approx(1 - 0.8 / (0.8 + 0.4 + 1e-7), abs=1e-15)

    def test_mmsegmentation_up_to_1_0(self):
        """Two classes, p = 1/2 everywhere: (2 n/2 + 1) / (2 n/4... + ...) of each class, one pixel each."""
        logits, ids = np.zeros((1, 2, 1, 2)), np.array([[[0, 1]]])
        got = FORMULAS['mmseg', 'DiceLoss', 'up to 1.0'](logits, ids, {}, {})
        assert got == pytest.approx(1 - (2 * 0.5 + 1) / (2 * 0.25 + 1 + 1), abs=1e-15)

    def test_mmsegmentation_cross_entropy_up_to_1_1(self):
        """One pixel of class 1 with weight 3, one ignored."""
        logits, ids = np.zeros((1, 2, 1, 2)), np.array([[[1, 255]]])
        formula = FORMULAS['mmseg', 'CrossEntropyLoss', 'up to 1.1.1']
        given = {'class_weight': [1.0, 3.0]}
        assert formula(logits, ids, given, {'ignore_index': 255}) == pytest.approx(3 * np.log(2) / 2, abs=1e-15)
        valid = formula(logits, ids, {**given, 'avg_non_ignore': True}, {'ignore_index': 255})
        assert valid == pytest.approx(3 * np.log(2), abs=1e-15)

    @pytest.mark.parametrize('arguments', [{}, {'exponent': 1, 'smooth': 3, 'class_weight': [0.5, 1.75, 1.0]}])
    def test_dice_up_to_1_0_is_ours_where_nothing_is_ignored(self, arguments):
        reading = only('mmseg', 'DiceLoss', arguments, Context('mmseg', '1.0.0', channels=3))
        for probe in probes(3):
            want = FORMULAS['mmseg', 'DiceLoss', 'up to 1.0'](probe.logits, probe.target, arguments, {})
            assert reading.spec.reference(probe.logits, probe.target) == pytest.approx(want, abs=1e-14)

    @pytest.mark.parametrize('valid', [False, True])
    def test_weighted_cross_entropy_up_to_1_1_is_ours_on_one_hot_labels(self, valid):
        arguments = {'class_weight': [0.5, 1.75, 1.0], 'avg_non_ignore': valid}
        reading = only('mmseg', 'CrossEntropyLoss', arguments, Context('mmseg', '1.1.1', channels=3))
        for probe in probes(3):
            one_hot = np.moveaxis(np.eye(3)[probe.target], -1, 1)
            want = FORMULAS['mmseg', 'CrossEntropyLoss', 'up to 1.1.1'](probe.logits, probe.target, arguments, {})
            assert reading.spec.reference(probe.logits, one_hot) == pytest.approx(want, abs=1e-14)
