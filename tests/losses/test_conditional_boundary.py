"""ConditionalBoundaryLoss by hand and by laws, the boundary that it makes, what it refuses, and what it never reads."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.inputs import prepare
from tests.losses.test_active_boundary import inputs
from tests.support.assertions import assert_gradient, assert_same

SPEC = LOSSES['ConditionalBoundaryLoss']
CONTEXT, CLASSIFY, A2C = (
    dict(zip(('weight_context', 'weight_classify', 'weight_a2c'), factors)) for factors in np.eye(3).tolist()
)
EACH = pytest.mark.parametrize('part', [CONTEXT, CLASSIFY, A2C], ids=['context', 'classify', 'a2c'])
TINY = 1e-5

# three by three pixels of which the one in the middle is the boundary; it is of class 1 and predicted so
LABEL = np.array([[[1, 0, 0], [1, 1, 2], [2, 1, 0]]])
GUESS = np.array([[[1, 0, 0], [2, 1, 2], [2, 1, 0]]])  # one of the three neighbours of its class is predicted wrong
LOGITS = 3.0 * np.moveaxis(np.eye(3)[GUESS], -1, 1)
MIDDLE = np.array([[[0, 0, 0], [0, 1, 0], [0, 0, 0]]])
EMBEDDING = np.array(
    [
        [[[3.0, 0.0, -1.0], [1.0, 2.0, 5.0], [0.0, 0.0, -4.0]],  # first feature
         [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [2.0, 4.0, 0.0]]]
    ]
)  # fmt: skip
WEIGHT, BIAS = np.array([[0.5, -1.0], [1.0, 0.25], [-0.75, 0.0]]), np.array([0.1, -0.2, 0.3])


def loss(pred, target, weight=None, call=None, **params):
    return SPEC(**{'ignored': 'mask', **params}).reference(
        pred, target, weight, **{'classifier': (WEIGHT, BIAS), **(call or {})}
    )


def by_hand(call=None, **params):
    return loss(LOGITS, LABEL, call={'embedding': EMBEDDING, 'boundary': MIDDLE, **(call or {})}, window=3, **params)


def case(seed=0, c=3, size=None, **options):
    """(pred, labels), and what a call takes besides."""
    z, y = inputs(seed, c=c, **options)
    rng = np.random.default_rng(seed + 1)
    embedding = rng.normal(0, 1, (len(z), 4, *(size or z.shape[2:])))
    return (z, y), dict(embedding=embedding, classifier=(rng.normal(0, 1, (c, 4)), rng.normal(0, 1, c)))


def cross_entropy(x, weight=WEIGHT, bias=BIAS, own=1):
    z = weight @ x + bias
    return math.log(sum(math.exp(k) for k in z)) - z[own]


def test_conditional_boundary_context_by_hand():
    """The middle is (2, 0): cosines of its eight neighbours, three of which are of its class."""
    same = [(1 - 1) ** 2, (1 / math.sqrt(2) - 1) ** 2, (0 - 1) ** 2]
    others = [0**2, (-1) ** 2, 1**2, 0**2, (-1) ** 2]
    assert_same(by_hand(**CONTEXT), sum(same + others) / 8, 'float64')
    assert_same(by_hand(dict(embedding=7 * EMBEDDING), **CONTEXT), sum(same + others) / 8, 'float64')
    assert by_hand(skip_class=1, **CONTEXT) == 0.0
    assert_same(by_hand(skip_class=0, **CONTEXT), sum(same + others) / 8, 'float64')


def test_conditional_boundary_classify_and_a2c_by_hand():
    m = (np.array([3.0, 0]) + [1, 1] + [0, 4]) / (3 + TINY)
    r = (np.array([3.0, 0]) + [0, 4]) / (2 + TINY)  # without the one that is predicted wrong
    assert_same(by_hand(**CLASSIFY), cross_entropy(m) + cross_entropy(r), 'float64')
    assert_same(by_hand(**A2C), ((2 - r[0]) ** 2 + (0 - r[1]) ** 2) / 2, 'float64')
    total = 0.5 * (2 * by_hand(**CONTEXT) + 3 * by_hand(**CLASSIFY) + 0.5 * by_hand(**A2C))
    factors = dict(weight_context=2, weight_classify=3, weight_a2c=0.5, loss_weight=0.5)
    assert_same(by_hand(**factors), total, 'float64')


def test_conditional_boundary_of_a_class_that_is_never_right():
    """The boundary is all of the picture: class 2 has no neighbour predicted right, and counts in neither mean."""
    everywhere = np.ones_like(LABEL)
    guess = np.where(LABEL == 2, 0, LABEL)
    z = np.moveaxis(np.eye(3)[guess], -1, 1)
    e, near = EMBEDDING[0], {}
    for c in (0, 1):
        for y, x in np.argwhere(LABEL[0] == c):
            window = [
                e[:, v, u] for v, u in np.argwhere(LABEL[0] == c) if 0 < max(abs(v - y), abs(u - x)) <= 1
            ]  # fmt: skip
            if window:
                near.setdefault(c, []).append((e[:, y, x], sum(window) / (len(window) + TINY)))
    gaps = [np.mean([((own - mean) ** 2).mean() for own, mean in pairs]) for pairs in near.values()]
    entropies = [np.mean([2 * cross_entropy(mean, own=c) for _, mean in pairs]) for c, pairs in near.items()]
    call = dict(embedding=EMBEDDING, boundary=everywhere)
    assert_same(loss(z, LABEL, call=call, window=3, **A2C), np.mean(gaps), 'float64')
    assert_same(loss(z, LABEL, call=call, window=3, **CLASSIFY), np.mean(entropies), 'float64')


def test_conditional_boundary_weighs_a_pair_as_its_boundary_pixel():
    """Two boundary pixels of a row of pictures of height 3, the second with weight 3."""
    rng = np.random.default_rng(0)
    e, y, b = rng.normal(0, 1, (1, 2, 3, 4)), rng.integers(0, 2, (1, 3, 4)), np.zeros((1, 3, 4), int)
    one, other, both = b.copy(), b.copy(), b.copy()
    one[0, 1, 1] = other[0, 1, 2] = both[0, 1, 1:3] = 1
    weight = np.ones((1, 3, 4))
    weight[0, 1, 2] = 3
    z = np.zeros((1, 2, 3, 4))

    def of(boundary, weight=None, images=1):
        call = dict(embedding=np.repeat(e, images, 0), boundary=boundary, classifier=(WEIGHT[:2], BIAS[:2]))
        return loss(np.repeat(z, images, 0), np.repeat(y, images, 0), weight, call, window=3, **CONTEXT)

    assert_same(of(both), (of(one) + of(other)) / 2, 'float64')
    assert_same(of(both, weight), (of(one) + 3 * of(other)) / 4, 'float64')
    pictures = np.concatenate([one, both])
    assert_same(of(pictures, images=2), (of(one) + of(both)) / 2, 'float64')
    weighed = of(pictures, np.array([0.5, 2.0]), images=2)
    assert_same(weighed, (0.5 * of(one) + 2 * of(both)) / 2.5, 'float64')


@EACH
@pytest.mark.parametrize('channels', [1, 3])
def test_conditional_boundary_of_one_channel_is_that_of_two(part, channels):
    """And classes are no more than names."""
    (z, y), call = case(c=channels)
    weight, bias = call['classifier']
    if channels == 1:
        two = np.concatenate([np.zeros_like(z), z], 1)
        classifier = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
        got = loss(two, y, call={**call, 'classifier': classifier}, **part)
    else:
        order = [2, 0, 1]
        renamed = np.argsort(order)[y]
        got = loss(z[:, order], renamed, call={**call, 'classifier': (weight[order], bias[order])}, **part)
    assert loss(z, y, call=call, **part) > 1e-3
    assert_same(got, loss(z, y, call=call, **part), 'float64')


@EACH
def test_conditional_boundary_of_an_embedding_of_another_size_is_that_of_fewer_labels(part):
    (z, y), call = case(size=(5, 6))
    rows, columns = [i * 9 // 5 for i in range(5)], [i * 2 for i in range(6)]
    small = np.ix_(range(len(y)), rows, columns)
    boundary = np.random.default_rng(5).integers(0, 2, y.shape)
    want = loss(z[:, :, rows][..., columns], y[small], call={**call, 'boundary': boundary[small]}, **part)
    assert want > 1e-3
    assert_same(loss(z, y, call={**call, 'boundary': boundary}, **part), want, 'float64')


@pytest.mark.parametrize('size', [(5, 6), (9, 12), (4, 4), (3, 7), (1, 1)])
def test_labels_of_conditional_boundary_are_sampled_as_pytorch_does(size):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from shared_spec.features import sampled

    y = np.random.default_rng(0).integers(0, 9, (2, 9, 12))
    want = torch.nn.functional.interpolate(torch.tensor(y)[:, None].double(), size, mode='nearest')
    assert_same(sampled(y, size).astype(float), want[:, 0].numpy(), 'exact')


@EACH
def test_conditional_boundary_of_ignored_pixels_is_that_of_the_picture_without_them(part):
    """Lines at edges, ignored by label or by weight; context knows no window that the picture cuts, so they are inside."""
    (z, y), call = case()
    inside = (slice(None), slice(2, -1), slice(1, -2))
    ignored, e = np.full_like(y, 255), np.full_like(call['embedding'], np.nan)
    ignored[inside], e[(inside[0], *inside)] = y[inside], call['embedding'][(inside[0], *inside)]
    wild = np.where((ignored == 255)[:, None], np.nan, z)
    own = {**call, 'embedding': e}
    got = loss(wild, ignored, call=own, ignore_index=255, **part)
    assert got > 1e-3
    assert_same(loss(wild, y, (ignored < 255).astype(float), call=own, **part), got, 'float64')
    if part is not CONTEXT:
        cut = {**call, 'embedding': call['embedding'][(inside[0], *inside)]}
        assert_same(loss(z[(inside[0], *inside)], y[inside], call=cut, **part), got, 'float64')
    more = np.concatenate([wild, wild[:1]]), np.concatenate([ignored, np.full_like(ignored[:1], 255)])
    own = {**own, 'embedding': np.concatenate([e, e[:1]])}
    assert_same(loss(*more, call=own, ignore_index=255, **part), got, 'float64')  # an image of nothing


def test_conditional_boundary_of_official_ignored_pixels():
    """In context they are pixels of another class; elsewhere they have no part."""
    label = np.where(np.arange(9).reshape(1, 3, 3) == 3, 255, LABEL)  # the neighbour with the cosine 1 / sqrt(2)
    call = dict(embedding=EMBEDDING, boundary=MIDDLE)

    def of(**params):
        return loss(LOGITS, label, call=call, window=3, ignore_index=255, **params)

    known = [(1 - 1) ** 2, (0 - 1) ** 2, 0**2, (-1) ** 2, 1**2, 0**2, (-1) ** 2]
    assert_same(of(**CONTEXT), sum(known) / 7, 'float64')
    assert_same(of(ignored='differ', **CONTEXT), (sum(known) + 0.5) / 8, 'float64')
    for part in (CLASSIFY, A2C):
        assert_same(of(ignored='differ', **part), of(**part), 'float64')
    call = {**call, 'embedding': np.where(np.arange(9).reshape(3, 3) == 3, np.nan, EMBEDDING)}
    assert math.isfinite(of()) and math.isnan(of(ignored='differ'))


def test_conditional_boundary_makes_the_boundary_of_the_labels():
    """max(1, round(0.1 * diagonal)) = 2 pixels on either side, and along the border of the image, to which all is outside."""
    y = np.zeros((1, 12, 16), int)
    y[:, :, 9:] = 2
    y[:, 6, 3] = 255
    spec = SPEC(boundary_ratio=0.1, ignore_index=255)
    batch = prepare(spec, np.zeros((1, 3, 12, 16)), y)
    want = np.zeros((12, 16), bool)
    want[:2] = want[-2:] = want[:, :2] = want[:, -2:] = want[:, 7:11] = want[4:9, 1:6] = True
    want[6, 3] = False  # itself is none
    assert_same(spec.edges(batch).reshape(12, 16), want, 'exact')
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import boundaries, inputs

    batch = inputs.prepare(spec, torch.zeros(1, 3, 12, 16), torch.tensor(y))
    assert_same(boundaries.wide_boundary(batch, 0.1).view(12, 16).numpy(), want, 'exact')


def test_conditional_boundary_without_anything_to_compare_costs_nothing():
    (z, y), call = case()
    assert loss(z, y, call=call) > 1e-3
    assert loss(z, y, call={**call, 'boundary': 0 * y}) == 0.0
    assert loss(z, y, 0.0 * y, call=call) == loss(z, np.full_like(y, 255), call=call, ignore_index=255) == 0.0
    wrong = np.moveaxis(np.eye(3)[(y + 1) % 3], -1, 1)
    assert loss(wrong, y, call=call, **CLASSIFY) == loss(wrong, y, call=call, **A2C) == 0.0
    zero = {**call, 'embedding': 0 * call['embedding']}
    alone = np.zeros_like(y)
    assert_same(loss(z, alone, call={**zero, 'boundary': alone + 1}, **CONTEXT), 1.0, 'float64')  # of cosines 0


def torch_case(seed=0, **options):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    (z, y), call = case(seed, **options)
    e = torch.tensor(call['embedding'], requires_grad=True)
    classifier = tuple(torch.tensor(x, requires_grad=True) for x in call['classifier'])
    return torch.tensor(z, requires_grad=True), torch.tensor(y), dict(embedding=e, classifier=classifier)


def eyes_shut(monkeypatch):
    """PyTorch as it runs on a GPU, where nothing is looked at."""
    from mmseg_plugin import inputs, values
    from mmseg_plugin.losses.boundary import conditional_boundary

    for room in (inputs, values, conditional_boundary):
        monkeypatch.setattr(room, 'can_look', lambda *tensors: False)


def test_conditional_boundary_trains_features_alone(monkeypatch):
    """Neither the classifier nor predictions; also where nothing is looked at, to the last digits."""
    z, y, call = torch_case()
    from mmseg_plugin.losses import ConditionalBoundaryLoss

    y[:, 0, :3], found = 255, []
    module = ConditionalBoundaryLoss(ignore_index=255, ignored='mask')
    for eyes in ('open', 'shut'):
        if eyes == 'shut':
            eyes_shut(monkeypatch)
        for x in (z, call['embedding'], *call['classifier']):
            x.grad = None
        value = module(z, y, **call)
        value.backward()
        assert all(x.grad is None for x in call['classifier'])
        assert not z.grad.any() and call['embedding'].grad.abs().sum() > 1e-3
        found.append((value.item(), call['embedding'].grad.numpy()))
    assert_same(found[1][0], found[0][0], 'float64')
    assert_gradient(found[1][1], found[0][1], 'float64')


@pytest.mark.slow
def test_conditional_boundary_draws_features_together():
    """Steps down the gradient: cosines to the same class beside the boundary rise, those across it fall."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    z, y, call = torch_case(n=1)
    from mmseg_plugin.losses import ConditionalBoundaryLoss

    y[:], across = 0, slice(3, 9)
    y[..., 6:] = 1
    module, e = ConditionalBoundaryLoss(weight_classify=0, weight_a2c=0, ignored='mask'), call['embedding'].detach()

    def cosines(e):
        unit = (e / e.norm(dim=1, keepdim=True))[..., across]
        to_next = (unit[..., 1:] * unit[..., :-1]).sum(1).mean((0, 1))
        return to_next[[0, 1, 3, 4]].mean().item(), to_next[2].item()

    found = [cosines(e)]
    for _ in range(150):
        e.requires_grad_()
        (slope,) = torch.autograd.grad(module(z, y, **{**call, 'embedding': e}), e)
        e = (e - 20 * slope).detach()
        found.append(cosines(e))
    assert found[-1][0] > 0.9 > found[0][0] and abs(found[-1][1]) < 0.1


