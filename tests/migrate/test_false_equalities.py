"""Arguments and contexts in which an item is not the same as ours, though it is nearly everywhere else."""

import numpy as np
import pytest

from segparity.migrate.items import Context, Item, Output, Place, Source
from segparity.migrate.peers import migrate_item
from segparity.migrate.plan import comments_of, make_plan, sentences_of, verdict_of
from segparity.migrate.reading.mmseg_config import read_mmseg_config

ONE = Context('keras', channels=1, activation='sigmoid', labels='ids')
MANY = Context('keras', channels=3, num_classes=3, activation='softmax', labels='one_hot')
IDS = Context('keras', channels=3, activation='softmax', labels='ids')


def only(library, name, arguments, context):
    (reading,) = migrate_item(Item(library, name, arguments), context).readings
    return reading


def says(reading, text):
    return any(text in sentence for sentence in reading.differences)


class TestAxis:
    NAMES = [('CategoricalCrossentropy', MANY), ('SparseCategoricalCrossentropy', IDS), ('BinaryCrossentropy', ONE)]

    @pytest.mark.parametrize('name, context', NAMES)
    @pytest.mark.parametrize('axis', [1, 0, -2, 2, [1, 2]])
    def test_another_axis(self, name, context, axis):
        reading = only('keras', name, {'axis': axis}, context)
        assert reading.verdict == 'nearest'
        assert says(reading, f'axis {axis!r} is')

    @pytest.mark.parametrize('name, context', NAMES)
    @pytest.mark.parametrize('axis', [-1, 3])
    def test_the_last_axis(self, name, context, axis):
        assert only('keras', name, {'axis': axis}, context).verdict == 'float32'


class TestReductionAndDtype:
    @pytest.mark.parametrize('name, context', [*TestAxis.NAMES, ('Dice', ONE)])
    def test_none_is_no_mean(self, name, context):
        for value in (None, 'none'):
            reading = only('keras', name, {'reduction': value}, context)
            assert reading.verdict == 'nearest'
            assert says(reading, f'reduction {value!r} is no mean')

    @pytest.mark.parametrize('name, context', [*TestAxis.NAMES, ('Dice', ONE), ('BinaryIoU', ONE), ('acc', MANY)])
    def test_dtype(self, name, context):
        policy = {'class_name': 'DTypePolicy', 'config': {'name': 'mixed_float16'}}
        for value, word in (('float16', 'float16'), ('bfloat16', 'bfloat16'), (policy, 'mixed_float16')):
            reading = only('keras', name, {'dtype': value}, context)
            assert reading.verdict == 'nearest'
            assert says(reading, f"dtype '{word}'")
        for value in (None, 'float32', 'float64', {'config': {'name': 'float32'}}):
            assert only('keras', name, {'dtype': value}, context).verdict == 'float32'


class TestClipping:
    @pytest.mark.parametrize('label, smoothing', [(0, 0.0), (0, 0.1), (1, 0.1)])
    def test_a_probability_of_one(self, label, smoothing):
        """The bound of Keras in float32 is the one that the sentence names; ours has 16.12 in its place."""
        bound = -np.log(np.float64(1) - np.float64(np.float32(1 - 1e-7)))
        assert bound == pytest.approx(15.94, abs=0.005)
        assert -np.log(1e-7) == pytest.approx(16.12, abs=0.005)
        reading = only('keras', 'BinaryCrossentropy', {'label_smoothing': smoothing}, ONE)
        assert reading.verdict == 'float32'
        assert says(reading, '15.94')
        got = float(reading.spec.reference(np.ones((1, 1, 1, 1)), np.full((1, 1, 1), label)))
        share = smoothing / 2 if label else 1 - smoothing / 2
        assert got == pytest.approx(-np.log(1e-7) * share, rel=1e-6)

    def test_categorical_sentence_speaks_of_logits(self):
        reading = only('keras', 'CategoricalCrossentropy', {}, MANY)
        assert says(reading, 'ours of logits nowhere')
        assert not says(reading, '15.94')

    def test_binary_of_a_softmax(self):
        for library, name in (('keras', 'BinaryCrossentropy'), ('segmentation_models', 'BinaryCELoss')):
            for context, want in ((MANY, 'nearest'), (ONE, 'float32')):
                reading = only(library, name, {}, context)
                assert reading.verdict == want
                assert says(reading, 'the sigmoid of each channel') == (want == 'nearest')


