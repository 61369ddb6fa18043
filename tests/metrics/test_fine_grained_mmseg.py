"""FineGrainedMetric inside MMSegmentation's evaluator."""

from pathlib import Path

import numpy as np
import pytest

for host in ('torch', 'mmengine', 'mmcv', 'mmseg'):
    pytest.importorskip(host, reason=f"{host} is not installed: pip install -e '.[mmseg,mmcv-lite]'")

import torch
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from PIL import Image

import mmseg_plugin  # noqa: F401
from mmseg_plugin.metrics.fine_grained import count_on_device
from shared_spec import SpecError
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.metrics.fine_grained.state import image_counts
from tests.metrics.compare import SAME, assert_agrees, assert_results
from tests.metrics.golden import EVERY_METRIC, golden, ids
from tests.metrics.rules import RULES, random_images

WORKER = Path(__file__).with_name('worker.py')
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


def build(num_classes, **arguments):
    metric = METRICS.build(dict(type='FineGrainedMetric', **arguments))
    metric.dataset_meta = dict(classes=[f'class {c}' for c in range(num_classes)])
    return metric


def samples(preds, targets, **more):
    """Data samples as a segmentor hands them over: (1, H, W) maps in a dict."""
    return [
        dict(
            pred_sem_seg=dict(data=torch.as_tensor(p.reshape(1, -1, p.shape[-1]))),
            gt_sem_seg=dict(data=torch.as_tensor(t.reshape(1, -1, t.shape[-1]))),
            img_path=f'images/{i}.jpg',
            **more,
        )
        for i, (p, t) in enumerate(zip(preds, targets))
    ]


def evaluated(metric, data_samples, size=None):
    for start in range(0, len(data_samples), 3):
        metric.process({}, data_samples[start : start + 3])
    return metric.evaluate(len(data_samples) if size is None else size)


def in_per_cent(results):
    return {name: 100 * value for name, value in results.items()}


def aliases(results):
    """What is logged twice, under the names of MMSegmentation's evaluator too."""
    names = [name for name in ('mAcc', 'mIoU', 'mDice', 'mPrecision') if name + 'D' in results]
    return {name: results[name + 'D'] for name in names}


@pytest.mark.parametrize('case_id', ids('jdt', 'mmseg', 'city'))
def test_published_in_per_cent(case_id):
    case = golden(case_id)
    spec = case.spec
    metric = build(spec.num_classes, **{k: v for k, v in spec.to_mmseg().items() if k != 'type'})
    got = evaluated(metric, samples(case.preds, case.targets))
    assert_agrees(got, in_per_cent(case.published()), 1e-9, case_id)
    assert list(got)[: len(spec.names())] == spec.names()
    assert {name: got[name] for name in list(got)[len(spec.names()) :]} == aliases(got)


@pytest.mark.parametrize('rule', [r for r in RULES if r.weights is None], ids=lambda rule: rule.name)
def test_by_hand(rule):
    params = dict(rule.params)
    metric = build(params.pop('num_classes'), **params)
    preds, targets, _ = rule.arrays()
    assert_agrees(evaluated(metric, samples(preds, targets)), in_per_cent(rule.want), 100 * SAME, rule.name)


def test_agrees_with_mmsegs_own_evaluator():
    preds, targets = random_images(21, 8, 5)
    theirs = IoUMetric(iou_metrics=['mIoU', 'mDice', 'mFscore'])
    theirs.dataset_meta = dict(classes=list('abcde'))
    theirs.process({}, samples(preds, targets))
    want = theirs.evaluate(8)
    got = evaluated(build(5, metrics=EVERY_METRIC), samples(preds, targets))
    assert 'mFscore' in want and 'mFscore' not in got  # that of classes which are never right differs
    for name in ('mIoU', 'mAcc', 'mDice', 'mPrecision', 'aAcc'):
        assert round(got[name], 2) == pytest.approx(want[name], abs=1e-5)
        assert name == 'aAcc' or got[name] == got[name + 'D']
    assert 'mIoU' not in evaluated(build(5, levels=['I', 'C']), samples(preds, targets))


def test_a_head_with_one_channel_predicts_floats():
    preds, targets = random_images(22, 4, 2)
    got = evaluated(build(2, binary=True), samples(preds.astype(np.float32), targets))
    assert_results(got, evaluated(build(2, binary=True), samples(preds, targets)), 0)


