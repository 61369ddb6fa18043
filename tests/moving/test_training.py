"""Optimizers, weight decay, schedules, clipping, half precision and the mean over devices."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from torch import nn
from torch.nn import functional

from tests.moving.arrays import largest, normal, numbers, two_kinds_of_images, typical
from tests.moving.page import assert_figures
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

pytestmark = [
    pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch')),
]
STEPS, RATE = 20, 0.01


def path(optimizer, start, gradients, scheduler=None, clip=None):
    """The parameters after each step of an optimizer of PyTorch; optimizer and scheduler are made by functions."""
    parameters = [nn.Parameter(torch.tensor(x)) for x in start]
    optimizer = optimizer(parameters)
    scheduler = scheduler and scheduler(optimizer)
    found = []
    for t in range(len(gradients[0])):
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = torch.tensor(gradient[t])
        if clip:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        if scheduler:
            scheduler.step()
        found.append(np.concatenate([numbers(parameter).ravel() for parameter in parameters]))
    return np.stack(found)


def named(start, gradients):
    return {f'start_{k}': x for k, x in enumerate(start)} | {f'gradients_{k}': x for k, x in enumerate(gradients)}


def moved(found, want, start):
    """How far the last step's parameters are from each other, over how far they moved from the start."""
    begin = np.concatenate([x.ravel() for x in start])
    return typical(found[-1] - begin, want[-1] - begin)


