"""BoundaryMetric inside MMSegmentation's evaluator."""

import numpy as np
import pytest

for host in ('torch', 'mmengine', 'mmcv', 'mmseg'):
    pytest.importorskip(host, reason=f"{host} is not installed: pip install -e '.[mmseg,mmcv-lite]'")

import torch
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

import mmseg_plugin  # noqa: F401
from shared_spec import SpecError
from shared_spec.metrics.boundary import BoundaryIoU, SurfaceDistance
from tests.metrics.boundary_rules import RULES, arrays, index, random_pairs
from tests.metrics.compare import SAME, assert_agrees, assert_results

pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


def build(num_classes, **arguments):
    metric = METRICS.build(dict(type='BoundaryMetric', **arguments))
    metric.dataset_meta = dict(classes=[f'class {c}' for c in range(num_classes)])
    return metric


def samples(preds, targets):
    """Data samples as a segmentor hands them over: (1, H, W) maps in a dict."""
    return [
        dict(
            pred_sem_seg=dict(data=torch.as_tensor(p)[None]),
            gt_sem_seg=dict(data=torch.as_tensor(t)[None]),
            img_path=f'images/{i}.jpg',
        )
        for i, (p, t) in enumerate(zip(preds, targets))
    ]


def evaluated(metric, data_samples, size=None):
    for start in range(0, len(data_samples), 3):
        metric.process({}, data_samples[start : start + 3])
    return metric.evaluate(len(data_samples) if size is None else size)


def as_logged(results):
    fractions = 'BoundaryIoU', 'missed'
    return {name: value * (100 if name.startswith(fractions) else 1) for name, value in results.items()}


@pytest.mark.parametrize(
    'rule', [r for r in RULES if r.weights is None and r.preds[0].ndim == 2], ids=lambda rule: rule.name
)
def test_by_hand(rule):
    params = dict(rule.params)
    metric = build(params.pop('num_classes'), **params)
    assert_agrees(evaluated(metric, samples(rule.preds, rule.targets)), as_logged(rule.want), 100 * SAME, rule.name)


@pytest.mark.parametrize(
    ('kind', 'name'), [(kind, name) for kind in (BoundaryIoU, SurfaceDistance) for name in kind.examples]
)
def test_equals_the_reference(kind, name):
    spec = kind(**kind.examples[name].params)
    preds, targets = random_pairs(21, 7, spec.num_classes, ignore_index=spec.ignore_index)
    metric = METRICS.build(spec.to_mmseg())
    metric.dataset_meta = dict(classes=[str(c) for c in range(spec.num_classes)])
    assert_results(evaluated(metric, samples(preds, targets)), as_logged(spec.reference(preds, targets)), 1e-10)


def test_published_in_per_cent():
    entry, case = index('bimc')['boundary_iou_multiclass'], arrays('boundary_iou_multiclass')
    metric = build(4, ratio=entry['params']['dilation_ratio'], metrics=['BoundaryIoU'], ignore_index=None)
    want = {f'BoundaryIoU{k}': entry['expected'][f'mBoundaryIoU{k}'] for k in 'DIC'}
    assert_results(evaluated(metric, samples(case['pred'], case['label'])), want, 1e-9)


def test_a_head_with_one_channel_predicts_floats():
    preds, targets = random_pairs(22, 4, 2)
    got = evaluated(build(2, binary=True), samples(preds.astype(np.float32), targets))
    assert_results(got, evaluated(build(2, binary=True), samples(preds, targets)), 0)


def test_repeated_images_are_dropped_by_identity_only():
    preds, targets = random_pairs(25, 5, 4)
    params = dict(empty='diagonal', present_in='either')
    data = samples(preds, targets)
    want = evaluated(build(4, **params), data)
    assert_results(evaluated(build(4, **params), [data[0], *data, data[3]]), want, 0)
    # the rows beyond the size of the data set are cut only where identities cannot tell which is the repeated one
    assert_results(evaluated(build(4, **params), [data[0], *data], size=5), want, 0)
    for sample in data:
        del sample['img_path']
    assert_results(evaluated(build(4, **params), data), want, 0)
    assert_results(evaluated(build(4, **params), [*data, data[0]], size=5), want, 0)
    assert evaluated(build(4, **params), [*data, data[0]])['HD95I'] != want['HD95I']


def test_the_prefix_stands_before_every_name():
    preds, targets = random_pairs(26, 2, 3)
    got = evaluated(build(3, metrics=['HD'], prefix='edge'), samples(preds, targets))
    assert list(got) == ['edge/HDI', 'edge/HDC', 'edge/missed', 'edge/HDI_rest', 'edge/HDC_rest']


