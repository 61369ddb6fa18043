"""``MeanTeacherSegmentor``: its terms by hand, which images and pixels they are of, and training that goes on."""

import json
import math
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import HOOKS, MODELS, TRANSFORMS
from mmseg.structures import SegDataSample

import mmseg_plugin  # noqa: F401
from mmseg_plugin import losses
from mmseg_plugin.soft_labels.mean_teacher import Consistency, StrongView
from tests.mmseg.tiny_training import IGNORED, SIZE, config, logged, model
from tests.support.assertions import assert_same

SCRIPT = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
CONFIGS = Path(__file__).parents[2] / 'configs/soft_labels'
OURS = [
    dict(type='WeightedCrossEntropyLoss', ignore_index=IGNORED, loss_weight=0.25),
    dict(type='JaccardMetricLoss', ignore_index=IGNORED, loss_weight=0.75),
]
CALM = dict(brightness=0, contrast=0, noise=0)


@pytest.fixture(scope='module', autouse=True)
def scope():
    """MMEngine builds preprocessors by its own registry, which finds those of MMSegmentation from this scope."""
    init_default_scope('mmseg')


def built(loss_decode=OURS, **changes):
    torch.manual_seed(0)
    student = model(loss_decode)
    return MODELS.build(dict(type='MeanTeacherSegmentor', student=student, **dict(dict(ramp_up=0), **changes)))


def with_teacher(student, seed=1):
    """The student with a teacher of other weights; returns the teacher's network."""
    hook = HOOKS.build(dict(type='MeanTeacherHook'))
    hook.before_run(type('Runner', (), dict(model=student)))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in hook.ema_model.module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return hook.ema_model.module


def batch(labelled=(True, False)):
    torch.manual_seed(2)
    images = torch.randn(len(labelled), 3, SIZE, SIZE)
    samples = []
    for known in labelled:
        ids = torch.randint(3, (1, SIZE, SIZE)) if known else torch.full((1, SIZE, SIZE), IGNORED)
        if known:
            ids[:, :3] = IGNORED
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=ids)))
    return images, samples


def terms(found):
    return {name.removeprefix('decode.teacher.'): value for name, value in found.items() if '.teacher.' in name}


def by_hand(student, teacher, images, chosen, threshold=0.0):
    """The terms of both losses on the chosen images' pixels."""
    with torch.no_grad():
        z = teacher.eval()(images)
    prob = z.softmax(1)
    counts = torch.tensor(chosen)[:, None, None] & (prob.amax(1) >= threshold)
    logits = student(images)
    cross_entropy = losses.DistillationKLLoss(teacher_from_logits=True, loss_weight=0.25)
    jaccard = losses.JaccardMetricLoss(loss_weight=0.75)
    return cross_entropy(logits, z, weight=counts.float()), jaccard(logits, prob, weight=counts.float())


@pytest.mark.parametrize('labelled_too', [False, True])
@pytest.mark.parametrize('threshold', [None, 0.5])
def test_terms_are_of_unlabelled_images_and_sure_pixels(labelled_too, threshold):
    student = built(strong=CALM, labelled_too=labelled_too, confidence_threshold=threshold, consistency_weight=2.0)
    teacher = with_teacher(student)
    images, samples = batch()
    found = student.loss(images, samples)
    pixels, regions = by_hand(student, teacher, images, [labelled_too, True], threshold or 0.0)
    got = terms(found)
    assert_same(got['loss_distillation_k_l'].detach(), 2 * pixels.detach(), 'float32')
    assert_same(got['loss_jaccard_metric'].detach(), 2 * regions.detach(), 'float32')
    assert found['consistency_weight'].item() == 2.0
    own = built().loss_without_teacher(images[:1], samples[:1])
    for name in ('decode.loss_weighted_cross_entropy', 'decode.loss_jaccard_metric'):
        assert_same(found[name].detach(), own[name].detach(), 'float32')


def test_no_gradient_reaches_the_teacher_and_no_checkpoint_has_it():
    student = built()
    teacher = with_teacher(student)
    found = student.loss(*batch())
    sum(value for name, value in found.items() if 'loss' in name).backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(weight.grad is not None for weight in student.parameters())
    plain = MODELS.build(model(OURS))
    assert plain.state_dict().keys() == student.state_dict().keys()


def test_a_batch_of_one_kind():
    student = built(strong=CALM)
    with_teacher(student)
    images, samples = batch((True, True))
    assert all(value == 0 for value in terms(student.loss(images, samples)).values())
    images, samples = batch((False, False))
    found = student.loss(images, samples)
    own = [value for name, value in found.items() if name.startswith('decode.loss')]
    assert own and all(value == 0 for value in own) and all(value > 0 for value in terms(found).values())


