"""DistillationKLLoss by hand, as cross-entropy less the teacher's entropy, and from a teacher's logits in every world."""

import math

import numpy as np
import pytest

from segparity.parity.check import side
from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import LOSSES
from tests.losses.by_hand import loss, loss_of_logits, random_logits
from tests.support.assertions import assert_gradient, assert_same
from tests.support.frameworks import axis

NAME, CROSS_ENTROPY = 'DistillationKLLoss', 'WeightedCrossEntropyLoss'


def softmax(z, temperature=1.0):
    e = np.exp(z / temperature)
    return e / e.sum(1, keepdims=True)


def test_distillation_kl_by_hand():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.9, 0.0])
    want = 0.1 * math.log(0.1 / 0.5) + 0.9 * math.log(0.9 / 0.3)
    assert_same(loss(NAME, p[None, :, None], q[None, :, None]), want, 'float64')
    half = p**0.5 / (p**0.5).sum()
    want = 4 * (0.1 * math.log(0.1 / half[0]) + 0.9 * math.log(0.9 / half[1]))
    assert_same(loss(NAME, p[None, :, None], q[None, :, None], temperature=2), want, 'float64')
    want = 0.7 * math.log(0.7 / 0.4) + 0.3 * math.log(0.3 / 0.6)
    assert_same(loss(NAME, np.full((1, 1, 2), 0.4), np.full((1, 1, 2), 0.7)), want, 'float64')


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_distillation_kl_is_nothing_where_the_student_is_the_teacher(temperature):
    z, _ = random_logits(1)
    assert abs(loss_of_logits(NAME, z, softmax(z, temperature), temperature=temperature)) < 1e-12
    assert abs(loss_of_logits(NAME, z, z, temperature=temperature, teacher_from_logits=True)) < 1e-12
    other, _ = random_logits(2)
    assert loss_of_logits(NAME, z, softmax(other, temperature), temperature=temperature) > 0.1


def test_distillation_kl_is_cross_entropy_less_the_entropy_of_the_teacher():
    z, label = random_logits(3)
    q = softmax(random_logits(4)[0])
    entropy = -(q * np.log(q)).sum(1).mean()
    assert_same(loss_of_logits(NAME, z, q), loss_of_logits(CROSS_ENTROPY, z, q) - entropy, 'float64')
    label[0, :2] = 255
    params = dict(ignore_index=255)
    assert_same(loss_of_logits(NAME, z, label, **params), loss_of_logits(CROSS_ENTROPY, z, label, **params), 'float64')


def test_distillation_kl_of_hard_and_hot():
    """At a high temperature it is half the squared difference of the centred logits over the number of classes."""
    z, teacher = random_logits(5)[0] / 4, random_logits(6)[0] / 4
    got = loss_of_logits(NAME, z, teacher, temperature=1e4, teacher_from_logits=True)
    difference = (z - z.mean(1, keepdims=True)) - (teacher - teacher.mean(1, keepdims=True))
    want = (difference**2).sum(1).mean() / (2 * z.shape[1])
    assert abs(got / want - 1) < 1e-3


@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax', 'keras_torch'))
@pytest.mark.parametrize(('channels', 'activation'), [(3, 'softmax'), (3, 'sigmoid'), (1, 'softmax')])
def test_distillation_kl_from_logits_of_a_teacher(framework, channels, activation, worker):
    z, teacher = (
        random_logits(seed, c=channels, space=(4, 5))[0].astype(np.float32).astype(np.float64) for seed in (7, 8)
    )
    spec = LOSSES[NAME](activation=activation, temperature=2, teacher_from_logits=True)
    dtype = FRAMEWORKS[framework]['precisions'][-1]
    way = 'eager' if framework == 'keras_jax' else None
    _, got = worker.call(
        f'{side(framework)}:value_and_gradient', dict(pred=z, target=teacher), loss=spec.to_dict(), dtype=dtype, way=way
    )
    assert_same(got['value'], spec.reference(z, teacher), dtype, framework)
    q = softmax(teacher, 2) if channels > 1 and activation == 'softmax' else 1 / (1 + np.exp(-teacher / 2))
    p = softmax(z, 2) if channels > 1 and activation == 'softmax' else 1 / (1 + np.exp(-z / 2))
    pixels = z.size / channels * (1 if channels > 1 and activation == 'softmax' else channels)
    assert_gradient(got['gradient'], 2 * (p - q) / pixels, dtype, framework)


def test_distillation_kl_refuses_what_is_no_teacher():
    z, label = random_logits(9)
    sentence = "^DistillationKLLoss: with teacher_from_logits=True target must hold the teacher's logits"
    with pytest.raises(ValueError, match=sentence):
        loss_of_logits(NAME, z, label, teacher_from_logits=True)
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import DistillationKLLoss

    module = DistillationKLLoss(teacher_from_logits=True)
    with pytest.raises(ValueError, match=sentence):
        module(torch.tensor(z), torch.tensor(label))
    teacher = torch.randn(z.shape, requires_grad=True)
    value = module(torch.tensor(z, requires_grad=True), teacher)
    value.backward()
    assert teacher.grad is None
    with pytest.raises(ValueError, match=r"pred's shape \(2, 3, 4, 5\), got integers of shape \(2, 4, 5\)"):
        module(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.long))
    for wrong in (math.nan, math.inf):
        teacher.data[0, 1, 2] = wrong
        for call in (
            lambda: module(torch.tensor(z), teacher),
            lambda: loss_of_logits(NAME, z, teacher.detach().numpy(), teacher_from_logits=True),
        ):
            with pytest.raises(ValueError, match="^DistillationKLLoss: the teacher's logits must be numbers"):
                call()


SUM = "the teacher's probabilities must sum to 1 in each pixel, got 1.4"


def unsure_teacher():
    """Logits of a student, and a teacher whose probabilities sum to 1.4 in the last pixel of the first image."""
    z, q = random_logits(9)[0], softmax(random_logits(10)[0])
    q[0, :, -1] = 1.4 / q.shape[1]
    return z, q


def test_probabilities_of_a_teacher_sum_to_1():
    """A pixel that does not count may hold anything, and independent channels have no sum."""
    z, q = unsure_teacher()
    weight = np.ones((len(z), *z.shape[2:]))
    weight[0, -1] = 0
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import DistillationKLLoss

    def module(*given, **params):
        return DistillationKLLoss(**params)(*map(torch.tensor, given))

    for call in (LOSSES[NAME]().reference, module):
        with pytest.raises(ValueError, match=f'^DistillationKLLoss: {SUM}'):
            call(z, q)
    assert_same(module(z, q, weight), LOSSES[NAME]().reference(z, q, weight), 'float64')
    assert math.isfinite(LOSSES[NAME](activation='sigmoid').reference(z, q))
    assert math.isfinite(module(z, q, activation='sigmoid'))
    pred = torch.tensor(z, requires_grad=True)
    value = torch.func.vmap(lambda a, b: DistillationKLLoss()(a[None], b[None]))(pred, torch.tensor(q))
    assert value.isnan().tolist() == [True] + [False] * (len(z) - 1)
    value[0].backward()
    assert pred.grad[0].isnan().any()


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_keras_sees_that_probabilities_of_a_teacher_sum_to_1(framework, worker):
    """A sentence where values are seen, NaN in value and gradient where they are not."""
    z, q = (np.moveaxis(x, 1, -1) for x in unsure_teacher())
    said, got = worker.call('tests.losses.teacher_calls:unsure_teacher', dict(z=z, q=q))
    assert SUM in said
    assert np.isnan(got['value']) and np.isnan(got['gradient']).any()
