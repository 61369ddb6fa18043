"""DistilledSegmentor: the student alone, whose losses are those of the recipe, and a teacher that nothing changes."""

import copy
import json
import re
import time

import pytest
import torch

import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

# isort: split
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn import functional

from mmseg_plugin.losses import DistillationKLLoss
from mmseg_plugin.soft_labels.heads import give_soft_labels
from mmseg_plugin.soft_labels.sources import BoundaryLabelSmoothing
from mmseg_plugin.soft_labels.teacher import model_config
from tests.mmseg.distilled import distilled, pass_on, segmentor, total, write_checkpoint
from tests.mmseg.heads import CLASSES, IGNORED, label
from tests.mmseg.tiny_training import config, logged, model
from tests.soft_labels.test_page_blocks import recipe, region

CE, JACCARD = dict(type='WeightedCrossEntropyLoss'), dict(type='JaccardMetricLoss', smooth=1.0)
LOSSES = [dict(CE, loss_weight=0.25), dict(JACCARD, loss_weight=0.75)]
THEIRS = dict(type='CrossEntropyLoss', loss_weight=1.0)


def samples(target):
    return [SegDataSample(gt_sem_seg=PixelData(data=t[None])) for t in target]


def inputs(channels=4 * CLASSES, size=16):
    x = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (2 * x).requires_grad_()


@pytest.fixture
def pair(tmp_path):
    """A student of the first two groups of channels, and a teacher of the next two."""

    def make(own=LOSSES, auxiliary=LOSSES[:1], teacher=None, **options):
        of_teacher = segmentor([2, 3], THEIRS, THEIRS) if teacher is None else teacher
        checkpoint = write_checkpoint(of_teacher, tmp_path / 'teacher.pth')
        return distilled(segmentor([0, 1], own, auxiliary), of_teacher, checkpoint, **options)

    return make


class TestRecipes:
    def test_distillation(self, pair):
        case = recipe('kd')
        p, (name, params) = case.params, region(case)
        keys = 'logits', 'aux_logits', 'teacher_logits', 'aux_teacher_logits'
        x = torch.cat([torch.tensor(case.arrays[key]) for key in keys], 1).requires_grad_()
        channels, ce = p['num_classes'], dict(CE, loss_weight=0.125)
        losses = [ce, dict(type=name, loss_weight=0.75, smooth=1.0, **params)]
        teacher = segmentor([2, 3], THEIRS, THEIRS, channels=channels)
        checkpoint = write_checkpoint(teacher, self.folder / 'teacher.pth')
        student = distilled(segmentor([0, 1], losses, ce, channels=channels), teacher, checkpoint, temperature=p['T'])
        loss = total(student.loss(x, samples(torch.tensor(case.arrays['label']))))
        case.assert_close(loss.item(), 'loss')
        loss.backward()
        found = x.grad.split(channels, 1)
        case.assert_close(found[0].numpy(), 'grad_logits')
        case.assert_close(found[1].numpy(), 'grad_aux_logits')
        assert not torch.cat(found[2:]).any()

    def test_boundary_label_smoothing(self):
        case = recipe('ls')
        p, (name, params) = case.params, region(case)
        x = torch.cat([torch.tensor(case.arrays[key]) for key in ('logits', 'aux_logits')], 1).requires_grad_()
        channels, ce = p['num_classes'], dict(CE, loss_weight=0.125)
        losses = [ce, dict(type=name, loss_weight=0.75, smooth=1.0, **params)]
        student = pass_on(MODELS.build(segmentor([0, 1], losses, ce, channels=channels)))
        give_soft_labels(student, BoundaryLabelSmoothing(p['epsilon'], window=p['k']))
        loss = total(student.loss(x, samples(torch.tensor(case.arrays['label']))))
        entropy = p['ce_weight'] * (p['main_weight'] + p['aux_weight']) * case.entropy(case.soft())
        case.assert_close(loss.item() - entropy, 'loss')
        loss.backward()
        for grad, key in zip(x.grad.split(channels, 1), ('grad_logits', 'grad_aux_logits')):
            case.assert_close(grad.numpy(), key)

    @pytest.fixture(autouse=True)
    def in_folder(self, tmp_path):
        self.folder = tmp_path