def test_the_student_sees_another_view_of_unlabelled_images_alone():
    images, chosen = batch()[0], torch.tensor([False, True])
    about = Consistency(1.0, 0, False, StrongView(), 0)
    seen = about.view_of(images, chosen)
    assert torch.equal(seen[0], images[0]) and (seen[1] - images[1]).abs().mean() > 0.05
    assert torch.equal(seen, about.view_of(images, chosen))
    about.step = 1
    assert not torch.equal(seen, about.view_of(images, chosen))
    calm = StrongView(**CALM)(images, torch.Generator())
    assert_same(calm, images, 'float32')


def test_the_weight_ramps_up():
    about = Consistency(2.0, 100, False, StrongView(), 0)
    for step, want in ((0, 2 * math.exp(-5)), (50, 2 * math.exp(-1.25)), (100, 2.0), (1000, 2.0)):
        about.step = step
        assert about.weight_now() == pytest.approx(want)
    assert Consistency(2.0, 0, False, StrongView(), 0).weight_now() == 2.0


def test_what_the_batch_was_padded_with_counts_nowhere():
    student = built(strong=CALM)
    teacher = with_teacher(student)
    images, samples = batch((False,))
    samples[0].set_metainfo(dict(padding_size=[0, 4, 2, 8]))
    got = terms(student.loss(images, samples))['loss_jaccard_metric']
    with torch.no_grad():
        prob = teacher.eval()(images).softmax(1)
    counts = torch.zeros(1, SIZE, SIZE)
    counts[:, 2 : SIZE - 8, : SIZE - 4] = 1
    want = losses.JaccardMetricLoss(loss_weight=0.75)(student(images), prob, weight=counts)
    assert_same(got.detach(), want.detach(), 'float32')


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (dict(consistency_weight=0), 'consistency_weight must be a number > 0'),
        (dict(ramp_up=-1), 'ramp_up must be an integer >= 0'),
        (dict(confidence_threshold=1.5), 'confidence_threshold must be a number >= 0 and <= 1'),
        (dict(strong=dict(brightnes=1)), "did you mean 'brightness'"),
        (dict(strong=dict(contrast=2)), 'contrast'),
        (dict(rampup=3), "unknown parameter 'rampup', did you mean 'ramp_up'?"),
        (dict(student=dict(type='SegDataPreProcessor')), 'student'),
        (dict(student='mmseg::nope.py'), "student must be an existing file, got 'mmseg::nope.py'"),
        (dict(student='nope::nope.py'), "student must be an existing file, got 'nope::nope.py'"),
        (dict(loss_decode=dict(type='CrossEntropyLoss')), "give losses=[dict(type='DistillationKLLoss')]"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes, words):
    student = changes.pop('student', None) or model(changes.pop('loss_decode', OURS))
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match='MeanTeacherSegmentor') as caught:
        MODELS.build(dict(type='MeanTeacherSegmentor', student=student, **changes))
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_without_the_hook_and_with_another_model():
    with pytest.raises(RuntimeError, match=r"needs custom_hooks=\[dict\(type='MeanTeacherHook'\)\]"):
        built().loss(*batch())
    hook = HOOKS.build(dict(type='MeanTeacherHook'))
    with pytest.raises(TypeError, match='MeanTeacherHook: needs a MeanTeacherSegmentor, got EncoderDecoder'):
        hook.before_run(type('Runner', (), dict(model=MODELS.build(model(OURS)))))


def test_images_that_load_no_labels_at_all_are_a_sentence():
    student = built()
    with_teacher(student)
    images, samples = batch()
    del samples[1].gt_sem_seg
    with pytest.raises(ValueError, match='MeanTeacherSegmentor: 1 of 2 .* no gt_sem_seg; .* LoadNoAnnotations'):
        student.loss(images, samples)


def test_an_image_without_labels_is_ignored_everywhere():
    transform = TRANSFORMS.build(dict(type='LoadNoAnnotations', ignore_index=7))
    found = transform(dict(img=np.zeros((4, 5, 3), np.uint8)))
    assert found['seg_fields'] == ['gt_seg_map'] and found['gt_seg_map'].shape == (4, 5)
    assert (found['gt_seg_map'] == 7).all()
    with pytest.raises(ValueError, match='ignore_index must be an integer from 0 to 255, got 300'):
        TRANSFORMS.build(dict(type='LoadNoAnnotations', ignore_index=300))
    with pytest.raises(ValueError, match='stands after LoadImageFromFile'):
        transform({})


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    pytest.importorskip('sklearn', reason='the scenes are of the digits of scikit-learn')
    from segparity.demo import dataset
    from segparity.demo.settings import Settings

    folder = tmp_path_factory.mktemp('scenes')
    dataset.write_data(folder, Settings(iterations=4, val_every=4, train_scenes=16, val_scenes=4))
    return folder / 'data'


