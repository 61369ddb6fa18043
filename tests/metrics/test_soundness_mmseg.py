"""What must not go unseen in MMSegmentation's evaluators: logits that are not finite, labels that are no class, ..."""

import logging
import math

import numpy as np
import pandas
import pytest

for host in ('torch', 'mmengine', 'mmcv', 'mmseg'):
    pytest.importorskip(host, reason=f"{host} is not installed: pip install -e '.[mmseg,mmcv-lite]'")

import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_plugin.metrics.soundness import count_no_class, count_not_finite, counts_of
from segparity.audit.table_reading import read_table
from tests.metrics.compare import assert_agrees, assert_results
from tests.metrics.golden import golden

# mmcv-lite needs what importing mmseg_plugin repairs
from mmseg.models.segmentors.base import BaseSegmentor  # isort: skip
from mmseg.models.segmentors.seg_tta import SegTTAModel  # isort: skip

EVALUATORS = ('FineGrainedMetric', 'CalibrationMetric', 'BoundaryMetric')
NAN, INF = math.nan, math.inf
pytestmark = [
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.filterwarnings('ignore:The shape of value will convert'),
]
every = pytest.mark.parametrize('kind', EVALUATORS)


def build(kind, num_classes=3, **arguments):
    metric = METRICS.build(dict(type=kind, **arguments))
    metric.dataset_meta = dict(classes=[f'class {c}' for c in range(num_classes)])
    return metric


class Segmentor:
    """The end of MMSegmentation's own segmentors: logits in, data samples out."""

    align_corners = False
    postprocess_result = BaseSegmentor.postprocess_result

    def __init__(self, channels):
        self.out_channels, self.decode_head = channels, type('Head', (), dict(threshold=0.5))

    def predict(self, logits, target, name):
        sample = SegDataSample(metainfo=dict(ori_shape=target.shape, img_path=name))
        sample.gt_sem_seg = PixelData(data=torch.as_tensor(target)[None])
        return self.postprocess_result(logits[None], [sample])[0]


def samples(logits, targets):
    """The data samples of logits (N, C, H, W) and labels (N, H, W)."""
    segmentor = Segmentor(logits.shape[1])
    return [segmentor.predict(z, t, f'images/{i}.jpg') for i, (z, t) in enumerate(zip(logits, targets))]


def merged(augmented, target):
    """What SegTTAModel makes of the logits (A, C, H, W) of the augmentations of one image."""
    model = SegTTAModel(type('Module', (torch.nn.Module,), dict(test_step=None, out_channels=augmented.shape[1]))())
    model.module.decode_head = Segmentor(1).decode_head
    return model.merge_preds([samples(augmented, [target] * len(augmented))])


def batch_of(augmentations):
    """What TestTimeAug and the collation of MMEngine's loaders make of one image."""
    return pseudo_collate([dict(inputs=[torch.zeros(3, 8, 10)] * augmentations, data_samples=[None] * augmentations)])


def images(n=4, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, channels, 8, 10, generator=generator)
    targets = torch.randint(0, max(2, channels), (n, 8, 10), generator=generator).numpy()
    targets[:, 0] = 255
    return logits, targets


def evaluated(metric, data_samples, data_batch=None):
    evaluator = Evaluator(metric)
    evaluator.process(data_samples, data_batch)
    return evaluator.evaluate(len(data_samples))


@pytest.fixture
def warned(monkeypatch):
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', texts.append)
    return texts


@every
@pytest.mark.parametrize('fault', ['nan', 'nan_everywhere', 'inf', 'all_minus_inf', 'half'])
def test_logits_that_are_not_finite_make_every_result_nan(kind, fault, warned):
    logits, targets = images()
    values = dict(
        nan=[0, NAN, 1], nan_everywhere=[NAN] * 3, inf=[0, INF, 0], all_minus_inf=[-INF] * 3, half=[NAN, 0, 0]
    )
    logits[2, :, 4, 4] = torch.tensor(values[fault])
    got = evaluated(build(kind), samples(logits.half() if fault == 'half' else logits, targets))
    assert got and all(math.isnan(value) for value in got.values())
    assert len(warned) == 1
    assert warned[0].startswith(
        f'{kind}: seg_logits are NaN or infinite at 1 pixels in 1 of 4 images (such as images/2'
    )


