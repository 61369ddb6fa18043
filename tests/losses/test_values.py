"""A wrong input never gives a number: the reference, and PyTorch as it runs on the CPU and as it runs on a GPU.

Keras: test_values_keras.py. A GPU, whose values nobody waits for, is the CPU with eyes shut, and a compiled model.
"""

import contextlib
import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')
pytest.importorskip('mmseg', reason='needs MMSegmentation')

from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from mmseg_plugin import inputs, values
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.losses import base
from shared_spec import LOSSES
from tests.support.assertions import assert_gradient, assert_same
from tests.support.expected import first_example
from tests.support.faults import AT, FAULTS, LABEL
from tests.support.losses import PLAIN

WORLDS = ('reference', 'torch', 'torch_fused', 'eyes_shut', 'eyes_shut_fused')
CHANNELS = {'one': 1, 'two': 2, 'many': 4}
OF_FOUR = {'distance_matrix', 'classes'}  # parameters that name classes, of which there are four
EXAMPLES = [(name, example) for name, loss in PLAIN.items() for example in loss.examples]
QUICK = ('eyes_shut_fused',)  # the world of examples after a loss's first
REPEATED = ('torch_fused', 'eyes_shut')  # two worlds that the others are made of


def reads_ignored(name, example):
    """Whether what an ignored pixel holds has a part in the loss."""
    return LOSSES[name](**LOSSES[name].examples[example].params).reads_ignored


def uses(worlds, examples=EXAMPLES):
    """Examples of losses in worlds; by default those after a loss's first in one of them."""
    return pytest.mark.parametrize(
        ('name', 'example', 'where'),
        [
            pytest.param(
                *use, where, marks=() if where in QUICK or use[1] == first_example(use[0]) else pytest.mark.slow
            )
            for use in examples
            for where in worlds
        ],
    )


SOME = [pytest.param(where, marks=pytest.mark.slow if where in REPEATED else ()) for where in WORLDS]
IN_WORLDS, IN_TORCH = (pytest.mark.parametrize('where', worlds) for worlds in (SOME, SOME[1:]))


def channels_of(name, example):
    """Numbers of channels that an example is meant for."""
    loss, options = LOSSES[name], LOSSES[name].examples[example]
    kinds = [
        kind for kind in CHANNELS if ('one' if kind == 'one' else 'many') in {*loss.channels} & {*options.channels}
    ]
    return [kind for kind in kinds if kind == 'many' or not OF_FOUR & set(options.params)]


def case(name, channels, side=12):
    """pred (2, C, side, side), target and no weight; every class in every image."""
    rng = np.random.default_rng(sum(name.encode()))
    c = CHANNELS[channels]
    target = rng.integers(0, max(c, 2), (2, side, side))
    target[:, 0, : max(c, 2)] = np.arange(max(c, 2))
    return rng.normal(0, 1.5, (2, c, side, side)), target, None


def spec_of(name, example, channels, **params):
    example = LOSSES[name].examples[example]
    if example.class_weight:
        params[example.weights] = [0.5 + 0.75 * k for k in range(CHANNELS[channels])]
    return LOSSES[name](**example.params, **params)


@contextlib.contextmanager
def world(name):
    """PyTorch with the operators and the eyes of a world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, 'MODE', 'fused' if 'fused' in name else 'plain')
        if name.startswith('eyes_shut'):
            patch.setattr(inputs, 'can_look', lambda *tensors: False)
            patch.setattr(values, 'can_look', lambda *tensors: False)
            patch.setattr(choice, 'overwrites', lambda *call: False)  # the operator that a compiled model calls
        yield


def run(where, spec, pred, target, weight, **call):
    """Value and gradient of a world; the reference has no gradient."""
    if where == 'reference':
        with np.errstate(invalid='ignore', divide='ignore'):
            return spec.reference(pred, target, weight, **call), None
    leaf = torch.tensor(pred, requires_grad=True)
    weight = None if weight is None else torch.tensor(weight)
    with world(where):
        value = MODELS.build(spec.to_mmseg())(leaf, torch.tensor(target), weight=weight, **call)
        value.sum().backward()
    return value.detach().numpy(), leaf.grad.numpy()


def is_fault(fault, spec, channels):
    softmax = getattr(spec, 'activation', 'softmax') == 'softmax'
    return (fault.one_channel or channels != 'one') and (fault.sigmoid or softmax)


def counted_channels(spec, gradient):
    """Of the gradient (N, C, H, W) the channels that the loss looks at: RobustT's background and unnamed classes are none."""
    if isinstance(getattr(spec, 'classes', ''), tuple) and gradient.shape[1] > 1:
        return gradient[:, list(spec.classes)]
    return gradient[:, 1:] if type(spec).__name__ == 'RobustTLoss' and gradient.shape[1] > 1 else gradient


