"""CalibrationMetric inside MMSegmentation's evaluator."""

from pathlib import Path

import numpy as np
import pytest

for host in ('torch', 'mmengine', 'mmcv', 'mmseg'):
    pytest.importorskip(host, reason=f"{host} is not installed: pip install -e '.[mmseg,mmcv-lite]'")

import torch
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmseg.registry import METRICS

import mmseg_plugin  # noqa: F401
from mmseg_plugin.metrics.calibration import count_on_device
from shared_spec import SpecError
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.calibration.state import image_cells
from tests.metrics.calibration_cases import GOLDEN, UNITS, Golden, random_images
from tests.metrics.compare import FLOAT32, assert_agrees, assert_results

WORKER = Path(__file__).with_name('worker.py')
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


def build(num_classes, **arguments):
    metric = METRICS.build(dict(type='CalibrationMetric', **arguments))
    metric.dataset_meta = dict(classes=[f'class {c}' for c in range(num_classes)])
    return metric


def samples(probs, targets, dtype=torch.float64):
    """Data samples as a segmentor hands them over: logits (C, H, W) and labels (1, H, W) in a dict."""
    with np.errstate(divide='ignore'):
        logits = [np.log(p) + 3 for p in probs]  # a constant that softmax takes away
    return [
        dict(
            seg_logits=dict(data=torch.as_tensor(z).to(dtype)),
            gt_sem_seg=dict(data=torch.as_tensor(t)[None]),
            img_path=f'images/{i}.jpg',
        )
        for i, (z, t) in enumerate(zip(logits, targets))
    ]


def one_channel(probs, targets):
    """The same of a head with one channel: MMSegmentation's segmentors store its sigmoid as seg_logits."""
    data = samples(probs, targets)
    for sample, prob in zip(data, probs):
        sample['seg_logits']['data'] = torch.as_tensor(prob[1:])
    return data


def evaluated(metric, data_samples, size=None):
    for start in range(0, len(data_samples), 3):
        metric.process({}, data_samples[start : start + 3])
    return metric.evaluate(len(data_samples) if size is None else size)


def in_per_cent(results):
    return {name: 100 * value for name, value in results.items()}


# softmax does not give back a confidence that lies exactly on an edge
@pytest.mark.parametrize('case_id', [i for i in GOLDEN if 'edges' not in i])
def test_published_in_per_cent(case_id):
    case = Golden(case_id)
    arguments = {k: v for k, v in case.spec.to_mmseg().items() if k != 'type'}
    got = evaluated(build(case.spec.num_classes, **arguments), samples(case.probs, case.targets))
    # SCE too, which JDTLosses has in per mille; softmax makes the sum of probabilities 1, which was off by 4e-8
    assert_agrees(got, in_per_cent(case.followed()), 100 * FLOAT32, case_id)
    assert list(got) == case.spec.names()


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
def test_every_precision_agrees_with_the_reference(dtype):
    probs, targets = random_images(21, 6, 5)
    data = samples(probs, targets, dtype)
    wide = torch.promote_types(dtype, torch.float32)
    given = [sample['seg_logits']['data'].to(wide).softmax(0).numpy() for sample in data]
    want = Calibration(num_classes=5).reference(given, targets)
    assert_results(evaluated(build(5), data), in_per_cent(want), 100 * UNITS)


def test_of_one_channel_the_sigmoid_is_taken_already():
    probs, targets = random_images(22, 4, 2)
    for binary in (False, True):
        want = in_per_cent(Calibration(num_classes=2, binary=binary).reference(probs, targets))
        assert_results(evaluated(build(2, binary=binary), one_channel(probs, targets)), want, 100 * UNITS)
    data = one_channel(probs, targets)
    data[0]['seg_logits']['data'][0, 0, 0] = 1.25
    targets[0, 0, 0] = 0
    with pytest.raises(
        ValueError, match=r'CalibrationMetric: probabilities must be in \[0, 1\], got 1.25 \(image images/0.jpg\)'
    ):
        evaluated(build(2), data)