@every
def test_an_ignored_pixel_may_hold_anything(kind, warned):
    logits, targets = images()
    want = evaluated(build(kind), samples(logits, targets))
    logits[1, :, 0, 0], logits[1, 1, 0, 1], logits[2, :, 0, 2] = NAN, INF, -INF
    assert_results(evaluated(build(kind), samples(logits, targets)), want, 0)
    assert not warned and any(value == value for value in want.values())


@every
def test_minus_infinity_is_a_probability_of_zero(kind, warned):
    logits, targets = images()
    logits[0, 2] = logits[1, :2] = -INF
    data = samples(logits, targets)
    for sample, z in zip(data, logits):  # MMSegmentation's resize has made them NaN: 0 * -inf
        sample.seg_logits.data, sample.pred_sem_seg.data = z, z.argmax(0, keepdim=True)
    got = evaluated(build(kind), data)
    assert not warned and any(value == value for value in got.values())


@every
@pytest.mark.parametrize('value', [NAN, INF])
def test_one_channel(kind, value, warned):
    logits, targets = images(channels=1)
    data = samples(logits, targets)
    data[0].seg_logits.data[0, 0, 3] = value
    assert any(v == v for v in evaluated(build(kind, 2), data).values()) and not warned  # ignored
    data[0].seg_logits.data[0, 3, 3] = value
    data[0].pred_sem_seg.data[0, 3, 3] = value > 0
    assert all(v != v for v in evaluated(build(kind, 2), data).values()) and len(warned) == 1
    assert count_not_finite(torch.full((1, 2, 2), -INF)).tolist() == [0]


@every
def test_a_nan_is_never_the_best(kind):
    logits, targets = images()
    logits[0, 0, 4, 4] = NAN
    for name, value in evaluated(build(kind), samples(logits, targets)).items():
        hook = CheckpointHook(save_best=name)
        assert not hook.is_better_than[name](value, hook.init_value_map[hook.rules[0]])
        assert not hook.is_better_than[name](value, 0.5)


@every
def test_the_table_has_neither_counts_nor_scores_of_that_image(kind, tmp_path, warned):
    pytest.importorskip('pandas', reason="pandas is not installed: pip install -e '.[evaluate]'")
    import pandas

    logits, targets = images()
    tables = []
    for fault in (0, NAN):
        logits[2, 0, 4, 4] = fault
        evaluated(build(kind, per_image_file=str(tmp_path / 'table.csv')), samples(logits, targets))
        if kind == 'FineGrainedMetric':
            read_table(tmp_path / 'table.csv')  # what segparity audit reads
        tables.append(pandas.read_csv(tmp_path / 'table.csv'))
    clean, faulty = tables
    of_image = clean['image'] == 'images/2.jpg'
    pandas.testing.assert_frame_equal(faulty[~of_image], clean[~of_image])
    measured = faulty[of_image].drop(columns=['image', 'image_file', 'class_id', 'class_name'])
    assert (measured.isna() | (measured == 0)).all(axis=None)
    assert measured.drop(columns=['present', 'tp', 'fp', 'fn'], errors='ignore').isna().all(axis=None)


def test_written_predictions_of_such_logits_are_warned_of(tmp_path, warned):
    logits, targets = images()
    logits[3, 0, 5, 5] = NAN
    assert (
        evaluated(build('FineGrainedMetric', output_dir=str(tmp_path), format_only=True), samples(logits, targets))
        == {}
    )
    assert len(warned) == 1 and 'at 1 pixels in 1 of 4 images (such as images/3.jpg)' in warned[0]


def test_only_pixels_predicted_from_such_logits_count():
    """A merge of augmentations that leaves out NaN predicts something else there."""
    logits = torch.zeros(3, 2, 2)
    logits[:, 0, 0] = torch.tensor([0, NAN, 0])
    for predicted, count in ((0, 1), (1, 1), (2, 0)):
        assert count_not_finite(logits, torch.full((1, 2, 2), predicted)).tolist() == [count]