@uses(WORLDS)
def test_no_number_from_any_configuration(name, example, where):
    for channels in channels_of(name, example):
        for fault in ('inf', 'only_labels_of_no_class', 'image_weight_negative'):
            answer(name, example, channels, fault, where)


@IN_WORLDS
@pytest.mark.parametrize('name', PLAIN)
def test_no_number_from_any_fault(name, where):
    example = first_example(name)
    for channels in channels_of(name, example):
        for fault in FAULTS:
            answer(name, example, channels, fault, where)


def answer(name, example, channels, fault, where):
    """A sentence where values can be seen and one is due, else NaN in the value and in the gradient of what counts."""
    spec, label, fault = spec_of(name, example, channels), f'{channels}, {fault}', FAULTS[fault]
    if not is_fault(fault, spec, channels):
        return
    given = fault.change(*case(name, channels))
    if fault.refused and not where.startswith('eyes_shut'):
        with pytest.raises(ValueError, match=fault.refused):
            run(where, spec, *given)
        return
    value, gradient = run(where, spec, *given)
    assert np.isnan(value), label
    if gradient is not None:
        assert np.isnan(counted_channels(spec, gradient)).all(), label


@uses(WORLDS[1:], [use for use in EXAMPLES if not reads_ignored(*use)])
def test_an_absent_pixel_may_hold_anything(name, example, where):
    """Ignored, or of weight 0: neither value nor gradient change, to the last bit."""
    channels = channels_of(name, example)[-1]
    pred, target, _ = case(name, channels)
    spec = spec_of(name, example, channels)
    other, ignored = pred.copy(), target.copy()
    other[AT[0], -1, *AT[1:]], other[1, 0, 5, 5], other[0, :, 7, 7] = np.nan, np.inf, -np.inf
    places = (0, 1, 0), (3, 5, 7), (3, 5, 7)
    ignored[places] = 255
    wild = np.ones(target.shape)
    wild[places] = np.nan, -1.0, np.inf
    want = run(where, spec, pred, ignored, np.ones(target.shape), ignore_index=255)
    got = run(where, spec, other, ignored, wild, ignore_index=255)
    assert_same(got[0], want[0], 'exact')
    assert_same(got[1], want[1], 'exact')
    weight = np.ones(target.shape)
    weight[places] = 0
    assert_same(run(where, spec, other, ignored, weight)[1], run(where, spec, pred, target, weight)[1], 'exact')
    assert np.isfinite(want[1]).all()


@IN_WORLDS
@pytest.mark.parametrize('soft', [np.nan, -0.5, 1.5, 1 + 2.0**-6])
@pytest.mark.parametrize('name', [n for n in PLAIN if 'soft' in LOSSES[n].labels])
def test_soft_labels(name, soft, where):
    pred, _, _ = case(name, 'many')
    target = np.full(pred.shape, 0.25, np.float32)
    target[AT[0], 1, *AT[1:]] = soft
    spec = LOSSES[name]()
    if where.startswith('eyes_shut'):
        value, gradient = run(where, spec, pred, target, None)
        assert np.isnan(value) and np.isnan(counted_channels(spec, gradient)).all()
    else:
        other = np.ones(pred[:, 0].shape)
        other[1] = 0
        for weight in (None, other):
            with pytest.raises(ValueError, match=r'soft labels must lie in \[0, 1\], got'):
                run(where, spec, pred, target, weight)