class TestIgnoredLabel:
    @pytest.mark.parametrize(
        'name, version, arguments, head',
        [
            ('TverskyLoss', '1.2.2', {}, 0),
            ('TverskyLoss', '1.2.2', {'ignore_index': -1}, 255),
            ('DiceLoss', '1.0', {}, 0),
            ('DiceLoss', '1.2.2', {'naive_dice': True}, 0),
        ],
    )
    def test_own_is_not_that_of_the_head(self, name, version, arguments, head):
        reading = only('mmseg', name, arguments, Context('mmseg', version, channels=3, ignore_index=head))
        assert reading.verdict in ('nearest', 'not yet')
        assert reading.spec.ignore_index == head
        assert says(reading, f'not the label {head} that its head hands over')

    def test_own_is_that_of_the_head(self):
        reading = only('mmseg', 'TverskyLoss', {}, Context('mmseg', '1.2.2', channels=3, ignore_index=255))
        assert reading.verdict == 'float32'
        assert reading.spec.ignore_index == 255
        assert not says(reading, 'hands over')

    def test_tversky_of_an_image_without_a_valid_pixel(self):
        context = Context('mmseg', '1.2.2', channels=3, ignore_index=255)
        reading = only('mmseg', 'TverskyLoss', {}, context)
        assert says(reading, 'an image without a valid pixel counts as a loss of 0')
        logits, target = np.random.default_rng(0).normal(size=(2, 3, 4, 4)), np.zeros((2, 4, 4), int)
        alone = reading.spec.reference(logits[:1], target[:1])
        target[1] = 255
        assert reading.spec.reference(logits, target) == pytest.approx(alone)


class TestVersions:
    def plan_of(self, item, context):
        output = Output('compile', [item], context, Place('a.py', 1))
        return make_plan(Source('Keras script', 'keras', [output]), migrate_item)

    def test_readings_that_differ_are_no_equality(self):
        plan = self.plan_of(Item('keras', 'Tversky', {'alpha': 0.3, 'beta': 0.7}), ONE)
        (migrated,) = plan.items
        assert [reading.verdict for reading in migrated.readings] == ['float32', 'float32']
        assert verdict_of(migrated) == 'nearest'
        assert not plan.complete
        (told,) = [s for s in sentences_of(migrated) if 'depends on the version' in s]
        assert told.endswith('; say --host-version')
        assert 'up to 3.15.1 SoftTverskyLoss(' in told
        assert 'alpha=0.7' in told
        assert 'from 3.16 SoftTverskyLoss(' in told
        assert any('up to 3.15.1 SoftTverskyLoss(' in line for line in comments_of(migrated))

    @pytest.mark.parametrize('version, alpha', [('3.15.1', 0.5), (None, 0.5), ('3.16', 0.3)])
    def test_readings_that_agree(self, version, alpha):
        context = Context('keras', version, channels=1, activation='sigmoid')
        (migrated,) = self.plan_of(Item('keras', 'Tversky', {'alpha': alpha, 'beta': 1 - alpha}), context).items
        assert verdict_of(migrated) == 'float32'
        assert not any('depends on the version' in sentence for sentence in sentences_of(migrated))


class TestThreshold:
    CONFIG = (
        "model = dict(decode_head=dict(type='FCNHead', num_classes=2, out_channels={channels}{more},\n"
        "    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)))\n"
        "val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])\n"
    )

    @pytest.mark.parametrize(
        'channels, more, threshold, want',
        [
            (1, '', 0.3, 'nearest'),  # MMSegmentation's default of one channel
            (1, ', threshold=0.7', 0.7, 'nearest'),
            (1, ', threshold=0.5', 0.5, 'float32'),
            (2, '', None, 'float32'),
        ],
    )
    def test_of_the_head(self, tmp_path, channels, more, threshold, want):
        path = tmp_path / 'config.py'
        path.write_text(self.CONFIG.format(channels=channels, more=more))
        ((item, context),) = read_mmseg_config(path).metrics
        assert context.threshold == threshold
        reading = only(item.library, item.name, item.arguments, context)
        assert reading.verdict == want
        assert says(reading, 'predicts foreground above') == (want == 'nearest')