def by_hand(student, x, target, temperature, teacher=None, soft=None):
    """Name -> term of the decode head, written out."""
    z, own = x[:, :CLASSES], student.decode_head.loss_decode
    t = x[:, 2 * CLASSES : 3 * CLASSES].detach() if teacher is None else teacher
    counts = (target != IGNORED).to(x.dtype)
    labels = dict(target=target) if soft is None else dict(target=soft, weight=counts)
    kl = DistillationKLLoss(temperature=temperature, loss_weight=own[0].spec.loss_weight)
    q = (t / temperature).softmax(1)
    return {
        'decode.loss_weighted_cross_entropy': own[0](z, ignore_index=IGNORED, **labels),
        'decode.loss_jaccard_metric': own[1](z, ignore_index=IGNORED, **labels),
        'decode.teacher.loss_distillation_k_l': kl(z, q, weight=counts),
        'decode.teacher.loss_jaccard_metric': own[1](z, q, weight=counts),
    }


def shares(found, label_weight, teacher_weight):
    return {name: x * (teacher_weight if '.teacher.' in name else label_weight) for name, x in found.items()}


def assert_losses(found, want):
    for name, value in want.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('temperature', [1.0, 3.0])
def test_terms_by_hand(temperature, pair):
    x, target = inputs(), label()
    student = pair(temperature=temperature, label_weight=0.3, teacher_weight=0.9)
    found = student.loss(x, samples(target))
    assert_losses(found, shares(by_hand(student, x, target, temperature), 0.3, 0.9))
    terms = ['loss_weighted_cross_entropy', 'acc_seg', 'teacher.loss_distillation_k_l']
    assert [name for name in found if name.startswith('aux')] == [f'aux.{name}' for name in terms]
    right = (x[:, :CLASSES].argmax(1) == target)[target != IGNORED].double().mean() * 100
    assert found['decode.acc_seg'].item() == pytest.approx(right.item(), rel=1e-5)


def test_with_soft_labels(pair):
    x, target, student = inputs(), label(), pair()
    source = BoundaryLabelSmoothing(0.5)
    give_soft_labels(student, source)
    soft = source(student.decode_head, [], target[:, None], torch.float64)
    assert_losses(student.loss(x, samples(target)), shares(by_hand(student, x, target, 1.0, soft=soft), 0.5, 0.5))


@pytest.mark.parametrize('align_corners', [False, True])
def test_logits_of_another_size_are_resized_as_the_teachers_head_does(align_corners, pair):
    x, target = inputs(), label()
    teacher = segmentor([2, 3], THEIRS, THEIRS, every=2, align_corners=align_corners)
    small = x[:, 2 * CLASSES : 3 * CLASSES, ::2, ::2].detach()
    t = functional.interpolate(small, (16, 16), mode='bilinear', align_corners=align_corners)
    student = pair(teacher=teacher)
    assert_losses(student.loss(x, samples(target)), shares(by_hand(student, x, target, 1.0, teacher=t), 0.5, 0.5))


def test_an_auxiliary_head_learns_from_the_decode_head_of_a_teacher_without_one(pair):
    x, target = inputs(), label()
    student = pair(teacher=segmentor([2], THEIRS))
    kl = DistillationKLLoss(loss_weight=0.25, teacher_from_logits=True)
    counts = (target != IGNORED).double()
    aux, decode = x[:, CLASSES : 2 * CLASSES], x[:, 2 * CLASSES : 3 * CLASSES]
    want = {'aux.teacher.loss_distillation_k_l': 0.5 * kl(aux, decode, weight=counts)}
    assert_losses(student.loss(x, samples(target)), want)


def test_other_terms(pair):
    x, target = inputs(), label()
    terms = [dict(type='SoftDiceLoss'), dict(type='DistillationKLLoss')]
    student = pair(temperature=2.0, losses=JACCARD, auxiliary_losses=terms)
    aux, t = x[:, CLASSES : 2 * CLASSES], x[:, 3 * CLASSES :].detach()
    counts = (target != IGNORED).double()
    dice = MODELS.build(dict(type='SoftDiceLoss'))(aux, (t / 2).softmax(1), weight=counts)
    kl = DistillationKLLoss(temperature=2.0)(aux, (t / 2).softmax(1), weight=counts)
    want = {'aux.teacher.loss_soft_dice': 0.5 * dice, 'aux.teacher.loss_distillation_k_l': 0.5 * kl}
    found = student.loss(x, samples(target))
    assert_losses(found, want)
    assert [name for name in found if '.teacher.' in name] == ['decode.teacher.loss_jaccard_metric', *want]