@every
def test_labels_that_are_no_class_are_counted_and_warned_of_once(kind, warned):
    logits, targets = images()
    targets[1, 2, :5], targets[3, 2, 0] = 7, -1
    got = evaluated(build(kind), samples(logits, targets))
    assert any(value == value for value in got.values())
    assert warned == [
        f'{kind}: labels are none of the 3 classes at 6 pixels in 2 of 4 images (such as images/1.jpg), the largest is '
        '7, and each counts against the class predicted there; likely: the data set has other classes than its metainfo '
        'says'
    ]


@pytest.mark.parametrize(
    ('label', 'likely'), [(255, 'ignore_index=255 leaves out (it is None)'), (3, 'reduce_zero_label')]
)
def test_the_likely_cause_of_such_labels(label, likely, warned):
    logits, targets = images()
    targets[:, 0] = label
    evaluated(build('FineGrainedMetric', ignore_index=None), samples(logits, targets))
    assert len(warned) == 1 and f'the largest is {label}' in warned[0] and likely in warned[0]


@every
@pytest.mark.parametrize('arguments', [{}, dict(binary=True)], ids=['two', 'binary'])
def test_masks_of_0_and_255_are_no_perfect_score(kind, arguments, warned, tmp_path):
    """255 is ignored, so of such masks nothing counts but the background; one mask of 0 and 1 leaves the warning."""
    logits, targets = images(channels=2)
    logits[:, 0] = 9
    masks = np.where(targets == 1, 255, targets)
    masks[0] = 0
    table = tmp_path / 'table.csv'
    got = evaluated(build(kind, 2, per_image_file=str(table), **arguments), samples(logits, masks))
    assert got and all(math.isnan(value) for value in got.values())
    assert warned == [
        f'{kind}: the labels of 3 of 4 images (such as images/1.jpg) hold 255, which is ignored, and no 1, so none of '
        'their foreground counts, so no result is known: all of them are NaN; if these are masks of 0 and 255, divide '
        'them by 255'
    ]
    frame = pandas.read_csv(table)
    score = {'FineGrainedMetric': 'IoU', 'CalibrationMetric': 'SCE', 'BoundaryMetric': 'BoundaryIoU'}[kind]
    assert frame[frame.image != 'images/0.jpg'][score].isna().all()

    warned.clear()
    got = evaluated(build(kind, 2, **arguments), samples(logits, [targets[0], *masks[1:]]))
    assert not all(math.isnan(value) for value in got.values())
    assert len(warned) == 1 and '3 of 4 images' in warned[0] and 'NaN' not in warned[0]

    warned.clear()
    evaluated(build(kind, 2, **arguments), samples(logits, np.where(targets == 255, 255, 1)))
    evaluated(build(kind, 2, ignore_index=254, **arguments), samples(logits, targets % 2))
    assert not warned


def test_labels_that_are_no_class_keep_the_rule_of_the_host(warned):
    case = golden('mmseg_c3_label_out_of_range')
    data = [
        dict(pred_sem_seg=dict(data=torch.as_tensor(p)[None]), gt_sem_seg=dict(data=torch.as_tensor(t)[None]))
        for p, t in zip(case.preds, case.targets)
    ]
    got = evaluated(build('FineGrainedMetric', metrics=['mAcc', 'mIoU', 'mDice', 'mPrecision']), data)
    published = {name: 100 * value for name, value in case.published().items() if name in got}
    assert_agrees(got, published, 1e-9)
    strange = (np.array(case.targets) == 254).sum()
    assert len(warned) == 1 and f'at {strange} pixels' in warned[0] and 'the largest is 254' in warned[0]


@pytest.mark.parametrize('ignore_index', [None, 255, -1])
def test_counted_labels(ignore_index):
    target = torch.tensor([[0, 1, 2, 255, -1, 7]])
    strange = [label for label in (255, -1, 7) if label != ignore_index]
    assert count_no_class(target, 3, ignore_index).tolist() == [len(strange), max(strange)]
    assert count_no_class(target[:, :3], 3, ignore_index).tolist() == [0, 0]
    assert count_no_class(target[:, :0], 3, ignore_index).tolist() == [0, 0]