@pytest.mark.slow
def test_conditional_boundary_never_waits_for_a_device(monkeypatch):
    """Tensors without values have none that anybody could look at."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from torch._subclasses import FakeTensorMode

    from mmseg_plugin.losses import ConditionalBoundaryLoss

    eyes_shut(monkeypatch)
    for given in (False, True):
        with FakeTensorMode():
            pred, e = torch.zeros(2, 3, 20, 20), torch.zeros(2, 4, 10, 10, requires_grad=True)
            extras = dict(boundary=torch.zeros(2, 20, 20)) if given else {}
            classifier = torch.zeros(3, 4, 1, 1), torch.zeros(3)
            value = ConditionalBoundaryLoss(ignore_index=255, ignored='mask')(
                pred, torch.zeros(2, 20, 20).long(), embedding=e, classifier=classifier, **extras
            )
            value.backward()
        assert value.shape == () and e.grad.shape == e.shape


@pytest.mark.parametrize('what', ['prediction', 'label', 'embedding', 'boundary', 'classifier'])
def test_conditional_boundary_of_what_is_no_number_is_nan_in_pytorch(what, monkeypatch):
    z, y, call = torch_case()
    from mmseg_plugin.losses import ConditionalBoundaryLoss

    y[1, 8, 11] = 255
    if what in ('label', 'boundary'):
        eyes_shut(monkeypatch)
    if what == 'label':
        y[0, 0, 0] = 7
    elif what == 'boundary':
        call['boundary'] = y.clone().fill_(1)
        call['boundary'][1, 8, 11] = 255
        assert ConditionalBoundaryLoss(ignore_index=255, ignored='mask')(z, y, **call).isfinite()
        call['boundary'][0, 0, 0] = 255
    else:
        x = {'prediction': z, 'embedding': call['embedding'], 'classifier': call['classifier'][0][None]}[what]
        x.data[0, 0, ..., 0] = math.nan
    value = ConditionalBoundaryLoss(ignore_index=255, ignored='mask')(z, y, **call)
    assert value.isnan()
    value.backward()
    assert call['embedding'].grad.isnan().any()


def test_what_conditional_boundary_refuses():
    (z, y), call = case()
    for name in ('embedding', 'classifier'):
        with pytest.raises(TypeError, match=f'^ConditionalBoundaryLoss: needs {name}, .*, at the call$'):
            SPEC().reference(z, y, **{k: x for k, x in call.items() if k != name})
    with pytest.raises(ValueError, match='window must be an odd integer >= 3, got 4'):
        SPEC(window=4)
    with pytest.raises(ValueError, match='pred must be .* with 2 spatial axes, got shape'):
        loss(z[:, :, None], y[:, None], call=call)
    with pytest.raises(ValueError, match='takes hard labels alone'):
        loss(z, np.full(z.shape, 1 / 3), call=call)
    weight, bias = call['classifier']
    for classifier in ((weight.T, bias), (weight, bias[:2]), (weight[None], bias)):
        with pytest.raises(
            ValueError, match=r'classifier must be a pair of shapes \(3, 4\) and \(3,\), for the 3 chann'
        ):
            loss(z, y, call={**call, 'classifier': classifier})
    assert_same(
        loss(z, y, call={**call, 'classifier': (weight[..., None, None], bias)}), loss(z, y, call=call), 'exact'
    )
    with pytest.raises(
        ValueError, match=r'boundary must have one number for each pixel of the labels, \(2, 9, 12\), got'
    ):
        loss(z, y, call={**call, 'boundary': y[:, None]})
    with pytest.raises(ValueError, match='boundary must be 1 or 0 where a pixel counts, got 255'):
        loss(z, y, call={**call, 'boundary': 255 + 0 * y})
    with pytest.raises(ValueError, match='skip_class must be one of the 3 classes, 0 to 2, got 3'):
        loss(z, y, call=call, skip_class=3)