def test_branches_learn_from_labels_alone(pair, tmp_path):
    x, target, plain = inputs(), label(), pair(label_weight=1.0)
    branch = dict(type='EdgeBranch', channels=4, loss=dict(type='WeightedCrossEntropyLoss'))
    student = segmentor([0, 1], LOSSES)
    student['decode_head'].update(type='BranchedHead', head_type='mmseg.FCNHead', branches=[branch])
    torch.manual_seed(0)
    built = distilled(student, segmentor([2, 3], THEIRS, THEIRS), str(tmp_path / 'teacher.pth'), label_weight=0.25)
    own = {name: value for name, value in built.loss_without_teacher(x, samples(target)).items() if 'loss' in name}
    found = built.loss(x, samples(target))
    want = plain.loss(x, samples(target))
    assert len(own) == 3 and 'decode.edge.loss_weighted_cross_entropy' in own
    assert_losses(found, {name: 0.25 * value for name, value in own.items()})
    assert_losses(found, {name: value for name, value in want.items() if name.startswith('decode.teacher.')})


def test_a_sum_of_losses_is_taken_apart(pair):
    x, target = inputs(), label()
    whole = dict(type='WeightedSumLoss', losses=[CE, JACCARD], weights=[0.125, 0.375], loss_weight=2.0)
    apart = pair().loss(x, samples(target))
    want = {name: value for name, value in apart.items() if name.startswith('decode.teacher')}
    assert_losses(pair(whole).loss(x, samples(target)), want)


def test_losses_of_class_ids_learn_nothing_from_a_teacher_and_the_log_says_so(pair, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmseg_plugin.soft_labels.distillation.print_log', lambda text, logger: said.append((text, logger))
    )
    student = pair([*LOSSES, dict(type='LovaszSoftmaxLoss'), THEIRS], THEIRS)
    sentences = [
        f'DistilledSegmentor: {head} (FCNHead) has {loss}, which learns nothing from the teacher'
        for head, loss in [
            ('decode_head', 'LovaszSoftmaxLoss'),
            ('decode_head', 'CrossEntropyLoss'),
            ('auxiliary_head', 'CrossEntropyLoss'),
        ]
    ]
    assert [text for text, _ in said] == sentences
    found = student.loss(inputs(), samples(label()))
    assert [name for name in found if 'teacher' in name] == [
        'decode.teacher.loss_distillation_k_l',
        'decode.teacher.loss_jaccard_metric',
    ]


def test_autocast_reaches_the_teacher(pair):
    target = label()
    student, x = pair(temperature=2.0).float(), inputs().detach().float()
    student.teacher.network.float()
    with torch.autocast('cpu', torch.bfloat16):
        found = student.loss(x, samples(target))
        assert student.teacher.network(x, mode='tensor').dtype == torch.bfloat16
    rounded = x.bfloat16().float()  # what identities of that precision give
    want = shares(by_hand(student, rounded, target, 2.0), 0.5, 0.5)
    for name, value in want.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], value.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_compiled(pair):
    x, target, student = inputs(), label(), pair(temperature=2.0)
    want = student.loss(x, samples(target))
    torch._dynamo.reset()
    found = torch.compile(student.loss, backend='aot_eager')(x, samples(target))
    assert_losses(found, want)


class TestTheTeacher:
    def test_is_no_part_of_the_student(self, pair):
        student = pair()
        assert set(student.state_dict()) == set(MODELS.build(segmentor([0, 1], LOSSES, LOSSES[:1])).state_dict())
        inner = set(map(id, student.teacher.network.parameters()))
        assert inner and not inner & set(map(id, student.parameters()))
        assert not any(p.requires_grad for p in student.teacher.network.parameters())
        assert not student.train().teacher.network.training
        copied = copy.deepcopy(student)  # as mmengine's EMA does
        assert copied.teacher is student.teacher
        assert copied.decode_head.teacher_terms.terms[1].loss is copied.decode_head.loss_decode[1]

    def test_has_the_weights_of_the_checkpoint(self, pair, tmp_path):
        student = pair()
        state = torch.load(tmp_path / 'teacher.pth', weights_only=True)['state_dict']
        own = student.teacher.network.state_dict()
        assert all(torch.equal(own[name], x.double()) for name, x in state.items())

    def test_predictions_are_the_students(self, pair):
        x, student = inputs(), pair()
        assert torch.equal(student(x, mode='tensor'), x[:, :CLASSES])