@pytest.mark.parametrize('ignore_index', [None, -1, 1, 255])
def test_counts_on_a_device_are_those_on_the_cpu(ignore_index):
    preds, targets = random_images(23, 3, 4, ignore_index=ignore_index)
    targets[0, 0, :3] = [9, -7, 4]
    for pred, target in zip(preds, targets):
        got = count_on_device(torch.as_tensor(pred), torch.as_tensor(target), 4, ignore_index)
        np.testing.assert_array_equal(got, image_counts(pred, target, 4, ignore_index))
    with pytest.raises(ValueError, match='class ids below 4'):
        count_on_device(torch.tensor([4]), torch.tensor([0]), 4, ignore_index)


@pytest.mark.gpu
def test_counts_on_a_gpu():
    preds, targets = random_images(24, 3, 4)
    data = samples(preds, targets)
    for sample in data:
        sample['pred_sem_seg']['data'] = sample['pred_sem_seg']['data'].cuda()
    assert_results(evaluated(build(4), data), evaluated(build(4), samples(preds, targets)), 0)


def test_repeated_images_are_dropped_by_identity_only():
    preds, targets = random_images(25, 5, 4)
    data = samples(preds, targets)
    want = evaluated(build(4), data)
    assert_results(evaluated(build(4), [data[0], *data, data[3]]), want, 0)
    # the rows beyond the size of the data set are cut only where identities cannot tell which is the repeated one
    assert_results(evaluated(build(4), [data[0], *data], size=5), want, 0)
    for sample in data:
        del sample['img_path']
    assert_results(evaluated(build(4), data), want, 0)
    assert_results(evaluated(build(4), [*data, data[0]], size=5), want, 0)
    assert evaluated(build(4), [*data, data[0]])['mIoUI'] != want['mIoUI']


def test_two_annotations_of_one_image_are_two_images():
    preds, targets = random_images(26, 2, 4)
    data = samples(preds, targets)
    for i, sample in enumerate(data):
        sample.update(img_path='one.jpg', seg_map_path=f'rater_{i}.png')
    metric = build(4)
    metric.process({}, data)
    assert len({image_id for image_id, *_ in metric.results}) == 2
    assert all(len(row) == 3 and row[2].nbytes == 4 * 3 * 8 for row in metric.results)


def test_the_tables_are_logged(monkeypatch):
    texts = []
    monkeypatch.setattr('mmseg_plugin.evaluation.base.print_log', lambda text, logger=None: texts.append(text))
    preds, targets = random_images(27, 4, 3)
    got = evaluated(build(3, metrics=['mIoU', 'mAcc'], q=[5]), samples(preds, targets))
    valid = targets != 255
    both, either = ((preds == 1) & (targets == 1))[valid].sum(), ((preds == 1) | (targets == 1))[valid].sum()
    (text,) = texts
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines() if '|' in line]
    levels = ['D', 'I', 'I5', 'IQ', 'C', 'C5', 'CQ']
    assert rows[:4] == [
        ['FineGrainedMetric: results, in per cent'],
        ['', *levels],
        *([metric, *(f'{got[metric + level]:.2f}' for level in levels)] for metric in ('mIoU', 'mAcc')),
    ]
    assert f'\naAcc {got["aAcc"]:.2f}, FWIoU {got["FWIoU"]:.2f}\n' in text
    assert rows[4:6] == [
        ['FineGrainedMetric: classes, in per cent'],
        ['Class', 'IoUD', 'IoUC', 'AccD', 'AccC'],  # the worst-case columns would only make it wide
    ]
    assert rows[7][:2] == ['class 1', f'{100 * both / either:.2f}']


def test_a_prefix_tells_tables_apart_and_classes_of_one_name_have_a_row_each(monkeypatch):
    texts = []
    monkeypatch.setattr('mmseg_plugin.evaluation.base.print_log', lambda text, logger=None: texts.append(text))
    metric = build(2, levels=['C'], metrics=['mIoU'], q=[], prefix='site')
    metric.dataset_meta = dict(classes=['cell', 'cell'])
    evaluated(metric, samples(*random_images(27, 4, 2)))
    assert '| FineGrainedMetric (site): results, in per cent |' in texts[0] and texts[0].count('| cell ') == 2