def test_only_what_is_reported_is_measured():
    preds, targets = random_pairs(27, 1, 3)
    for metrics, measured in ((['BoundaryIoU'], False), (['BoundaryIoU', 'ASSD'], True)):
        metric = build(3, metrics=metrics, ignore_index=None)
        metric.process({}, samples(preds * 0, targets * 0))
        assert np.isfinite(metric.results[0][3]).any() == measured


def test_the_table_of_classes_is_logged(monkeypatch):
    texts = []
    monkeypatch.setattr('mmseg_plugin.evaluation.base.print_log', lambda text, logger=None: texts.append(text))
    rule = next(rule for rule in RULES if rule.name == 'shifted_square')
    evaluated(build(2, metrics=['BoundaryIoU', 'ASSD'], levels=['D', 'C']), samples(rule.preds, rule.targets))
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in texts[0].splitlines() if '|' in line]
    iou, assd = f'{100 * 4 / 12:.2f}', f'{8 / 16:.2f}'
    assert rows[0] == ['BoundaryMetric: results, in per cent, distances in pixels']
    assert rows[1] == ['', 'D', 'C'] and rows[2][0] == 'BoundaryIoU' and rows[3][:2] == ['ASSD', '']
    assert rows[4] == ['BoundaryMetric: classes, in per cent, distances in pixels']
    assert rows[5] == ['Class', 'BoundaryIoUD', 'BoundaryIoUC', 'ASSDC'] and rows[7] == ['class 1', iou, iou, assd]


def test_missed_objects_are_said(monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', texts.append)
    rule = next(rule for rule in RULES if rule.name == 'one_missed_of_four')
    for params in (dict(metrics=['BoundaryIoU']), dict(empty='diagonal')):
        evaluated(build(2, **params), samples(rule.preds, rule.targets))
        assert not any('missed' in text for text in texts)
    evaluated(build(2, metrics=['HD']), samples(rule.preds, rule.targets))
    (said,) = (text for text in texts if 'missed' in text)
    assert said.startswith("BoundaryMetric: missed in 1 of 4 (image, class), such as 'class 1' in 1 of 2 images: ")


@pytest.mark.parametrize('name', [*BoundaryIoU(num_classes=3).names(), *SurfaceDistance(num_classes=3).names()])
@pytest.mark.parametrize('prefix', ['', 'desktop/'])  # 'top' says 'greater' to mmengine
def test_the_hooks_know_what_is_better(name, prefix):
    hook = CheckpointHook(save_best=prefix + name)
    assert hook.is_better_than[prefix + name](2.0, 1.0) == name.startswith('BoundaryIoU')
    assert hook.is_better_than[prefix + name](1.0, 2.0) != name.startswith('BoundaryIoU')
    assert EarlyStoppingHook(prefix + name).rule == hook.rules[0]


def test_save_best_never_saves_an_infinite_distance():
    hook = CheckpointHook(save_best='HD95I')
    assert not hook.is_better_than['HD95I'](float('inf'), hook.init_value_map['less'])


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (dict(ignor_index=255), "unknown parameter 'ignor_index', did you mean 'ignore_index'"),
        (dict(num_classes=19), "unknown parameter 'num_classes'"),
        (dict(levels=['D']), "distances need level 'I' or 'C'"),
        (dict(spacing=[1, 1, 1]), 'spacing must have one number for each of the 2 spatial axes, got 3'),
    ],
)
def test_refused_at_construction(arguments, sentence):
    with pytest.raises(SpecError, match=f'BoundaryMetric: {sentence}'):
        METRICS.build(dict(type='BoundaryMetric', **arguments))


def test_refused_at_the_first_batch():
    preds, targets = random_pairs(29, 2, 4)
    with pytest.raises(ValueError, match="dataset_meta must name the 'classes'"):
        METRICS.build(dict(type='BoundaryMetric')).process({}, samples(preds, targets))
    with pytest.raises(SpecError, match='BoundaryMetric: binary=True needs num_classes=2'):
        build(4, binary=True).process({}, samples(preds, targets))
    with pytest.raises(
        ValueError, match=r'BoundaryMetric: predictions must be class ids below 3, got 3 \(image images/0.jpg\)'
    ):
        build(3).process({}, samples(preds * 0 + 3, targets * 0))
    with pytest.raises(ValueError, match=r'BoundaryMetric: .* shape of gt_sem_seg \(1, 9, 11\), got \(1, 11, 9\)'):
        build(4).process({}, samples(preds.transpose(0, 2, 1), targets))