def test_no_image_waits_for_the_device():
    """On the meta device every look at a value raises; counts stay tensors until the evaluation ends."""
    logits, ids = torch.empty(3, 8, 10, device='meta'), torch.empty(1, 8, 10, device='meta', dtype=torch.long)
    sample = dict(seg_logits=dict(data=logits), pred_sem_seg=dict(data=ids), gt_sem_seg=dict(data=ids))
    found = counts_of(sample, 3, 255)
    assert {key: (tuple(c.shape), c.device.type) for key, c in found.items()} == dict(
        not_finite=((1,), 'meta'), no_class=((2,), 'meta')
    )
    metric = build('FineGrainedMetric')
    Evaluator(metric).process(samples(*images()))
    assert all(isinstance(about[key], torch.Tensor) for _, about, _ in metric.results for key in found)


@every
def test_an_evaluation_that_was_interrupted_leaves_nothing(kind, warned):
    logits, targets = images()
    want = evaluated(build(kind), samples(logits, targets))
    metric = build(kind)
    Evaluator(metric).process(samples(-logits[:3], targets[:3]))  # by other weights, before Ctrl-C
    warned.clear()
    assert evaluated(metric, samples(logits, targets)) == want
    assert any('3 images of an evaluation that did not end are forgotten' in sentence for sentence in warned)
    warned.clear()
    assert evaluated(metric, samples(logits, targets)) == want and not warned


@pytest.mark.gpu
@every
def test_on_a_gpu(kind, warned):
    logits, targets = images()
    targets[1, 2, :5] = 7
    want, sentences = evaluated(build(kind), samples(logits, targets)), list(warned)
    got = evaluated(build(kind), [sample.to('cuda') for sample in samples(logits, targets)])
    assert_agrees(got, want, 1e-4)
    assert warned == sentences * 2
    logits[2, :, 4, 4], logits[2, :, 0, 0] = NAN, NAN
    data = samples(logits, targets)
    assert all(v != v for v in evaluated(build(kind), [sample.to('cuda') for sample in data]).values())
    assert 'NaN or infinite at 1 pixels in 1 of 4 images' in warned[2]


def test_calibration_refuses_merged_augmentations():
    logits, targets = images()
    done, batch = merged(logits, targets[0]), batch_of(4)
    with pytest.raises(
        ValueError, match='CalibrationMetric: .* test-time augmentation .* got a batch of 4 augmentations'
    ):
        evaluated(build('CalibrationMetric'), done, batch)
    # predictions that were dumped come without their batch
    with pytest.raises(
        ValueError, match='CalibrationMetric: .* test-time augmentation .* not predicted from seg_logits'
    ):
        evaluated(build('CalibrationMetric'), done)
    want = evaluated(build('CalibrationMetric'), samples(logits[:1], targets[:1]))
    assert_results(evaluated(build('CalibrationMetric'), merged(logits[:1], targets[0]), batch_of(1)), want, 0)


def test_calibration_takes_ties_and_thresholds():
    logits, targets = images()
    logits[:] = logits.round()
    evaluated(build('CalibrationMetric'), samples(logits, targets))
    tied = samples(logits, targets)
    for sample in tied:
        last = sample.seg_logits.data.flip(0).argmax(0, keepdim=True)
        sample.set_data(dict(pred_sem_seg=PixelData(data=2 - last)))
        sample.pred_sem_seg.data[0, 0] = (sample.pred_sem_seg.data[0, 0] + 1) % 3  # ignored: may hold anything
    evaluated(build('CalibrationMetric'), tied)
    one, binary = images(channels=1)
    evaluated(build('CalibrationMetric', 2), samples(one, binary))
    wrong = samples(one, binary)
    wrong[0].set_data(dict(pred_sem_seg=PixelData(data=1 - wrong[0].pred_sem_seg.data)))
    with pytest.raises(ValueError, match='not predicted from seg_logits'):
        evaluated(build('CalibrationMetric', 2), wrong)


@pytest.mark.parametrize('kind', ['FineGrainedMetric', 'BoundaryMetric'])
def test_merged_augmentations(kind, warned):
    """The last one's logits are at hand: a NaN in them is one in the merged probabilities."""
    logits, targets = images()
    batch = batch_of(4)
    assert any(v == v for v in evaluated(build(kind), merged(logits, targets[0]), batch).values())
    assert not warned
    logits[3, 2, 4, 4] = NAN
    assert all(v != v for v in evaluated(build(kind), merged(logits, targets[0]), batch).values())
    assert len(warned) == 1