@IN_WORLDS
@pytest.mark.parametrize('prob', [np.nan, np.inf, -0.5, 1.5, -1.0])
@pytest.mark.parametrize(
    'name', [n for n in PLAIN if 'from_logits' in LOSSES[n].parameters() and not LOSSES[n].needs_logits]
)
def test_probabilities(name, prob, where):
    """-1 stands for logits in their place: from_logits was forgotten."""
    pred, target, _ = case(name, 'many')
    forgotten = prob == -1
    pred = pred if forgotten else np.exp(pred) / np.exp(pred).sum(1, keepdims=True)
    if not forgotten:
        pred[AT[0], 1, *AT[1:]] = prob
    spec = LOSSES[name](from_logits=False)
    if np.isfinite(prob) and not where.startswith('eyes_shut'):
        with pytest.raises(ValueError, match=r'must lie in \[0, 1\], got .*from_logits=True'):
            run(where, spec, pred, target, None)
        return
    value, gradient = run(where, spec, pred, target, None)
    assert np.isnan(value)
    assert gradient is None or np.isnan(gradient).any()


@IN_TORCH
def test_rounding_is_no_fault(where):
    """bfloat16 rounds a softmax to up to 1 + 2^-8, and an average of labels likewise."""
    pred, target, _ = case('rounding', 'many')
    prob = np.exp(pred) / np.exp(pred).sum(1, keepdims=True)
    prob[0, :, 0, 0] = 1 + 2.0**-8, -(2.0**-8), 0, 0
    spec = LOSSES['SoftDiceLoss'](from_logits=False)
    assert np.isfinite(run(where, spec, prob, target, None)[0])
    assert np.isfinite(run(where, LOSSES['SoftDiceLoss'](), pred, prob, None)[0])


def test_what_is_right_is_looked_at_once(monkeypatch):
    """Labels, weights and probabilities at the very ends of their range need no second look, which takes longer."""

    def second(*_):
        pytest.fail('looked at again')

    for name in ('check_weights', 'check_ids', 'check_one_channel', 'check_maps', 'check_probabilities'):
        monkeypatch.setattr(values.values, name, second)
    monkeypatch.setattr(values, 'faulty_prediction', second)
    monkeypatch.setattr(values, 'faulty_labels', second)
    slack = values.TOLERANCE
    ids, soft = torch.tensor([[0, 3]]), torch.tensor([[[-slack, 1 + slack]]])
    weight = torch.tensor([[0.0, torch.finfo(torch.float32).max]])
    values.check_weights('loss', weight)
    for given in (ids, ids.byte(), soft.expand(1, 4, 2), torch.tensor([[[0, 1]]]).expand(1, 4, 2)):
        values.check_labels('loss', given, None, 4)
        values.check_labels('loss', given.where(weight > 0, 77), weight, 4)
    assert values.check_prediction('loss', soft, None, 'none') and values.is_sound(soft, None, 'none')
    assert values.check_prediction('loss', torch.tensor([[[-torch.inf, 3e38]]]), None, 'softmax')
    assert values.are_sound(ids, None, 4) and values.are_sound(soft.clamp(0, 1), None, 4)


def test_an_older_pytorch_is_not_compiling(monkeypatch):
    monkeypatch.delattr(torch.compiler, 'is_compiling', raising=False)
    found = importlib.util.spec_from_file_location('values_of_older_pytorch', values.__file__)
    older = importlib.util.module_from_spec(found)
    found.loader.exec_module(older)
    assert older.is_compiling() is False


@uses(WORLDS)
def test_a_masked_class(name, example, where):
    """A logit of -inf is probability 0, as -1e4 is: for a class that never occurs; else the formula's limit."""
    for channels in channels_of(name, example):
        mask_last_class(name, example, channels, where)