def test_mmsegmentation_stores_the_sigmoid_of_one_channel():
    from mmengine.structures import PixelData
    from mmseg.models.segmentors.base import BaseSegmentor
    from mmseg.structures import SegDataSample

    class Segmentor:
        decode_head = type('Head', (), dict(threshold=0.3))
        align_corners = False
        postprocess_result = BaseSegmentor.postprocess_result

    probs, targets = random_images(23, 1, 2)
    sample = SegDataSample(metainfo=dict(ori_shape=targets.shape[1:], img_path='one.jpg'))
    sample.gt_sem_seg = PixelData(data=torch.as_tensor(targets))
    logits = torch.logit(torch.as_tensor(probs[:, 1:]))
    done = Segmentor().postprocess_result(logits, [sample])
    want = in_per_cent(Calibration(num_classes=2).reference(probs, targets))
    assert_results(evaluated(build(2), [done[0].to_dict()]), want, 100 * UNITS)


@pytest.mark.parametrize('ignore_index', [None, -1, 1, 255])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_cells_on_a_device_are_those_on_the_cpu(ignore_index, dtype):
    probs, targets = random_images(24, 3, 4, ignore_index=ignore_index)
    targets[0, 0, :3], targets[1] = [9, -7, 4], 1
    probs[2, :, 0] = 0.25
    for prob, target in zip(probs.astype(dtype), targets):
        got = count_on_device(torch.as_tensor(prob), torch.as_tensor(target), 4, 10, ignore_index)
        np.testing.assert_array_equal(got, image_cells(prob, target, 4, 10, ignore_index))
        prob, target = prob[1:2], np.where((target == ignore_index) | (target < 2), target, 0)
        got = count_on_device(torch.as_tensor(prob), torch.as_tensor(target), 2, 10, ignore_index)
        np.testing.assert_array_equal(got, image_cells(prob, target, 2, 10, ignore_index))
    prob = torch.full((2, 3), 0.5)
    prob[0, 1] = torch.nan
    want = image_cells(prob.numpy(), np.array([0, 1, 9]), 2, 10, ignore_index)
    np.testing.assert_array_equal(count_on_device(prob, torch.tensor([0, 1, 9]), 2, 10, ignore_index), want)
    prob[0] = torch.tensor([1.004, -0.004, 0.5])
    want = image_cells(prob.numpy(), np.array([0, 1, 9]), 2, 10, ignore_index)
    np.testing.assert_array_equal(count_on_device(prob, torch.tensor([0, 1, 9]), 2, 10, ignore_index), want)
    with pytest.raises(ValueError, match='probabilities must be in'):
        count_on_device(torch.full((2, 1), 2.0), torch.tensor([0]), 2, 10, ignore_index)
    with pytest.raises(ValueError, match='prob must be'):
        count_on_device(torch.ones(3, 1), torch.tensor([0]), 2, 10, ignore_index)


@pytest.mark.gpu
def test_cells_on_a_gpu():
    probs, targets = random_images(25, 3, 4, (300, 400))
    for prob, target in zip(probs.astype(np.float32), targets):
        got = count_on_device(torch.as_tensor(prob).cuda(), torch.as_tensor(target).cuda(), 4, 10, 255)
        np.testing.assert_array_equal(got, image_cells(prob, target, 4, 10, 255))
    data = samples(probs, targets)
    want = evaluated(build(4), data)
    for sample in data:
        sample['seg_logits']['data'] = sample['seg_logits']['data'].cuda()
    assert_results(evaluated(build(4), data), want, 100 * UNITS)  # another softmax, but for edges the same bins


