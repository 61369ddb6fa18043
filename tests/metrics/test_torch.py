"""The metrics of any PyTorch loop: beside the reference, in batches, merged, over ranks; and what they refuse."""

import inspect
import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')

from mmseg_plugin import metrics
from segparity.parity.metrics import metric_jobs
from shared_spec import METRICS, SpecError
from tests.support.assertions import assert_same

JOBS = [(name, *job) for name in METRICS for job in metric_jobs(name)]
LOGITS = torch.randn(5, 3, 8, 9, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(3, (5, 8, 9), generator=torch.Generator().manual_seed(1))


def one_hot(ids):
    return torch.nn.functional.one_hot(ids, 3).movedim(-1, 1)


def of(spec):
    return getattr(metrics, type(spec).__name__)(**{k: spec.builtin_value(k) for k in spec.parameters()})


@pytest.mark.parametrize('name', list(METRICS))
def test_takes_the_parameters_of_the_spec(name):
    found = inspect.signature(getattr(metrics, name).__init__).parameters
    given = {k: p.default for k, p in found.items() if k not in ('self', 'from_logits', 'sync', 'num_classes')}
    assert given == {k: f.default for k, f in METRICS[name].parameters().items() if k != 'num_classes'}


@pytest.mark.parametrize('job', JOBS, ids=lambda job: f'{job[0]}-{job[1]}')
def test_results_are_those_of_the_reference_however_images_come(job):
    _, _, spec, pred, target, want = job
    pred, target = torch.tensor(pred), torch.tensor(target)
    whole, parts = of(spec), [of(spec), of(spec)]
    whole.update(pred, target)
    parts[0].update(pred[:3], target[:3][:, None])
    parts[1].update(pred[3:5], target[3:5])
    parts[1].update(pred[5:], target[5:])
    merged = parts[0].merge(parts[1])
    for metric in (whole, merged):
        found = metric.compute()
        assert list(found) == list(want)
        tolerance = 'float32' if spec.takes == 'probabilities' else 'float64'
        assert_same(list(found.values()), list(want.values()), tolerance, job[:2])
    assert_same(list(merged.compute().values()), list(whole.compute().values()), 'exact')


def test_scores_of_every_kind_give_the_class_ids():
    for scores, options in ((LOGITS, {}), (LOGITS.softmax(1), dict(from_logits=False)), (LOGITS.bfloat16(), {})):
        want, metric = metrics.FineGrained(3), metrics.FineGrained(3, **options)
        want.update(scores.argmax(1), LABELS)
        metric.update(scores, LABELS)
        assert metric.compute() == want.compute()
    one = LOGITS[:, :1]
    for scores, options in ((one, {}), (one.sigmoid(), dict(from_logits=False)), ((one > 0).long(), {})):
        metric = metrics.FineGrained(2, **options)
        metric.update(scores, (LABELS > 0).long()[:, None])
        assert metric.state.counts.tolist() == [
            [
                [int(((p == k) & (t == k)).sum()), int(((p == k) & (t != k)).sum()), int(((p != k) & (t == k)).sum())]
                for k in (0, 1)
            ]
            for p, t in zip((one[:, 0] > 0).long(), (LABELS > 0).long())
        ]


def test_one_channel_calibration_is_that_of_two():
    one = LOGITS[:, :1]
    found = metrics.Calibration(2), metrics.Calibration(2), metrics.Calibration(2, from_logits=False)
    for metric, scores in zip(found, (one, torch.cat([torch.zeros_like(one), one], 1), one.sigmoid())):
        metric.update(scores, (LABELS > 0).long())
    for metric in found[1:]:
        assert_same(list(metric.compute().values()), list(found[0].compute().values()), 'float32')


def test_an_image_that_comes_again_counts_once_and_reset_forgets():
    metric, once = metrics.FineGrained(3), metrics.FineGrained(3)
    metric.update(LOGITS, LABELS, images=range(5))
    metric.update(LOGITS[:2], LABELS[:2], images=[0, 1])
    once.update(LOGITS, LABELS)
    assert metric.compute() == once.compute() and len(metric.state) == 5
    for images in (torch.tensor([0, 1]), [torch.tensor(0), np.int64(1)]):
        metric.update(LOGITS[:2], LABELS[:2], images=images)
    assert len(metric.state) == 5
    metric.reset()
    assert len(metric.state) == 0 and all(math.isnan(v) for v in metric.compute().values())


def test_scores_that_are_no_numbers_make_every_result_nan():
    faulty = LOGITS.clone()
    faulty[1, 2, 3, 4] = torch.nan
    for metric in (metrics.FineGrained(3), metrics.Calibration(3), metrics.BoundaryIoU(3)):
        metric.update(faulty, LABELS)
        with pytest.warns(UserWarning, match='the scores are NaN or infinite at 1 pixels in 1 of 5 images'):
            assert all(math.isnan(v) for v in metric.compute().values())
        metric.reset()
        ignored = LABELS.clone()
        ignored[1, 3, 4] = 255
        metric.update(faulty, ignored)
        assert not any(math.isnan(v) for v in metric.compute().values())


def test_labels_that_are_no_classes_are_warned_of():
    metric = metrics.FineGrained(3, ignore_index=None)
    strange = LABELS.clone()
    strange[0, 0, :2] = 255
    metric.update(LOGITS, strange)
    with pytest.warns(UserWarning, match='none of the 3 classes at 2 pixels in 1 of 5 images, the largest is 255'):
        metric.compute()


def test_masks_of_0_and_255_hide_their_foreground():
    metric, nothing = metrics.FineGrained(2), torch.zeros(2, 4, 4, dtype=torch.long)
    mask = nothing.clone()
    mask[:, 1:3] = 255
    metric.update(nothing, mask)
    with pytest.warns(UserWarning, match='if these are masks of 0 and 255, divide them by 255'):
        assert all(math.isnan(v) for v in metric.compute().values())
    metric.update(nothing, mask // 255)
    with pytest.warns(UserWarning, match='the labels of 2 of 4 images hold 255'):
        assert_same(metric.compute()['mIoUD'], 32 / 48 / 2, 'float64')  # IoU 32/48 of the background, 0


@pytest.mark.parametrize(
    ('call', 'error', 'words'),
    [
        ((LOGITS[:, :2], LABELS), ValueError, 'FineGrained: pred must be (5, 3, 8, 9) to match target (5, 8, 9) and num_classes=3, got (5, 2, 8, 9)'),
        ((LOGITS[:3], LABELS), ValueError, 'pred must be (5, 3, 8, 9)'),
        ((LOGITS.argmax(1)[:, 1:], LABELS), ValueError, 'pred must be (5, 8, 9)'),
        ((LOGITS.argmax(1) + 1, LABELS), ValueError, 'FineGrained: predictions must be class ids below 3, got 3'),
        ((LOGITS, LABELS + 0.5), ValueError, 'FineGrained: class ids must be whole numbers'),
        ((LOGITS, LABELS, ['a']), ValueError, 'images must have one identity for each of 5 images, got 1'),
        ((LOGITS, LABELS[0, 0]), ValueError, 'target must be (N, *space), got shape (9,)'),
        ((one_hot(LOGITS.argmax(1)), one_hot(LABELS)), ValueError, 'class ids, got one-hot maps (5, 3, 8, 9); argmax(1)'),
        ((LOGITS, one_hot(LABELS).byte()), ValueError, 'class ids, got one-hot maps'),
        ((one_hot(LOGITS.argmax(1)).bool(), one_hot(LABELS).bool()), ValueError, 'class ids, got one-hot maps'),
        ((LABELS[:, None, None, None], LABELS[:, None, None, None]), ValueError, 'maps must have 1, 2 or 3 spatial axes, got 4'),
        ((LOGITS.numpy(), LABELS), TypeError, 'FineGrained: pred must be a torch.Tensor, got ndarray'),
        ((LOGITS, LABELS, [0.5] * 5), TypeError, 'the identity of an image must be text or an integer, got 0.5'),
    ],
)  # fmt: skip
def test_wrong_inputs_get_one_sentence_and_lose_nothing(call, error, words):
    metric = metrics.FineGrained(3)
    metric.update(LOGITS, LABELS)
    before = metric.compute()
    with pytest.raises(error) as caught:
        metric.update(*call)
    assert words in str(caught.value) and '\n' not in str(caught.value)
    assert metric.compute() == before


def test_what_cannot_be_is_refused():
    for kind in (metrics.FineGrained, metrics.BoundaryIoU):
        with pytest.raises(ValueError, match=f'{kind.__name__}: probabilities must be in'):
            kind(2, from_logits=False).update(LOGITS[:, :1], (LABELS > 0).long())
    with pytest.raises(ValueError, match='one channel stands for two classes, num_classes must be 2, got 1'):
        metrics.FineGrained(1).update(LOGITS[:, :1], (LABELS > 0).long())
    with pytest.raises(TypeError, match='Calibration: pred must be floating point'):
        metrics.Calibration(3).update(LABELS, LABELS)
    with pytest.raises(ValueError, match='Calibration: probabilities must be in'):
        metrics.Calibration(3, from_logits=False).update(LOGITS, LABELS)
    with pytest.raises(SpecError, match="unknown parameter 'ignore', did you mean 'ignore_index'"):
        metrics.FineGrained(3, ignore=255)
    with pytest.raises(ValueError, match='only metrics of the same parameters can be merged'):
        metrics.FineGrained(3).merge(metrics.FineGrained(4))


def of_a_rank(rank, world, file, out):
    torch.distributed.init_process_group('gloo', init_method=f'file://{file}', rank=rank, world_size=world)
    metric, alone = metrics.FineGrained(3), metrics.FineGrained(3, sync=False)
    shares = {0: [0, 1, 2], 1: [3, 4, 0]}  # as a sampler pads them
    for m in (metric, alone):
        m.update(LOGITS[shares[rank]], LABELS[shares[rank]], images=shares[rank])
    np.savez(f'{out}-{rank}.npz', whole=list(metric.compute().values()), own=list(alone.compute().values()))
    mixed = (metrics.FineGrained(3), metrics.BoundaryIoU(3))[rank]
    mixed.update(LOGITS, LABELS)
    with pytest.raises(ValueError, match='every rank must compute the same metrics in the same order'):
        mixed.compute()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_have_the_results_of_one_process(tmp_path):
    torch.multiprocessing.spawn(of_a_rank, (2, str(tmp_path / 'store'), str(tmp_path / 'out')), nprocs=2)
    want, own = metrics.FineGrained(3), metrics.FineGrained(3)
    want.update(LOGITS, LABELS)
    own.update(LOGITS[[3, 4, 0]], LABELS[[3, 4, 0]])
    found = [np.load(tmp_path / f'out-{rank}.npz') for rank in (0, 1)]
    for rank in (0, 1):
        assert found[rank]['whole'].tolist() == list(want.compute().values())
    assert found[1]['own'].tolist() == list(own.compute().values())


def test_ids_where_pytorch_has_no_wide_unsigned_types(monkeypatch):
    """As 2.1, the oldest that pyproject.toml allows."""
    for name in ('uint16', 'uint32', 'uint64'):
        monkeypatch.delattr(torch, name, raising=False)
    metric = metrics.FineGrained(3)
    for dtype in (torch.uint8, torch.int16, torch.int64, torch.bool, torch.float32):
        ids = torch.ones(1, 4, 4).to(dtype)
        metric.update(ids.long() if dtype.is_floating_point else ids, ids)
    assert metric.compute()['aAcc'] == 1


class Roads(metrics.FineGrained):
    def __init__(self, **kwargs):
        super().__init__(num_classes=3, **kwargs)


def test_a_subclass_may_hand_on_its_arguments():
    metric = Roads(q=[5])
    metric.update(LOGITS, LABELS)
    assert 'mIoUI5' in metric.compute()
    with pytest.raises(SpecError, match="^Roads: unknown parameter 'level', did you mean 'levels'"):
        Roads(level='I')


def test_one_text_is_no_list_of_identities_and_a_metric_no_other():
    metric = metrics.FineGrained(3)
    with pytest.raises(TypeError, match="images must be a list of identities, got the text 'abcde'"):
        metric.update(LOGITS, LABELS, images='abcde')
    with pytest.raises(ValueError, match='cannot be merged with itself'):
        metric.merge(metric)
    with pytest.raises(TypeError, match='class ids must be integers, got torch.float32; scores are '):
        metric.update(LABELS.float(), LABELS)
    assert len(metric.state) == 0
