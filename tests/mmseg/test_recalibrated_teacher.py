"""``DistilledSegmentor(recalibration=...)``: the teacher's probabilities after the kernel, and the command that draws keys."""

import re

import numpy as np
import pytest
import torch

import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

# isort: split
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_plugin.__main__ import main
from mmseg_plugin.losses import DistillationKLLoss
from shared_spec.recalibration import DirichletRecalibration
from tests.mmseg.distilled import distilled, segmentor, write_checkpoint
from tests.mmseg.heads import CLASSES, IGNORED, label
from tests.mmseg.test_distillation import CE, JACCARD, LOSSES, THEIRS, assert_losses, inputs, samples
from tests.mmseg.tiny_training import config, dataloader, logged, model

TEMPERATURE = 2.0


@pytest.fixture
def keys(tmp_path):
    """A file of 40 keys, and what is in it."""
    rng = np.random.default_rng(0)
    made = DirichletRecalibration(
        rng.dirichlet(np.ones(CLASSES), size=40), rng.integers(CLASSES, size=40), rng.uniform(1, 5, 40)
    )
    made.save(tmp_path / 'keys.npz')
    return str(tmp_path / 'keys.npz'), made


def built(tmp_path, keys, own=LOSSES, auxiliary=None, **options):
    teacher = segmentor([2, 3], THEIRS, auxiliary and THEIRS)
    checkpoint = write_checkpoint(teacher, tmp_path / 'teacher.pth')
    given = dict(keys=keys[0], **options)
    return distilled(
        segmentor([0, 1], own, auxiliary), teacher, checkpoint, temperature=TEMPERATURE, recalibration=given
    )


def teacher_of(x):
    return x[:, 2 * CLASSES : 3 * CLASSES].detach()


def want(student, x, target, prob):
    """The teacher's terms, of the probabilities (N, C, H, W) that it has at the temperature 1."""
    own, counts = student.decode_head.loss_decode, (target != IGNORED).double()
    z = torch.as_tensor(prob).clamp(min=np.finfo(np.float32).tiny).log() / TEMPERATURE
    kl = DistillationKLLoss(temperature=TEMPERATURE, loss_weight=own[0].spec.loss_weight)
    q, pred = z.softmax(1), x[:, :CLASSES]
    return {
        'decode.teacher.loss_distillation_k_l': 0.5 * kl(pred, q, weight=counts),
        'decode.teacher.loss_jaccard_metric': 0.5 * own[1](pred, q, weight=counts),
    }


def test_terms_by_hand(tmp_path, keys):
    x, target = inputs(), label()
    student = built(tmp_path, keys, bandwidth=0.2)
    recalibration = DirichletRecalibration.load(keys[0], bandwidth=0.2)
    prob = recalibration.recalibrate(teacher_of(x).softmax(1).numpy())
    found = student.loss(x, samples(target))
    assert_losses(found, want(student, x, target, prob))
    plain = teacher_of(x).softmax(1).numpy()
    other = want(student, x, target, plain)
    assert all((found[name] - value).abs() > 1e-3 for name, value in other.items())