def test_repeated_images_are_dropped_by_identity_only():
    data = samples(*random_images(26, 5, 4))
    want = evaluated(build(4), data)
    assert_results(evaluated(build(4), [data[0], *data, data[3]]), want, 0)
    # the rows beyond the size of the data set are cut only where identities cannot tell which is the repeated one
    assert_results(evaluated(build(4), [data[0], *data], size=5), want, 0)
    for sample in data:
        del sample['img_path']
    assert_results(evaluated(build(4), data), want, 0)
    assert_results(evaluated(build(4), [*data, data[0]], size=5), want, 0)
    assert evaluated(build(4), [*data, data[0]])['ECEI'] != want['ECEI']


def test_prefix_and_choice_of_results():
    data = samples(*random_images(27, 3, 4))
    whole = evaluated(build(4), data)
    got = evaluated(build(4, prefix='calibration', metrics=['SCE', 'ECE'], levels=['I']), data)
    assert got == {'calibration/SCEI': whole['SCEI'], 'calibration/ECEI': whole['ECEI']}
    assert list(got) == ['calibration/SCEI', 'calibration/ECEI']
    assert evaluated(build(4, bins=3), data) != whole and evaluated(build(4, hit='argmax'), data) != whole


def test_the_table_of_classes_is_logged(monkeypatch):
    texts = []
    monkeypatch.setattr('mmseg_plugin.evaluation.base.print_log', lambda text, logger=None: texts.append(text))
    probs, targets = np.array([[[[0.75]], [[0.25]], [[0.0]]]]), np.array([[[1]]])
    evaluated(build(3), samples(probs, targets))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in texts[0].splitlines() if '|' in line]
    assert rows[:2] == [['CalibrationMetric: results, in per cent'], ['', 'D', 'I']]
    assert rows[3] == ['SCE', '75.00', '75.00']
    assert rows[4:] == [
        ['CalibrationMetric: classes, in per cent'],
        ['Class', 'SCED'],
        ['class 0', 'nan'],
        ['class 1', '75.00'],
        ['class 2', 'nan'],
    ]
    del texts[:]
    evaluated(build(3, metrics=['ECE']), samples(probs, targets))
    assert 'classes' not in texts[0]


@pytest.mark.parametrize('name', Calibration(num_classes=3).names())
def test_the_hooks_know_that_less_is_better(name):
    for key in (name, f'accuracy/{name}'):  # a prefix that says 'greater' to mmengine
        assert CheckpointHook(save_best=key).rules == [EarlyStoppingHook(key).rule] == ['less']
    assert CheckpointHook(save_best=['mIoUI', name]).rules == ['greater', 'less']


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (dict(ignor_index=255), "unknown parameter 'ignor_index', did you mean 'ignore_index'"),
        (dict(num_classes=19), "unknown parameter 'num_classes'"),
        (dict(levels=['C']), 'levels must be a list'),
        (dict(bins=0), 'bins must be an integer >= 1, got 0'),
    ],
)
def test_refused_at_construction(arguments, sentence):
    with pytest.raises(SpecError, match=f'CalibrationMetric: {sentence}'):
        METRICS.build(dict(type='CalibrationMetric', **arguments))


def test_refused_at_the_first_batch():
    data = samples(*random_images(28, 2, 4))
    with pytest.raises(ValueError, match="CalibrationMetric: dataset_meta must name the 'classes'"):
        METRICS.build(dict(type='CalibrationMetric')).process({}, data)
    with pytest.raises(SpecError, match='CalibrationMetric: binary=True needs num_classes=2'):
        build(4, binary=True).process({}, data)
    data[0]['gt_sem_seg']['data'] = data[0]['gt_sem_seg']['data'].transpose(1, 2)
    with pytest.raises(
        ValueError, match=r'CalibrationMetric: prob must be .* to match target \(5, 6\), got \(4, 6, 5\)'
    ):
        build(4).process({}, data)
    del data[1]['seg_logits']
    with pytest.raises(ValueError, match="CalibrationMetric: every data sample must have 'seg_logits', got"):
        build(4).process({}, data[1:])