def mask_last_class(name, example, channels, where):
    spec = spec_of(name, example, channels)
    pred, target, _ = case(name, channels)
    last = max(CHANNELS[channels], 2) - 1
    masked, low = pred.copy(), pred.copy()
    masked[:, -1], low[:, -1] = -np.inf, -1e4
    never = np.where(target == last, 0, target)
    value, gradient = run(where, spec, masked, never, None)
    limit = run('reference', spec, masked, never, None)[0]
    assert_same(value, limit, 'float64')
    if np.isfinite(limit):  # label smoothing gives every class a share
        want, slope = run(where, spec, low, never, None)
        assert_same(value, want, 'float64')
        if gradient is not None:
            assert_gradient(gradient, slope, 'float64')
    assert_same(run(where, spec, masked, target, None)[0], run('reference', spec, masked, target, None)[0], 'float64')


def test_cross_entropy_of_a_class_that_cannot_be_is_infinite():
    pred, target, _ = case('never', 'many')
    pred[:, 2] = -np.inf
    for where in WORLDS:
        assert run(where, LOSSES['WeightedCrossEntropyLoss'](), pred, target, None)[0] == np.inf


SENTENCES = [  # what is wrong with ids of 4 classes or with the masks of one channel, and what is likely meant
    ('many', lambda y: np.where(y == 1, 255, y), 'target labels must be below 4, got 255; ignore_index=255 leaves such pixels out'),
    ('many', lambda y: y + 1, 'target labels must be below 4, got 4; labels start at 0 (in MMSegmentation reduce_zero_label=True brings 1 there)'),
    ('many', lambda y: y / 2, 'target labels must be whole numbers, got 0.5; label maps are resized without interpolation'),
    ('many', lambda y: np.stack([y * 60] * 4, 1), 'one-hot labels must be 0 or 1, got 60; is this a picture in place of labels?'),
    ('many', lambda y: y - 1, 'target labels must be at least 0, got -1; ignore_index=-1 leaves such pixels out'),
    ('many', lambda y: np.stack([(y > 1) * 91.0] * 4, 1), 'soft labels must lie in [0, 1], got 91; are these per cent, to be divided by 100?'),
    ('many', lambda y: np.stack([y - 0.5] * 4, 1), 'soft labels must lie in [0, 1], got -0.5; are these logits?'),
    ('two', lambda y: y * 255, 'target labels must be below 2, got 255; ignore_index=255 leaves such pixels out, or divide masks of 0 and 255 by 255'),
    ('one', lambda y: y + 1, 'a one-channel target must lie in [0, 1], got 2; more than two classes need a channel for each'),
    ('one', lambda y: y * 62.5, 'a one-channel target must lie in [0, 1], got 62.5; are these per cent, to be divided by 100?'),
    ('one', lambda y: y * 100.0, 'a one-channel target must lie in [0, 1], got 100; are these per cent, to be divided by 100?'),
    ('one', lambda y: y * 100, 'a one-channel target must lie in [0, 1], got 100; are these per cent, to be divided by 100?'),
    ('one', lambda y: y * 3 - 0.5, 'a one-channel target must lie in [0, 1], got 2.5; are these logits?'),
    ('one', lambda y: y * 255, 'a one-channel target must lie in [0, 1], got 255; divide masks of 0 and 255 by 255'),
    ('one', lambda y: (y * 255).astype(np.uint8), 'a one-channel target must lie in [0, 1], got 255; divide masks of 0 and 255 by 255'),
]  # fmt: skip


@pytest.mark.parametrize('where', ['reference', 'torch', 'torch_fused'])
@pytest.mark.parametrize(('channels', 'change', 'sentence'), SENTENCES, ids=[s[2][:40] for s in SENTENCES])
def test_the_sentence_says_what_is_likely_meant(channels, change, sentence, where):
    pred, target, _ = case('sentences', channels)
    with pytest.raises(ValueError) as refusal:
        run(where, LOSSES['JaccardMetricLoss'](), pred, change(target), None)
    assert str(refusal.value).startswith(f'JaccardMetricLoss: {sentence[:35]}')
    assert str(refusal.value).endswith(sentence.split('; ')[1])