@every
@pytest.mark.parametrize(('head', 'data'), [(5, 4), (3, 4), (1, 3)])
def test_a_head_of_other_classes_than_the_data_set(kind, head, data):
    with pytest.raises(ValueError) as caught:
        evaluated(build(kind, data), samples(*images(channels=head)))
    assert str(caught.value) == (
        f"{kind}: num_classes of the head must be {data}, as many as the 'classes' of the data set's metainfo "
        f'({", ".join(f"class {c}" for c in range(data))}), got {head} (the channels of seg_logits)'
    )


@every
def test_two_classes_of_one_channel(kind):
    assert evaluated(build(kind, 2, binary=True), samples(*images(channels=1)))


@every
def test_what_the_classes_do_not_allow_is_refused_with_the_metainfo(kind):
    metric = METRICS.build(dict(type=kind, binary=True))
    metric.dataset_meta = None
    with pytest.raises(ValueError, match=f'{kind}: binary=True needs num_classes=2'):
        metric.dataset_meta = dict(classes=list('abcd'))


@every
@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64])
def test_integers_of_any_width(kind, dtype, warned):
    logits, targets = images()
    want, data = evaluated(build(kind), samples(logits, targets)), samples(logits, targets)
    for sample in data:
        for ids in (sample.gt_sem_seg, sample.pred_sem_seg):
            ids.data = ids.data.to(dtype)
    assert_results(evaluated(build(kind), data), want, 0)
    assert not warned


@every
def test_a_sixteen_bit_picture(kind, tmp_path):
    logits, targets = images(n=1)
    targets[0, 1] = 1000
    Image.fromarray(targets[0].astype(np.uint16)).save(tmp_path / 'label.png')
    data = samples(logits, targets)
    data[0].gt_sem_seg.data = torch.as_tensor(np.array(Image.open(tmp_path / 'label.png')))[None]
    want = evaluated(build(kind, ignore_index=1000), samples(logits, targets))
    assert_results(evaluated(build(kind, ignore_index=1000), data), want, 0)


@every
def test_a_one_bit_picture(kind, tmp_path, warned):
    """Pillow's arrays of one bit hold bytes of 255."""
    logits, targets = images(n=1, channels=2)
    targets %= 2
    Image.fromarray(targets[0].astype(bool)).save(tmp_path / 'label.png')
    data = samples(logits, targets)
    data[0].gt_sem_seg.data = torch.from_numpy(np.array(Image.open(tmp_path / 'label.png')))[None]
    assert data[0].gt_sem_seg.data.dtype == torch.bool
    data[0].pred_sem_seg.data = data[0].pred_sem_seg.data.bool()
    assert_results(evaluated(build(kind, 2), data), evaluated(build(kind, 2), samples(logits, targets)), 0)
    assert not warned


@every
def test_an_image_without_pixels_counts_nowhere(kind, warned):
    logits, targets = images()
    want, data = evaluated(build(kind), samples(logits, targets)), samples(logits, targets)
    empty = SegDataSample(metainfo=dict(img_path='empty.jpg'))
    for name, channels, dtype in (
        ('seg_logits', 3, torch.float),
        ('pred_sem_seg', 1, torch.long),
        ('gt_sem_seg', 1, torch.long),
    ):
        empty.set_data({name: PixelData(data=torch.zeros(channels, 0, 10, dtype=dtype))})
    assert_results(evaluated(build(kind), [empty, *data]), want, 0)
    assert not warned


@every
def test_fractions_are_no_class_ids(kind):
    logits, targets = images(n=1)
    with pytest.raises(ValueError, match=f'{kind}: class ids must be whole numbers, got others .image images/0.jpg'):
        evaluated(build(kind), samples(logits, targets + 0.5))


def test_warnings_reach_the_log():
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    logits, targets = images()
    logits[0, 0, 4, 4] = NAN
    metric = build('FineGrainedMetric')
    try:
        for _ in range(2):  # once in every evaluation
            evaluated(metric, samples(logits, targets))
    finally:
        logger.removeHandler(handler)
    assert [r.levelno for r in records if 'seg_logits are NaN' in r.getMessage()] == [logging.WARNING] * 2