def rates(scheduler, steps, rate=RATE):
    """The learning rate of each step under a scheduler of PyTorch or MMEngine."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = scheduler(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return np.array(found)


@pytest.mark.parametrize('nesterov', [False, True])
def test_momentum_while_the_rate_falls(nesterov, keras):
    start, gradients = [normal(50)], [normal(STEPS, 50, seed=1) + 0.5]
    arguments = dict(momentum=0.9, nesterov=nesterov)

    def by_torch(scheduler=None):
        return path(lambda p: torch.optim.SGD(p, lr=RATE, **arguments), start, gradients, scheduler)

    want = by_torch(lambda optimizer: torch.optim.lr_scheduler.PolynomialLR(optimizer, STEPS, power=0.9))
    decay = dict(initial_learning_rate=RATE, decay_steps=STEPS, end_learning_rate=0, power=0.9)
    call = dict(arguments=arguments, schedule=['PolynomialDecay', decay])
    found = keras('optimise', named(start, gradients), name='SGD', **call)
    if not nesterov:
        assert_figures('Momentum while the rate falls', 100 * moved(found, want, start))
    assert_same(keras('optimise', named(start, gradients), name='TorchSGD', **call), want, 'float32')
    constant = keras('optimise', named(start, gradients), name='SGD', arguments=dict(arguments, learning_rate=RATE))
    assert_same(constant, by_torch(), 'float32', 'at one rate they agree')


def test_weight_decay_of_sgd(keras):
    x, y, kernel, decay = normal(16, 3), normal(16, 1, seed=1), normal(3, 1, seed=2), 0.1
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor(kernel.T)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, weight_decay=decay)
    for _ in range(4):
        optimizer.zero_grad()
        functional.mse_loss(layer(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
    want, arrays = numbers(layer.weight).T, dict(x=x, y=y, kernel=kernel)
    found = keras('train_dense', arrays, arguments=dict(learning_rate=0.1, momentum=0.9, weight_decay=decay))
    none = keras('train_dense', arrays, arguments=dict(learning_rate=0.1, momentum=0.9))
    assert_figures('Weight decay of SGD', typical(found - none, want - none))
    same = keras('train_dense', arrays, arguments=dict(learning_rate=0.1, momentum=0.9), l2=decay / 2)
    assert_same(same, want, 'float32')


def test_weight_decay_of_adam(keras):
    start, gradients = [normal(50)], [normal(STEPS, 50, seed=1)]
    want = path(lambda p: torch.optim.Adam(p, lr=RATE, weight_decay=0.1), start, gradients)
    arguments = dict(learning_rate=RATE, weight_decay=0.1, epsilon=1e-8)
    found = keras('optimise', named(start, gradients), name='Adam', arguments=arguments)
    assert_figures('Weight decay of Adam', moved(found, want, start))
    decoupled = path(lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0.1), start, gradients)
    assert_same(found, decoupled, 'float32')


def test_defaults_of_adamw(keras):
    default = torch.optim.AdamW([nn.Parameter(torch.zeros(1))]).defaults
    found = keras('optimizer_config', name='AdamW')
    assert_figures(
        'Defaults of AdamW', default['weight_decay'], found['weight_decay'], default['eps'], found['epsilon']
    )
    start, gradients = [normal(50)], [normal(STEPS, 50, seed=1)]
    same = dict(learning_rate=RATE, weight_decay=default['weight_decay'], epsilon=default['eps'])
    want = path(lambda p: torch.optim.AdamW(p, lr=RATE), start, gradients)
    assert_same(keras('optimise', named(start, gradients), name='AdamW', arguments=same), want, 'float32')


def test_epsilon_of_adam_under_small_gradients(keras):
    start, gradients = [np.zeros(4, 'float32')], [np.full((1, 4), 1e-6, 'float32')]
    want = path(lambda p: torch.optim.Adam(p, lr=RATE), start, gradients)

    def first_step(epsilon):
        arguments = dict(learning_rate=RATE, epsilon=epsilon)
        return keras('optimise', named(start, gradients), name='Adam', arguments=arguments)

    assert_figures("Adam's epsilon", want.mean() / -RATE, first_step(1e-7).mean() / -RATE)
    same = first_step(1e-8 * np.sqrt(1 - 0.999))
    assert_same(same, want, 'float32_gradient', '1 - 0.999 in float32', scale=RATE)


def test_clipping(keras):
    start, gradients = [normal(50), normal(10)], [normal(5, 50, seed=1) * 4, normal(5, 10, seed=2)]
    want = path(lambda p: torch.optim.SGD(p, lr=RATE), start, gradients, clip=1.0)
    arguments = dict(learning_rate=RATE, clipnorm=1.0)
    found = keras('optimise', named(start, gradients), name='SGD', arguments=arguments)
    assert_figures('Clipping', moved(found, want, start))
    arguments = dict(learning_rate=RATE, global_clipnorm=1.0)
    assert_same(keras('optimise', named(start, gradients), name='SGD', arguments=arguments), want, 'float32')


def test_poly_of_mmengine(keras):
    steps, schedulers = 200, pytest.importorskip('mmengine.optim', reason='MMEngine is not installed')
    want = rates(
        lambda optimizer: schedulers.PolyLR(optimizer, power=0.9, eta_min=1e-4, end=steps, by_epoch=False), steps
    )

    def poly(**arguments):
        arguments = dict(initial_learning_rate=RATE, end_learning_rate=1e-4, **arguments)
        return keras('rates', name='PolynomialDecay', arguments=arguments, steps=steps)

    assert_figures(
        'Poly', largest(poly(decay_steps=steps), want) / RATE, largest(poly(decay_steps=steps, power=0.9), want) / RATE
    )
    assert_same(poly(decay_steps=steps - 1, power=0.9), want, 'float32', scale=RATE)


def test_cosine_of_mmengine(keras):
    schedulers = pytest.importorskip('mmengine.optim', reason='MMEngine is not installed')
    want = rates(lambda o: schedulers.CosineAnnealingLR(o, T_max=STEPS, eta_min=1e-3, end=STEPS, by_epoch=False), STEPS)

    def cosine(alpha):
        arguments = dict(initial_learning_rate=RATE, decay_steps=STEPS, alpha=alpha)
        return keras('rates', name='CosineDecay', arguments=arguments, steps=STEPS)

    assert_figures('Cosine', largest(cosine(1e-3), want) / RATE)
    assert_same(cosine(1e-3 / RATE), want, 'float32', scale=RATE)


def test_schedules_of_epochs_are_stairs(keras):
    schedulers = pytest.importorskip('mmengine.optim', reason='MMEngine is not installed')
    epochs, length = 5, 10
    arguments = dict(initial_learning_rate=RATE, decay_steps=epochs * length - 1, end_learning_rate=0, power=0.9)
    found = keras('rates', name='PolynomialDecay', arguments=arguments, steps=epochs * length)
    stairs = rates(lambda o: schedulers.PolyLR(o, power=0.9, eta_min=0, end=epochs), epochs)
    assert_figures('Steps or epochs', largest(np.repeat(stairs, length), found) / RATE)
    by_step = dict(power=0.9, eta_min=0, end=epochs, epoch_length=length)
    want = rates(lambda o: schedulers.PolyLR.build_iter_from_epoch(o, **by_step), epochs * length)
    assert_same(found, want, 'float32', scale=RATE)


def test_softmax_in_half_precision(keras):
    logits = (normal(2, 8, 8, 4, scale=6)).astype('float16').astype('float32')
    labels = np.random.default_rng(1).integers(0, 4, (2, 8, 8))
    with torch.autocast('cpu', torch.float16):
        value = functional.cross_entropy(torch.tensor(logits).half().movedim(-1, 1), torch.tensor(labels))
    assert value.dtype == torch.float32
    want = numbers(value)

    def cross_entropy(layers, from_logits):
        pred = keras('apply', dict(x=logits), layers=layers)
        arguments = dict(from_logits=from_logits)
        return keras('loss', dict(labels=labels, pred=pred), name='SparseCategoricalCrossentropy', arguments=arguments)

    softmax = ['Activation', dict(activation='softmax', dtype='mixed_float16')]
    assert_figures('Half precision', cross_entropy([softmax], from_logits=False), want)
    last = ['Activation', dict(activation='linear', dtype='float32')]
    assert_same(cross_entropy([last], from_logits=True), want, 'float32')


def test_first_loss_scale(keras):
    want = torch.amp.GradScaler('cpu').get_scale()
    assert_figures('Loss scale', want, keras('loss_scale', arguments={}))
    assert keras('loss_scale', arguments=dict(initial_scale=65536.0)) == want


def test_mean_of_the_devices_means(keras):
    logits, labels = normal(4, 8, 8, 3, scale=2), np.random.default_rng(1).integers(0, 3, (4, 8, 8))
    labels[2:, 1:] = 255  # the second device's two images are nearly all ignored
    arguments = dict(from_logits=True, ignore_class=255)

    def cross_entropy(part, **changes):
        arrays = dict(labels=labels[part], pred=logits[part])
        return keras('loss', arrays, name='SparseCategoricalCrossentropy', arguments=dict(arguments, **changes))

    def by_torch(part, **changes):
        pred, target = torch.tensor(logits[part]).movedim(-1, 1), torch.tensor(labels[part])
        return numbers(functional.cross_entropy(pred, target, ignore_index=255, **changes))

    devices, whole = (slice(0, 2), slice(2, 4)), slice(0, 4)
    ranks = np.mean([by_torch(device) for device in devices])
    want = cross_entropy(whole)
    assert_same(want, by_torch(whole), 'float32')
    assert_figures('Mean over devices', 100 * abs(ranks / want - 1))
    counted = (labels != 255).sum()
    for sums in (
        [by_torch(device, reduction='sum') for device in devices],
        [cross_entropy(device, reduction='sum') for device in devices],
    ):
        assert_same(np.mean([2 / counted * value for value in sums]), want, 'float32')


def test_batch_norm_of_each_device(keras):
    """``synchronized=True`` on two replicas is tried in tests/distributed/test_tensorflow.py."""
    x = two_kinds_of_images()
    want = nn.BatchNorm2d(3)(torch.tensor(x).movedim(-1, 1)).detach().movedim(1, -1)  # SyncBN: of the whole batch
    normalise = [['BatchNormalization', dict(epsilon=1e-5)]]
    found = np.concatenate(
        [keras('apply', dict(x=x[part]), layers=normalise, training=True) for part in (slice(2), slice(2, 4))]
    )
    assert_figures('BatchNorm of each device', typical(found, want))
    assert_same(keras('apply', dict(x=x), layers=normalise, training=True), numbers(want), 'float32')