class TestRefused:
    def refused(self, pair, sentence, kind=ValueError, **options):
        with pytest.raises(kind, match=re.escape(sentence)):
            pair(**options)

    def test_parameters(self, pair):
        self.refused(pair, 'DistilledSegmentor: temperature must be a number > 0, got 0', temperature=0)
        self.refused(pair, 'label_weight must be a number >= 0, got -1', label_weight=-1)
        self.refused(pair, 'teacher_weight must be a number > 0, got 0', teacher_weight=0)
        self.refused(pair, 'auxiliary_losses must be configurations of losses, got 3', TypeError, auxiliary_losses=3)
        theirs = dict(auxiliary_losses=[dict(type='LovaszSoftmaxLoss')])
        self.refused(
            pair, "must be losses of segparity's that take soft labels, got LovaszSoftmaxLoss", TypeError, **theirs
        )
        learnt = dict(auxiliary_losses=[dict(type='RobustTLoss')])
        self.refused(pair, 'must have nothing to learn, got RobustTLoss', TypeError, **learnt)

    def test_losses_of_heads_that_there_are_not(self, pair):
        sentence = 'auxiliary_losses are for auxiliary heads, and the student has none'
        self.refused(pair, sentence, auxiliary=None, auxiliary_losses=LOSSES[:1])

    def test_a_student_that_learns_nothing(self, pair):
        sentence = "no loss of the student learns from the teacher, give losses=[dict(type='DistillationKLLoss')]"
        with pytest.raises(ValueError, match=re.escape(sentence)):
            pair(THEIRS, THEIRS)

    def test_other_classes(self, tmp_path):
        teacher = segmentor([0], THEIRS, channels=3)
        checkpoint = write_checkpoint(teacher, tmp_path / 'three.pth')
        sentence = 'the teacher must have the 4 classes of the student, its FCNHead has 3 (out_channels)'
        with pytest.raises(ValueError, match=re.escape(sentence)):
            distilled(segmentor([0], LOSSES), teacher, checkpoint)

    def test_files(self, tmp_path):
        teacher, student = segmentor([0], THEIRS), segmentor([0], LOSSES)
        other = write_checkpoint(segmentor([0, 1], THEIRS, THEIRS), tmp_path / 'other.pth')
        wide = write_checkpoint(segmentor([0], THEIRS, channels=5), tmp_path / 'wide.pth')
        (tmp_path / 'text.pth').write_text('no checkpoint')
        torch.save(dict(state_dict=dict(a=print)), tmp_path / 'code.pth')
        (tmp_path / 'empty.py').write_text('a = 1\n')
        wrong = {
            'teacher_checkpoint must be an existing file, got': (FileNotFoundError, teacher, 'nowhere.pth'),
            "got 'https://a.b/c.pth'; download it first": (FileNotFoundError, teacher, 'https://a.b/c.pth'),
            'teacher_checkpoint must be the path of a checkpoint, got None': (TypeError, teacher, None),
            'is that of another model: it has auxiliary_head.conv_seg': (ValueError, teacher, other),
            'decode_head.conv_seg.weight is (5, 5, 1, 1) in place of (4, 4, 1, 1)': (ValueError, teacher, wide),
            'is no checkpoint that can be loaded safely': (ValueError, teacher, str(tmp_path / 'text.pth')),
            'be loaded safely (Weights only load failed': (ValueError, teacher, str(tmp_path / 'code.pth')),
            'teacher must be an existing file, got': (FileNotFoundError, 'nowhere.py', other),
            'teacher must be a file with model = dict(...), got': (ValueError, str(tmp_path / 'empty.py'), other),
            'teacher must be the configuration of a model, or the path of one, got 3': (TypeError, 3, other),
        }
        for sentence, (kind, config_, checkpoint) in wrong.items():
            with pytest.raises(kind, match='DistilledSegmentor: .*' + re.escape(sentence)):
                distilled(student, config_, checkpoint)

    def test_a_distilled_model_counts_as_its_student(self):
        inner, outer = segmentor([0], THEIRS), dict(type='DistilledSegmentor', teacher=3, data_preprocessor=4)
        assert model_config('Anyone', 'teacher', dict(outer, student=inner)) == dict(inner, data_preprocessor=4)

    def test_a_teacher_that_has_no_decode_head(self, tmp_path):
        with pytest.raises(TypeError, match='teacher must be a segmentor with a decode_head, got TestChannels'):
            distilled(segmentor([0], LOSSES), dict(type='TestChannels', groups=[0]), 'none.pth')

    def test_a_student_that_has_no_decode_head(self, tmp_path):
        with pytest.raises(TypeError, match='student must be a segmentor with a decode_head, got TestChannels'):
            distilled(dict(type='TestChannels', groups=[0]), segmentor([0], LOSSES), 'none.pth')

    def test_other_inputs(self, tmp_path):
        own = dict(type='mmseg.SegDataPreProcessor', mean=[0.0] * 3, std=[1.0] * 3, size=(16, 16))
        teacher = segmentor([0], THEIRS)
        checkpoint = write_checkpoint(teacher, tmp_path / 'teacher.pth')
        student = dict(segmentor([0], LOSSES), data_preprocessor=own)
        wrong = {
            'mean [0.0, 0.0, 0.0], and the teacher': dict(own, mean=[1.0] * 3),
            'std [1.0, 1.0, 1.0], and the teacher': dict(own, std=[2.0] * 3),
            'one data_preprocessor has bgr_to_rgb or rgb_to_bgr, the other not': dict(own, bgr_to_rgb=True),
        }
        for sentence, of_teacher in wrong.items():
            with pytest.raises(ValueError, match=re.escape(sentence)):
                distilled(student, dict(teacher, data_preprocessor=of_teacher), checkpoint)
        distilled(student, dict(teacher, data_preprocessor=dict(own, size=(32, 32))), checkpoint)
        given = distilled(segmentor([0], LOSSES), teacher, checkpoint, data_preprocessor=own)  # as mmengine hands it on
        assert given.data_preprocessor.size == (16, 16)