def test_doubtful_pixels_alone(tmp_path, keys):
    x, target = inputs(), label()
    x.data[0, 2 * CLASSES : 3 * CLASSES].zero_()[0] = 9.0  # of the first image the teacher says class 0
    target[0, 4:] = 0
    student = built(tmp_path, keys, pixels='doubtful')
    plain = teacher_of(x).softmax(1).numpy()
    whole = keys[1].recalibrate(plain)
    y, doubtful = target.numpy(), plain.argmax(1) != target.numpy()
    for n, i, j in np.ndindex(y.shape):
        window = y[n, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        doubtful[n, i, j] |= len(np.unique(window)) > 1 and IGNORED not in window
    counted = doubtful[y != IGNORED]
    assert 0 < counted.sum() < counted.size
    prob = np.where(doubtful[:, None], whole, plain)
    assert_losses(student.loss(x, samples(target)), want(student, x, target, prob))


def test_the_teachers_auxiliary_head_stays_as_it_is(tmp_path, keys):
    x, target = inputs(), label()
    student = built(tmp_path, keys, auxiliary=LOSSES[:1])
    kl = DistillationKLLoss(temperature=TEMPERATURE, loss_weight=0.25, teacher_from_logits=True)
    aux, theirs = x[:, CLASSES : 2 * CLASSES], x[:, 3 * CLASSES :].detach()
    value = 0.5 * kl(aux, theirs, weight=(target != IGNORED).double())
    assert_losses(student.loss(x, samples(target)), {'aux.teacher.loss_distillation_k_l': value})


def test_autocast_rounds_no_kernel(tmp_path, keys):
    """A matrix product in bfloat16 would move the logarithms of kernels by whole numbers."""
    target = label()
    student, x = built(tmp_path, keys).float(), inputs().detach().float()
    student.teacher.network.float()
    with torch.autocast('cpu', torch.bfloat16):
        found = student.loss(x, samples(target))
    rounded = x.bfloat16().float()
    prob = keys[1].recalibrate(teacher_of(rounded).softmax(1).numpy()).astype(np.float32)
    for name, value in want(student, rounded, target, prob).items():
        torch.testing.assert_close(found[name], value.float(), rtol=1e-5, atol=1e-6)


class TestRefused:
    def test_other_classes(self, tmp_path):
        DirichletRecalibration(np.eye(3), [0, 1, 2]).save(tmp_path / 'three.npz')
        with pytest.raises(
            ValueError, match=re.escape('must have the 4 classes of the student (out_channels), its keys')
        ):
            built(tmp_path, (str(tmp_path / 'three.npz'),))

    def test_a_sigmoid(self, tmp_path, keys):
        sigmoid = [CE, dict(JACCARD, activation='sigmoid')]
        with pytest.raises(ValueError, match=r"JaccardMetricLoss has activation='sigmoid'"):
            built(tmp_path, keys, sigmoid)

    def test_parameters(self, tmp_path, keys):
        with pytest.raises(ValueError, match=r"recalibration: unknown parameter 'bandwith', did you mean 'bandwidth'"):
            built(tmp_path, keys, bandwith=0.1)
        with pytest.raises(ValueError, match=r'bandwidth must be a number > 0, got 0'):
            built(tmp_path, keys, bandwidth=0)
        with pytest.raises(FileNotFoundError, match=r'nowhere\.npz'):
            built(tmp_path, ('nowhere.npz',))
        with pytest.raises(
            TypeError, match=re.escape("recalibration must be dict(keys='keys.npz', bandwidth=, pixels=), got 3")
        ):
            distilled(
                segmentor([0], LOSSES), segmentor([0], THEIRS), write_checkpoint(segmentor([0], THEIRS), tmp_path / 't.pth'),
                recalibration=3,
            )  # fmt: skip


@pytest.fixture
def trained(pictures, tmp_path):
    """The config file and the checkpoint of a model of the tiny data set."""
    init_default_scope('mmseg')
    torch.manual_seed(5)
    network = MODELS.build(dict(model(LOSSES), data_preprocessor=None))
    torch.save(network.state_dict(), tmp_path / 'teacher.pth')
    complete = config(pictures, tmp_path / 'work', LOSSES, iterations=2)
    Config(dict(complete, val_dataloader=dataloader(pictures, 3, endless=False))).dump(tmp_path / 'teacher.py')
    return str(tmp_path / 'teacher.py'), str(tmp_path / 'teacher.pth')


def test_keys_of_a_command_train_a_student(trained, pictures, train, tmp_path, capsys):
    out = tmp_path / 'keys.npz'
    assert main(['recalibration_keys', *trained, str(out), '--keys-per-class', '30', '--device', 'cpu']) == 0
    printed = capsys.readouterr().out
    made = DirichletRecalibration.load(out)
    number = [int(line.split()[-2]) for line in printed.splitlines() if line.startswith('class')]
    assert 'class 0: 30 keys of ' in printed and f'wrote {out}' in printed
    assert np.bincount(made.key_labels).tolist() == [30, 30, 30]
    assert [made.key_weights[made.key_labels == c].sum() for c in range(3)] == pytest.approx(number)
    student = dict(
        type='DistilledSegmentor',
        student=model(LOSSES),
        teacher=model(LOSSES),
        teacher_checkpoint=trained[1],
        recalibration=dict(keys=str(out), pixels='doubtful'),
    )
    train(config(pictures, tmp_path / 'run', None, iterations=2, model=student))
    assert np.isfinite(list(logged(tmp_path / 'run', 'decode.teacher.loss_jaccard_metric').values())).all()


def test_the_command_says_what_is_wrong(trained, tmp_path, capsys):
    file, checkpoint = trained
    wrong = {
        'config must be an existing file': ['nowhere.py', checkpoint, 'k.npz'],
        'recalibration_keys: teacher_checkpoint must be an existing file, got': [file, 'nowhere.pth', 'k.npz'],
        "keys must be a file with the suffix .npz, got 'keys.v1'": [file, checkpoint, 'keys.v1'],
        'keys_per_class must be an integer >= 1, got 0': [file, checkpoint, 'k.npz', '--keys-per-class', '0'],
    }
    for sentence, arguments in wrong.items():
        assert main(['recalibration_keys', *arguments]) == 2
        said = capsys.readouterr().err
        assert sentence in said and said.count('\n') == 1, said
    assert not list(tmp_path.glob('k.npz'))


@pytest.mark.slow
def test_compiled(tmp_path, keys):
    """Doubtful pixels are counted out there, and not picked."""
    x, target = inputs(), label()
    student = built(tmp_path, keys, pixels='doubtful')
    expected = student.loss(x, samples(target))
    torch._dynamo.reset()
    assert_losses(torch.compile(student.loss, backend='aot_eager')(x, samples(target)), expected)