def shortened(data, work_dir, **changes):
    """The demo's configuration with four steps, of which each is logged and every second keeps a checkpoint."""
    made = Config.fromfile(CONFIGS / 'digits_unet_mean_teacher.py')
    for dataset in (
        *made.train_dataloader.dataset.datasets,
        made.val_dataloader.dataset,
        made.test_dataloader.dataset,
    ):
        dataset.data_root = str(data)
    made.train_dataloader.dataset.datasets[0].indices = 6
    made.train_dataloader.update(batch_size=4, sampler=dict(made.train_dataloader.sampler, batch_size=4, labelled=2))
    made.train_cfg.update(max_iters=4, val_interval=2)
    made.param_scheduler.total_steps = 4
    made.default_hooks.checkpoint.interval = 2
    made.default_hooks.logger.interval = 1
    made.log_processor = dict(by_epoch=False, window_size=1)
    made.model.ramp_up = 2
    made.merge_from_dict(dict(work_dir=str(work_dir), randomness=dict(seed=0), log_level='ERROR', **changes))
    return made


@pytest.mark.slow
def test_trains_resumes_and_its_teacher_is_evaluated(scenes, train, tmp_path):
    runner = train(shortened(scenes, tmp_path / 'whole'))
    found = runner.test()
    checkpoint = tmp_path / 'whole' / 'iter_2.pth'
    rest = train(shortened(scenes, tmp_path / 'rest', load_from=str(checkpoint), resume=True))
    for name in ('loss', 'decode.teacher.loss_jaccard_metric', 'consistency_weight'):
        want, got = (logged(tmp_path / folder, name) for folder in ('whole', 'rest'))
        assert sorted(want) == [1, 2, 3, 4] and got == {step: want[step] for step in (3, 4)}, name
    assert rest.test() == found
    ended = torch.load(tmp_path / 'whole' / 'iter_4.pth', weights_only=False)
    student, kept = runner.model.state_dict(), ended['state_dict']
    assert student.keys() == kept.keys()
    name = 'decode_head.conv_seg.weight'
    assert not torch.equal(student[name], kept[name]) and torch.equal(
        student[name], ended['ema_state_dict']['module.' + name]
    )
    plain = Config.fromfile(CONFIGS.parent / 'demo' / 'digits_unet_jaccard_metric.py').model
    MODELS.build(plain).load_state_dict(kept)


def mixed(folder, work_dir, batch_size):
    """A run whose batches have as many labelled as unlabelled pictures, always the same ones."""
    made = config(
        folder,
        work_dir,
        [dict(one, granularity='D') if 'Jaccard' in one['type'] else one for one in OURS],
        iterations=3,
    )
    loader = made['train_dataloader']
    labelled = dict(loader['dataset'], indices=4)
    unlabelled = dict(loader['dataset'], data_prefix=dict(img_path='img'))
    unlabelled['pipeline'] = [
        loader['dataset']['pipeline'][0],
        dict(type='LoadNoAnnotations'),
        dict(type='PackSegInputs'),
    ]
    loader['dataset'] = dict(type='ConcatDataset', datasets=[labelled, unlabelled])
    loader['batch_size'] = batch_size
    loader['sampler'] = dict(type='SemiSupervisedSampler', batch_size=batch_size, shuffle=False)
    # the first average is the student itself, where a metric loss has a kink, and rounding decides its gradient
    smooth = [dict(type='DistillationKLLoss'), dict(type='SoftDiceLoss', granularity='D')]
    made['model'] = dict(type='MeanTeacherSegmentor', student=made['model'], ramp_up=2, strong=CALM, losses=smooth)
    made['custom_hooks'] = [dict(type='MeanTeacherHook', momentum=0.01)]
    made['optim_wrapper'] = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5))
    return made


@pytest.mark.slow
def test_two_processes_train_as_one(pictures, python, train, tmp_path):
    train(mixed(pictures, tmp_path / 'one', 4))
    changes = dict(
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
        launcher='pytorch',
    )
    Config(dict(mixed(pictures, tmp_path / 'two', 2), **changes)).dump(tmp_path / 'two.py')
    commands = json.dumps([[str(SCRIPT), str(tmp_path / 'two.py'), '--launcher', 'pytorch']])
    launch = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2')
    python(*launch, Path(__file__).with_name('host_scripts.py'), commands)
    one, two = (torch.load(tmp_path / name / 'iter_3.pth', weights_only=False) for name in ('one', 'two'))
    for kind in ('state_dict', 'ema_state_dict'):
        for name, weight in one[kind].items():
            assert_same(two[kind][name], weight, 'float32', name)
    assert logged(tmp_path / 'two') == pytest.approx(logged(tmp_path / 'one'), rel=1e-5)
