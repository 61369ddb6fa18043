"""Several annotators in MMSegmentation: maps that go through the pipeline together, soft labels of them, and evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import METRICS, MODELS, TRANSFORMS

import mmseg_plugin  # noqa: F401
from shared_spec.annotators import SCORES, annotator_scores
from shared_spec.soft_labels import average_annotators
from tests.metrics.boundary_rules import arrays, index
from tests.mmseg.tiny_training import logged
from tests.soft_labels.cases import published_average
from tests.support.assertions import assert_same

CONFIGS = Path(__file__).parents[2] / 'configs/soft_labels'
PATHS = [f'{{folder}}/../rater{k}/{{name}}.png' for k in range(3)]


@pytest.fixture
def folder(tmp_path):
    """An image and the masks of two of three annotators, 0 and 255."""
    import mmcv

    rng = np.random.default_rng(0)
    mmcv.imwrite(rng.integers(0, 255, (20, 30, 3), np.uint8), str(tmp_path / 'img' / 'a.png'))
    for k in (0, 2):
        mask = np.zeros((20, 30), np.uint8)
        mask[4 + k : 14, 5 : 20 - 3 * k] = 255
        mmcv.imwrite(mask, str(tmp_path / f'rater{k}' / 'a.png'))
    (tmp_path / 'notes.png').write_text('no picture')
    return tmp_path


def loaded(folder, **params):
    found = dict(img_path=str(folder / 'img' / 'a.png'))
    return run(found, dict(type='LoadImageFromFile'), loading(**params))


def loading(**params):
    return dict(dict(type='LoadAnnotatorMaps', annotators=PATHS, missing='skip', label_map={255: 1}), **params)


def run(results, *transforms):
    for one in transforms:
        results = TRANSFORMS.build(one)(results)
    return results


def masks(folder):
    import mmcv

    return [mmcv.imread(str(folder / f'rater{k}' / 'a.png'), flag='grayscale') // 255 for k in (0, 2)]


def test_maps_of_those_who_are_there_and_what_most_mark(folder):
    found = loaded(folder)
    assert [f for f in found['seg_fields'] if 'annotator' in f] == ['gt_annotator_0', 'gt_annotator_1']
    for k, want in enumerate(masks(folder)):
        assert np.array_equal(found[f'gt_annotator_{k}'], want)
    assert np.array_equal(found['gt_seg_map'], np.min(masks(folder), axis=0))  # of two a tie is background
    given = dict(img_path='x/a.png', annotator_paths=[folder / 'rater2' / 'a.png'])
    of_data_set = TRANSFORMS.build(loading(annotators=None))(given)
    assert np.array_equal(of_data_set['gt_seg_map'], masks(folder)[1])


def test_soft_labels_after_flips_crops_and_padding(folder):
    moved = run(
        loaded(folder),
        dict(type='RandomFlip', prob=1.0),
        dict(type='RandomCrop', crop_size=(12, 30)),
        dict(type='Pad', size=(32, 18), pad_val=dict(img=0, seg=255)),
    )
    found = run(moved, dict(type='AverageAnnotators'), dict(type='PackSegInputsWithAnnotators'))['data_samples']
    maps = np.pad([moved['gt_annotator_0'], moved['gt_annotator_1']], ((0, 0), (0, 6), (0, 2)), constant_values=255)
    want = average_annotators(maps[:, None], ignore_index=255)[0]
    assert want.shape == (2, 18, 32)
    assert_same(found.gt_soft_seg.data.numpy(), want.astype(np.float32), 'exact')
    assert not found.gt_soft_seg.data[:, 12:].any() and 0 < want[1].sum() < want[1].size
    assert (found.gt_sem_seg.data[0, 12:] == 255).all() and 'gt_annotators' not in found


def test_dice_weights(folder):
    soft = run(loaded(folder), dict(type='AverageAnnotators', weighting='dice'))['gt_soft_seg']
    want = average_annotators([m[None] for m in masks(folder)], 'dice')[0]
    assert_same(soft, want.astype(np.float32), 'exact')


@pytest.mark.parametrize('case_id', index('raters'))
def test_published_averages(case_id, tmp_path):
    masks, want, kept = published_average(case_id)
    for k, mask in enumerate(masks):
        np.save(tmp_path / f'rater{k}.npy', mask)
    given = dict(img_path='a.png', annotator_paths=[tmp_path / f'rater{k}.npy' for k in range(len(masks))])
    found = run(given, loading(annotators=None, label_map=None), dict(type='AverageAnnotators', weighting='dice'))
    assert found['gt_soft_seg'].dtype == np.float32 and 0.1 < kept.mean() < 1
    assert_same(found['gt_soft_seg'][:, kept], want[:, kept].astype(np.float32), 'float32')
    assert np.array_equal(found['gt_seg_map'], arrays(case_id)['expected_majority'])


def test_a_label_that_is_no_class_is_told_with_its_file(folder):
    np.save(folder / 'wrong.npy', np.full((20, 30), 7))
    paths = ['{folder}/../rater0/{name}.png', '{folder}/../wrong.npy']
    with pytest.raises(ValueError, match=r'must be below 2, got 7 \(.*wrong.npy., of image .*a.png.\)') as caught:
        loaded(folder, annotators=paths)
    assert str(caught.value).startswith('LoadAnnotatorMaps: target labels') and 'rater0' not in str(caught.value)


@pytest.mark.parametrize(
    ('params', 'words'),
    [
        (dict(missing='error'), "missing='skip' goes on without it"),
        (dict(annotators=['{folder}/nowhere.png']), 'no annotator of'),
        (dict(annotators=None), 'no annotator of'),
        (dict(annotators='{folder}/a.png'), "must be a list of paths, got '{folder}/a.png'"),
        (dict(annotators=[]), 'must be a list of paths, got []'),
        (dict(num_classes=1), 'num_classes must be an integer >= 2, got 1'),
        (dict(label_map={255: 'b'}), 'label_map must be a dictionary of integers'),
        (dict(anotators=[]), "did you mean 'annotators'?"),
        (dict(annotators=['{folder}/../notes.png']), "notes.png' must be class ids (H, W), got no image"),
        (dict(annotators=['{folder}/{nam}.png']), 'must be paths with {folder}, {parent} and {name}'),
        (dict(missing='never'), "missing must be one of 'error', 'skip'"),
        (dict(label_map=None), 'label_map={255: 1} takes it for a mask'),
        (dict(label_map={255: 7}), 'must be below 2'),
        (dict(annotators=['{folder}/a.png']), 'must be class ids (H, W), got uint8 (20, 30, 3)'),
    ],
)
def test_what_is_refused(folder, params, words):
    with pytest.raises((ValueError, TypeError, FileNotFoundError)) as caught:
        loaded(folder, **params)
    assert (
        words in str(caught.value)
        and str(caught.value).startswith('LoadAnnotatorMaps')
        and '\n' not in str(caught.value)
    )


def test_maps_of_another_size_and_transforms_in_another_order(folder):
    np.save(folder / 'small.npy', np.zeros((4, 5), np.int64))
    with pytest.raises(ValueError, match=r'must be \(20, 30\) as the image, got \(4, 5\)'):
        loaded(folder, annotators=['{folder}/../small.npy'])
    with pytest.raises(ValueError, match='AverageAnnotators: needs the maps of LoadAnnotatorMaps'):
        TRANSFORMS.build(dict(type='AverageAnnotators'))({})
    late = run(loaded(folder), dict(type='AverageAnnotators'), dict(type='RandomCrop', crop_size=(12, 30)))
    with pytest.raises(ValueError, match='AverageAnnotators stands after what resizes or cuts'):
        TRANSFORMS.build(dict(type='PackSegInputsWithAnnotators'))(late)


@pytest.mark.parametrize(
    'late', [dict(type='RandomFlip', prob=1.0), dict(type='RandomRotate', prob=1.0, degree=(90, 90))]
)
def test_what_moves_pixels_behind_padding_is_refused(folder, late):
    pad = dict(type='Pad', size=(40, 36), pad_val=dict(img=0, seg=255))
    moved = run(loaded(folder), pad, late)
    for last in ('AverageAnnotators', 'PackSegInputsWithAnnotators'):
        with pytest.raises(ValueError, match=f'{last}: .*no longer what most annotators mark|{last}: .*sizes'):
            TRANSFORMS.build(dict(type=last))(moved)


def test_labels_of_the_data_set_and_images_resized_before(folder):
    swapped = TRANSFORMS.build(loading())(dict(img_path=str(folder / 'img' / 'a.png'), label_map={0: 1, 1: 0}))
    assert np.array_equal(swapped['gt_annotator_0'], 1 - masks(folder)[0])
    reduced = TRANSFORMS.build(loading())(dict(img_path=str(folder / 'img' / 'a.png'), reduce_zero_label=True))
    assert np.array_equal(reduced['gt_annotator_0'], np.where(masks(folder)[0] == 1, 0, 255))
    small = run(
        dict(img_path=str(folder / 'img' / 'a.png')),
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(15, 10)),
    )
    found = run(small, loading(), dict(type='PackSegInputsWithAnnotators'))['data_samples']
    assert found.gt_annotators.data.shape == (2, 20, 30)


def sample(logits, maps, number, **more):
    return dict(
        img_path=f'{number}.png',
        seg_logits=dict(data=logits),
        gt_annotators=dict(data=PixelData(data=torch.as_tensor(maps)).data),
        **more,
    )


def test_whose_the_maps_are_goes_with_them(folder):
    found = run(loaded(folder), dict(type='PackSegInputsWithAnnotators'))['data_samples']
    assert found.annotator_numbers == [0, 2] == found.to_dict()['annotator_numbers']
    listed = run(dict(img_path='x', annotator_paths=[folder / 'rater2' / 'a.png']), loading(annotators=None))
    assert 'annotator_numbers' not in listed  # another image's first annotator is somebody else


@pytest.mark.parametrize('last', [[0, 2], [0, 1], None])
def test_each_annotator_has_scores_where_all_images_have_the_same(last):
    rng = np.random.default_rng(1)
    images = [(torch.tensor(rng.normal(size=(2, 6, 7))), rng.integers(0, 2, (2, 6, 7))) for _ in range(3)]
    evaluator = METRICS.build(dict(type='AnnotatorMetric'))
    for k, (z, maps) in enumerate(images):
        who = last if k == 2 else [0, 2]
        evaluator.process(None, [sample(z, maps, k, **({} if who is None else dict(annotator_numbers=who)))])
    found = evaluator.evaluate(3)
    if last != [0, 2]:
        assert list(found) == list(SCORES)
        return
    assert list(found) == [*SCORES, 'DiceAnnotator0', 'DiceAnnotator2', 'IoUAnnotator0', 'IoUAnnotator2']
    each = [annotator_scores(z.softmax(0).numpy(), maps, one_by_one=True) for z, maps in images]
    for k, number in enumerate((0, 2)):
        for kind in ('Dice', 'IoU'):
            want = 100 * np.mean([one[f'{kind}Annotator{k}'] for one in each])
            assert found[f'{kind}Annotator{number}'] == pytest.approx(want)
    assert found['IoUAnnotators'] == pytest.approx((found['IoUAnnotator0'] + found['IoUAnnotator2']) / 2)


def test_the_evaluator_has_the_means_of_the_reference():
    rng = np.random.default_rng(0)
    images = [(torch.tensor(rng.normal(size=(2, 6, 7))), rng.integers(0, 2, (r, 6, 7))) for r in (3, 1, 4)]
    evaluator = METRICS.build(dict(type='AnnotatorMetric'))
    ignored = sample(torch.zeros(2, 4, 4), np.full((2, 4, 4), 255), 9)
    evaluator.process(None, [*(sample(z, maps, k) for k, (z, maps) in enumerate(images)), ignored])
    found = evaluator.compute_metrics([*evaluator.results, evaluator.results[0]])  # as a padded sampler repeats it
    scores = [annotator_scores(z.softmax(0).numpy(), maps) for z, maps in images]
    assert found == pytest.approx({name: 100 * np.mean([one[name] for one in scores]) for name in SCORES})
    one_channel = METRICS.build(dict(type='AnnotatorMetric'))
    one_channel.process(None, [sample(z.softmax(0)[1:], maps, k) for k, (z, maps) in enumerate(images)])
    assert one_channel.compute_metrics(one_channel.results) == pytest.approx(found)


def test_the_evaluator_needs_annotators():
    evaluator = METRICS.build(dict(type='AnnotatorMetric'))
    with pytest.raises(ValueError, match="must have 'gt_annotators', got"):
        evaluator.process(None, [dict(seg_logits=dict(data=torch.zeros(2, 3, 3)))])
    with pytest.raises(ValueError, match=r'AnnotatorMetric: targets must be \(3, 3\).* \(image 0.png\)'):
        evaluator.process(None, [sample(torch.zeros(2, 3, 3), np.zeros((2, 4, 4), int), 0)])


@pytest.mark.slow
def test_trains_resumes_and_is_compared_with_each(train, tmp_path):
    pytest.importorskip('sklearn', reason='the scenes are of the digits of scikit-learn')
    from examples.simulated_annotators import main as simulate
    from segparity.demo import dataset
    from segparity.demo.settings import Settings

    dataset.write_data(tmp_path, Settings(iterations=4, val_every=4, train_scenes=16, val_scenes=4))
    simulate(str(tmp_path / 'data'))

    def shortened(name, **changes):
        made = Config.fromfile(CONFIGS / 'digits_unet_annotators.py')
        for loader in (made.train_dataloader, made.val_dataloader, made.test_dataloader):
            loader.dataset.data_root = str(tmp_path / 'data')
        made.train_dataloader.batch_size = 4
        made.train_cfg.update(max_iters=4, val_interval=2)
        made.param_scheduler.total_steps = 4
        made.default_hooks.checkpoint.interval = 2
        made.default_hooks.logger.interval = 1
        made.log_processor = dict(by_epoch=False, window_size=1)
        made.merge_from_dict(dict(work_dir=str(tmp_path / name), randomness=dict(seed=0), log_level='ERROR', **changes))
        return made

    runner = train(shortened('whole'))
    rest = train(shortened('rest', load_from=str(tmp_path / 'whole' / 'iter_2.pth'), resume=True))
    want, got = (logged(tmp_path / name) for name in ('whole', 'rest'))
    assert sorted(want) == [1, 2, 3, 4] and got == {step: want[step] for step in (3, 4)}
    found = runner.test()
    assert found == rest.test() and {*SCORES, 'mIoUD'} <= set(found)
    assert found['DiceAnnotatorsMin'] <= found['DiceAnnotators'] <= found['DiceAnnotatorsMax'] < 100
    assert 0 < found['SoftDice'] < 100


@pytest.mark.slow
def test_the_configuration_for_lesions_builds():
    init_default_scope('mmseg')
    made = Config.fromfile(CONFIGS / 'lesions_unet_annotators.py')
    assert MODELS.build(made.model).decode_head.num_classes == 2
    for loader in (made.train_dataloader, made.val_dataloader):
        assert [TRANSFORMS.build(one) for one in loader.dataset.pipeline]
    assert [METRICS.build(one) for one in made.val_evaluator]