@IN_WORLDS
@pytest.mark.parametrize('named', [0, 2])
@pytest.mark.parametrize('name', [*(n for n in PLAIN if LOSSES[n]().one_label), 'SoftDiceLoss'])
def test_one_hot_labels_of_losses_of_class_ids_name_one_class(name, named, where):
    pred, target, _ = case('one hot', 'many')
    maps = np.moveaxis(np.eye(4, dtype=int)[target], -1, 1)
    maps[AT[0], :, *AT[1:]] = [named > 0, named > 1, 0, 0]
    spec, weight = LOSSES[name](), np.ones(target.shape)
    if name == 'SoftDiceLoss':  # classes by themselves: several annotators, a pixel of none
        assert np.isfinite(run(where, spec, pred, maps, weight)[0])
    elif where in ('reference', 'torch', 'torch_fused'):
        with pytest.raises(ValueError, match=f'one-hot labels must name one class in each pixel, got {named}; '):
            run(where, spec, pred, maps, weight)
    else:
        value, gradient = run(where, spec, pred, maps, weight)
        assert np.isnan(value) and np.isnan(gradient).all()
    weight[AT] = 0
    assert_same(run(where, spec, pred, maps, weight)[0], run('reference', spec, pred, target, weight)[0], 'float64')


def test_several_channels_of_sigmoid_may_be_labelled():
    pred, target, _ = case('labelled', 'many')
    maps = np.moveaxis(np.eye(4, dtype=int)[target], -1, 1)
    maps[:, 1] = 1
    spec = LOSSES['LovaszSoftmaxLoss'](activation='sigmoid')
    for where in WORLDS:
        assert_same(run(where, spec, pred, maps, None)[0], run('reference', spec, pred, maps, None)[0], 'float64')


@IN_TORCH
@pytest.mark.parametrize('reduction', ['mean', 'none'])
@pytest.mark.parametrize(
    'avg_factor',
    [0, -2.0, float('nan'), float('inf'), 10**400, -(10**5000)],
    ids=['0', '-2', 'nan', 'inf', 'huge', '-huge'],
)
def test_avg_factor_is_a_divisor(avg_factor, reduction, where):
    """One that 'none' does not divide by as well."""
    pred, target, weight = case('divisor', 'many')
    spec, options = LOSSES['WeightedCrossEntropyLoss'](), dict(reduction_override=reduction)
    beyond = isinstance(avg_factor, int) and avg_factor != 0  # what no tensor holds
    for given in (avg_factor,) if beyond else (avg_factor, torch.tensor(avg_factor)):
        if where.startswith('eyes_shut'):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(base, 'can_look', lambda *tensors: False)
                value, gradient = run(where, spec, pred, target, weight, avg_factor=given, **options)
            assert np.isnan(value).all() and (reduction == 'none' or np.isnan(gradient).all())
        else:
            with pytest.raises(ValueError, match='avg_factor must be a finite number above 0'):
                run(where, spec, pred, target, weight, avg_factor=given, **options)


def test_avg_factor_of_a_rank_without_pixels_may_be_0():
    pred, target, weight = case('divisor', 'many')
    for reduction in ('mean', 'none'):
        with pytest.raises(TypeError, match="avg_factor must be a number, got '7'"):
            spec = LOSSES['WeightedCrossEntropyLoss']()
            run('torch', spec, pred, target, weight, avg_factor='7', reduction_override=reduction)
    value, gradient = run('torch', LOSSES['WeightedCrossEntropyLoss'](), pred, target, 0 * target, avg_factor=0)
    assert value == 0 and not gradient.any()


@IN_WORLDS
def test_a_map_is_nan_at_the_pixel_alone(where):
    pred, target, _ = case('map', 'many')
    pred[AT[0], 1, *AT[1:]] = np.nan
    spec = LOSSES['WeightedCrossEntropyLoss']()
    if where == 'reference':
        value = spec.reference(pred, target, reduction='none')
    else:
        value, _ = run(where, spec, pred, target, None, reduction_override='none')
    assert np.argwhere(np.isnan(value)).tolist() == [list(AT)]