class TestTraining:
    @pytest.fixture
    def complete(self, pictures, tmp_path, monkeypatch):
        """A config of a distilled model, whose teacher is twice as wide."""

        def make(name, **changes):
            return config(pictures, tmp_path / name, None, iterations=4, model=distilled_model, **changes)

        teacher = model([CE])
        teacher['backbone'] = dict(teacher['backbone'], base_channels=8)
        teacher['decode_head'] = dict(teacher['decode_head'], in_channels=8)
        monkeypatch.setattr(Config, 'pretty_text', property(lambda self: json.dumps(self._cfg_dict)))  # a host's, slow
        init_default_scope('mmseg')
        torch.manual_seed(5)
        torch.save(MODELS.build(dict(teacher, data_preprocessor=None)).state_dict(), tmp_path / 'teacher.pth')
        distilled_model = dict(
            type='DistilledSegmentor',
            student=model(LOSSES),
            teacher=teacher,
            teacher_checkpoint=str(tmp_path / 'teacher.pth'),
            temperature=2.0,
        )
        return make

    def test_stops_and_goes_on_as_if_it_had_not(self, complete, train, pictures, tmp_path):
        hooks = [dict(type='LabelSmoothingHook', epsilon=0.1), dict(type='EMAHook')]
        whole = train(complete('whole', custom_hooks=hooks))
        checkpoint = str(tmp_path / 'whole' / 'iter_3.pth')
        rest = train(complete('rest', load_from=checkpoint, resume=True, custom_hooks=hooks))
        want = {name: logged(tmp_path / 'whole', name) for name in ('loss', 'decode.teacher.loss_distillation_k_l')}
        assert all(len(steps) == 4 for steps in want.values())
        for name, steps in want.items():
            assert logged(tmp_path / 'rest', name) == {4: steps[4]}
        for a, b in zip(whole.model.parameters(), rest.model.parameters()):
            assert torch.equal(a, b)
        plain = MODELS.build(dict(model(LOSSES), data_preprocessor=None))
        plain.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])

    @pytest.mark.slow
    def test_publish_model_writes_the_plain_student(self, complete, train, python, tmp_path):
        train(complete('run'))
        python('-m', 'mmseg_plugin', 'publish_model', tmp_path / 'run' / 'iter_3.pth', tmp_path / 'plain.pth')
        deadline = time.monotonic() + 20  # the script does not wait for the renaming that it ends with
        while not (published := [*tmp_path.glob('plain-????????.pth')]) and time.monotonic() < deadline:
            time.sleep(0.1)
        content = torch.load(*published, weights_only=True)
        assert 'optimizer' not in content
        MODELS.build(dict(model(LOSSES), data_preprocessor=None)).load_state_dict(content['state_dict'])