@pytest.mark.parametrize('shift', [0, 1])
def test_predictions_are_written_as_mmseg_writes_them(tmp_path, shift):
    preds, targets = random_images(28, 2, 4)
    data = samples(preds, targets, reduce_zero_label=bool(shift))
    got = evaluated(build(4, output_dir=str(tmp_path / 'ours'), format_only=True), data)
    assert got == {}
    theirs = IoUMetric(output_dir=str(tmp_path / 'theirs'), format_only=True)
    theirs.dataset_meta = dict(classes=list('abcd'))
    theirs.process({}, data)
    for i in range(2):
        ours, want = (Image.open(tmp_path / who / f'{i}.png') for who in ('ours', 'theirs'))
        assert ours.mode == want.mode == 'L'
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(want))
        np.testing.assert_array_equal(np.asarray(ours), preds[i] + shift)


def test_more_classes_than_a_byte_are_written_whole(tmp_path):
    preds = np.array([[[0, 299], [256, 7]]])
    evaluated(build(300, output_dir=str(tmp_path), format_only=True), samples(preds, preds))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / '0.png')), preds[0])


def test_the_hooks_know_the_names():
    for name in [*FineGrained(num_classes=3, metrics=EVERY_METRIC, q=[1, 25]).names(), 'mIoU', 'mAcc', 'mDice']:
        for key in (name, f'loss/{name}'):  # a prefix that says 'less' to mmengine
            assert CheckpointHook(save_best=key).rules == ['greater']
            assert EarlyStoppingHook(key).rule == 'greater'


def test_the_hooks_keep_to_what_they_are_given():
    assert CheckpointHook(save_best=['mFscoreC', 'ECED'], rule=['less', 'greater']).rules == ['less', 'greater']
    assert CheckpointHook(save_best=['mFscoreC', 'HD95I'], rule='greater').rules == ['greater', 'greater']
    assert CheckpointHook(save_best='FWIoU', less_keys=['fwiou'], greater_keys=['x']).rules == ['less']
    assert EarlyStoppingHook('mFscoreC', rule='less').rule == 'less'


@pytest.mark.parametrize('name', ['xHDI', 'myFWIoU', 'HD95', 'mFscore', 'fwiou_of_someone', 'ECEDx'])
def test_names_that_are_not_ours_are_left_to_the_hooks(name):
    with pytest.raises(ValueError, match='Cannot infer the rule'):
        CheckpointHook(save_best=name)
    with pytest.raises(ValueError, match='Cannot infer the rule'):
        EarlyStoppingHook(name)
    assert CheckpointHook(save_best=f'{name}_loss').rules == [EarlyStoppingHook(f'{name}_loss').rule] == ['less']
    assert CheckpointHook(save_best=f'{name}_acc').rules == [EarlyStoppingHook(f'{name}_acc').rule] == ['greater']


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (dict(ignor_index=255), "unknown parameter 'ignor_index', did you mean 'ignore_index'"),
        (dict(num_classes=19), "unknown parameter 'num_classes'"),
        (dict(levels=['K']), 'levels must be a list'),
        (dict(format_only=True), 'format_only=True needs output_dir, got None'),
    ],
)
def test_refused_at_construction(arguments, sentence):
    with pytest.raises(SpecError, match=f'FineGrainedMetric: {sentence}'):
        METRICS.build(dict(type='FineGrainedMetric', **arguments))


def test_refused_at_the_first_batch():
    preds, targets = random_images(29, 2, 4)
    with pytest.raises(ValueError, match="dataset_meta must name the 'classes'"):
        METRICS.build(dict(type='FineGrainedMetric')).process({}, samples(preds, targets))
    with pytest.raises(SpecError, match='FineGrainedMetric: binary=True needs num_classes=2'):
        build(4, binary=True).process({}, samples(preds, targets))
    with pytest.raises(
        ValueError, match=r'FineGrainedMetric: predictions must be class ids below 3, got 3 \(image images/0.jpg\)'
    ):
        build(3).process({}, samples(preds, np.minimum(preds, 2)))
    with pytest.raises(ValueError, match=r'shape of gt_sem_seg \(1, 8, 6\), got \(1, 6, 8\)'):
        build(4).process({}, samples(preds.transpose(0, 2, 1), targets))