@pytest.mark.parametrize(
    'dtype', ['uint8', 'uint16', 'uint32', 'uint64', 'int8', 'int16', 'int32', 'int64', 'bool', 'float32', 'float64']
)
@pytest.mark.parametrize('form', ['one', 'two', 'one_hot'])
def test_labels_of_any_dtype(form, dtype):
    pred, target, _ = case('dtypes', 'one' if form == 'one' else 'two')
    given = np.moveaxis(np.eye(2, dtype=int)[target], -1, 1) if form == 'one_hot' else target
    spec = LOSSES['SoftDiceLoss'](classes='all')
    want, slope = run('torch', spec, pred, given, None)
    for where in WORLDS:
        value, gradient = run(where, spec, pred, given.astype(dtype), None)
        assert_same(value, want, 'float64', where)
        assert gradient is None or (np.abs(gradient - slope) < 1e-12).all()


@pytest.mark.parametrize('form', ['one', 'two', 'one_hot'])
def test_booleans_of_the_byte_255(form):
    """As Pillow's 1-bit pictures hold True."""
    pred, target, _ = case('bytes', 'one' if form == 'one' else 'two')
    given = np.moveaxis(np.eye(2, dtype=int)[target], -1, 1) if form == 'one_hot' else target
    spec = LOSSES['SoftDiceLoss'](classes='all')
    for where in WORLDS:
        value, _ = run(where, spec, pred, (given * 255).astype(np.uint8).view(bool), None)
        assert_same(value, run(where, spec, pred, given.astype(bool), None)[0], 'exact', where)


@pytest.mark.parametrize('dtype', ['uint16', 'uint32', 'uint64', 'int64'])
def test_large_labels_do_not_wrap(dtype):
    pred, target, _ = case('wrap', 'many')
    target = target.astype(dtype)
    target[AT] = np.iinfo(dtype).max
    for where in ('reference', 'torch'):
        with pytest.raises(ValueError, match=LABEL):
            run(where, LOSSES['JaccardMetricLoss'](), pred, target, None)
        ignored = LOSSES['JaccardMetricLoss'](ignore_index=65535 if dtype == 'uint16' else None)
        if dtype == 'uint16':
            assert np.isfinite(run(where, ignored, pred, target, None)[0])


@IN_WORLDS
@pytest.mark.parametrize('shape', [(2, 0, 5), (0, 12, 12), (0, 0, 0)], ids=str)
@pytest.mark.parametrize('name', [n for n in PLAIN if not LOSSES[n].needs_region])
def test_nothing_at_all_is_0(name, shape, where):
    n, *space = shape
    channels = 'many' if 'many' in LOSSES[name].channels else 'one'
    pred, target = np.zeros((n, CHANNELS[channels], *space)), np.zeros(shape, int)
    value, gradient = run(where, LOSSES[name](), pred, target, None)
    assert value == 0 and (gradient is None or gradient.shape == pred.shape)


@pytest.mark.parametrize('name', ['JaccardMetricLoss', 'WeightedCrossEntropyLoss'])
def test_a_compiled_model_gives_nan(name):
    torch._dynamo.reset()
    loss = torch.compile(MODELS.build(LOSSES[name]().to_mmseg()), backend='aot_eager')
    for fault in ('nan', 'inf', 'label_of_no_class', 'weight_negative'):
        pred, target, weight = FAULTS[fault].change(*case(name, 'many', side=40))
        weight = torch.ones(target.shape) if weight is None else torch.tensor(weight, dtype=torch.float32)
        leaf = torch.tensor(pred, requires_grad=True)
        value = loss(leaf, torch.tensor(target), weight=weight)
        value.backward()
        assert value.isnan() and leaf.grad.isnan().all(), fault


def test_amp_s_scaler_steps_over_a_nan():
    """What a wrong input does to a training with loss scaling: nothing."""
    pred, target, _ = case('scaler', 'many')
    layer = torch.nn.Conv2d(4, 4, 1).double()
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), 1.0)
    scaler = torch.amp.GradScaler('cpu')
    for broken in (True, False):
        x = torch.tensor(pred)
        x[AT[0], 0, *AT[1:]] = torch.nan if broken else 0.0
        optimizer.zero_grad()
        scaler.scale(MODELS.build(dict(type='JaccardMetricLoss'))(layer(x), torch.tensor(target))).backward()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(layer.weight, before) == broken
