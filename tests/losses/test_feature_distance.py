"""FeatureDistanceLoss by hand, by the axioms of a metric, and by JaccardMetricLoss."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

NAME = 'FeatureDistanceLoss'
A, B = np.array([[1.0, 0.0, 3.0, 2.0]]), np.array([[2.0, 0.0, 1.0, 2.0]])
BY_HAND = {
    'jaccard': 1 - (1 + 1 + 2) / (2 + 3 + 2),
    'dice': 1 - 2 * (1 + 1 + 2) / (6 + 5),
    'l1': 1 + 2,
    'l2': math.sqrt(1 + 4),
    'cosine': 1 - (2 + 3 + 4) / math.sqrt(14 * 9),
}
OF_ANY_SIGN = ('l1', 'l2', 'cosine')
every = pytest.mark.parametrize('distance', BY_HAND)
many = settings(max_examples=50, deadline=None)
vectors = arrays(float, (3, 4), elements=st.one_of(st.just(0.0), st.floats(2**-20, 2.0**20)))


def loss(a, b, distance='jaccard', weight=None, **call):
    return LOSSES[NAME](distance=distance).reference(np.asarray(a), np.asarray(b), weight, **call)


def torch_loss(a, b, distance='jaccard', weight=None, **call):
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    from mmseg_plugin import losses

    weight = None if weight is None else torch.tensor(weight)
    return losses.FeatureDistanceLoss(distance=distance)(torch.tensor(a), torch.tensor(b), weight, **call)


both = pytest.mark.parametrize('call', [loss, torch_loss], ids=['numpy', 'torch'])


@both
@every
def test_the_formula(distance, call):
    assert_same(call(A, B, distance), BY_HAND[distance], 'float64')


@both
@every
def test_mean_over_samples_and_their_weights(distance, call):
    a, b = np.concatenate([A, B, A]), np.concatenate([B, B, 0 * B])
    own = [BY_HAND[distance], 0, {'l1': 6, 'l2': math.sqrt(14)}.get(distance, 1)]
    assert_same(call(a, b, distance), sum(own) / 3, 'float64')
    for weight in (np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [3.0]])):
        assert_same(call(a, b, distance, weight), (own[0] + 3 * own[2]) / 6, 'float64')
    a[2], b[2] = math.nan, -1
    assert_same(call(a, b, distance, np.array([1.0, 1.0, 0.0])), own[0] / 2, 'float64')
    assert call(a, b, distance, np.zeros(3)) == 0 == call(a[:0], b[:0], distance)


@both
def test_every_pixel_of_a_map_is_a_sample(call):
    a, b = np.stack([A, A], -1), np.stack([B, A], -1)  # (1, K, 2)
    assert_same(call(a, b, 'l1'), 3 / 2, 'float64')
    assert_same(call(a, b, 'l1', np.array([[3.0, 1.0]])), 9 / 4, 'float64')


@every
def test_identity_symmetry_and_bounds(distance):
    @many
    @given(vectors)
    def law(x):
        a, b, _ = x[:, None]
        there, back = loss(a, b, distance), loss(b, a, distance)
        assert loss(a, a, distance) <= 1e-15 and there == pytest.approx(back, rel=1e-12, abs=1e-15)
        assert there >= 0 or there == pytest.approx(0, abs=1e-15)
        if distance != 'cosine':  # which tells directions apart alone
            assert (there == 0) == np.array_equal(a, b) or there < 1e-9
        if distance in ('jaccard', 'dice', 'cosine'):
            assert there <= 1

    law()


@pytest.mark.parametrize('distance', ['jaccard', 'l1', 'l2'])
def test_the_triangle_inequality_of_the_metrics(distance):
    @many
    @given(vectors)
    def law(x):
        a, b, c = x[:, None]
        assert loss(a, c, distance) <= (loss(a, b, distance) + loss(b, c, distance)) * (1 + 1e-12)

    law()


@pytest.mark.parametrize('distance', ['dice', 'cosine'])
def test_dice_and_cosine_break_the_triangle_inequality(distance):
    """{1}, {1, 2}, {2}: by Dice 1 > 1/3 + 1/3, by cosine 1 > 2 (1 - 1 / sqrt 2)."""
    a, b, c = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
    steps = loss(a, b, distance) + loss(b, c, distance)
    assert_same(steps, {'dice': 2 / 3, 'cosine': 2 - math.sqrt(2)}[distance], 'float64')
    assert_same(loss(a, c, distance), 1.0, 'float64')


@pytest.mark.parametrize(('distance', 'name'), [('jaccard', 'JaccardMetricLoss'), ('dice', 'DiceSemimetricLoss')])
def test_it_is_the_metric_loss_of_features_taken_for_the_pixels_of_one_class(distance, name):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (2, 5, 9))
    b[:, 3] = a[:, 3]
    params = dict(from_logits=False, granularity='I', classes='all', smooth=0.0)
    assert_same(loss(a, b, distance), LOSSES[name](**params).reference(a[:, None], b), 'float64')


@both
@every
def test_scales(distance, call):
    for scale in (2.0**-400, 2.0**400):  # whose squares no float64 has
        if call is torch_loss:
            factor = scale if distance in ('l1', 'l2') else 1
            assert_same(call(scale * A, scale * B, distance) / factor, BY_HAND[distance], 'float64')
    half = [(2.0**12 * x).astype(np.float16) for x in (A, B)]
    factor = 2.0**12 if distance in ('l1', 'l2') else 1
    assert_same(np.float32(call(*half, distance)) / np.float32(factor), np.float32(BY_HAND[distance]), 'float32')


@both
@every
def test_what_is_no_number_is_nan(distance, call):
    for bad in (math.nan, math.inf):
        for first in (True, False):
            a, b = np.concatenate([A, A]), np.concatenate([B, B])
            (a if first else b)[1, 0] = bad
            assert math.isnan(call(a, b, distance))
    if distance in OF_ANY_SIGN:
        assert math.isnan(call(np.where(A == 3, -math.inf, A), B, distance))


@both
def test_negative_features(call):
    assert_same(call(-A, -B, 'l1'), 3.0, 'float64')
    for distance in ('jaccard', 'dice'):
        for pair in ((A - 1.5, B), (A, B - 1.5)):
            with pytest.raises(ValueError) as caught:
                call(*pair, distance)
            assert str(caught.value).startswith(f'{NAME}: distance={distance!r} needs features >= 0, such as those')
            assert str(caught.value).endswith("'l1', 'l2' and 'cosine' take any")


WRONG = [
    (A, np.array([1]), {}, ValueError, r"target must hold features of pred's shape \(1, 4\), got shape \(1,\)"),
    (A, B[:, :3], {}, ValueError, r"target must hold features of pred's shape \(1, 4\), got shape \(1, 3\)"),
    (A[0], B[0], {}, ValueError, r'pred must be \(N, C, \*space\) with 0 or 1'),
    (A[:, :0], B[:, :0], {}, ValueError, 'pred must have features'),
    (A, B.astype(int), {}, TypeError, 'target must be floating point features, got'),
    (A.astype(int), B, {}, TypeError, 'pred must be floating point'),
    (A, B, dict(weight=np.ones((2,))), ValueError, 'weight must be one number'),
    (A, B, dict(weight=-np.ones((1,))), ValueError, 'a weight must be a finite number >= 0'),
    (A, B, dict(embedding=None), TypeError, "unexpected argument 'embedding'"),
]


@both
@pytest.mark.parametrize(('a', 'b', 'more', 'error', 'words'), WRONG, ids=[w[4][:30] for w in WRONG])
def test_wrong_inputs_are_one_sentence(a, b, more, error, words, call):
    with pytest.raises(error, match=f'^{NAME}: .*{words}'):
        call(a, b, **more)


def test_a_sum_has_features_in_all_of_its_parts_or_in_none():
    ours, other = dict(type=NAME, distance='l1'), dict(type='JaccardMetricLoss')
    with pytest.raises(ValueError, match='must all take features or none'):
        LOSSES['WeightedSumLoss'](losses=[ours, other])
    both = LOSSES['WeightedSumLoss'](losses=[ours, dict(type=NAME, distance='l2')], weights=[0.5, 2.0])
    assert_same(both.reference(A, B), 0.5 * BY_HAND['l1'] + 2 * BY_HAND['l2'], 'float64')


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip('torch', reason='needs PyTorch')

    def slope(self, a, b, distance):
        import torch

        a, b = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
        from mmseg_plugin import losses

        losses.FeatureDistanceLoss(distance=distance)(a, b).backward()
        assert b.grad is None
        return a.grad.numpy()

    def test_slopes_where_features_agree(self, torch):
        """d = 2 g / (t + g) with g = sum |a - b|, t = sum (a + b); |a - b| is flat where a = b, as in JaccardMetricLoss."""
        g, t, sign = 3.0, 11.0, np.sign(A - B)
        assert_same(self.slope(A, B, 'jaccard'), (2 * sign * (t + g) - 2 * g * (1 + sign)) / (t + g) ** 2, 'float64')
        assert_same(self.slope(A, B, 'dice'), (sign * t - g) / t**2, 'float64')
        assert_same(self.slope(A, B, 'l1'), sign, 'float64')
        a = torch.tensor(A / 4, requires_grad=True)
        from mmseg_plugin import losses

        params = dict(from_logits=False, granularity='I', classes='all', smooth=0.0)
        losses.JaccardMetricLoss(**params)(a[:, None], torch.tensor(B / 4)).backward()
        assert_same(self.slope(A / 4, B / 4, 'jaccard'), a.grad.numpy(), 'float64')

    @every
    def test_slopes_are_numbers_where_vectors_are_equal_or_zero(self, distance):
        for a, b in ((A, A), (0 * A, 0 * B), (0 * A, B), (A, 0 * B)):
            assert np.isfinite(self.slope(a, b, distance)).all()
        assert not self.slope(A, A, 'l2').any()

    @pytest.mark.parametrize('distance', ['jaccard', 'dice'])
    def test_eyes_shut_negative_features_are_nan(self, distance, torch):
        pytest.importorskip('mmseg', reason='needs MMSegmentation')
        from tests.losses.test_values import world

        a, b = np.concatenate([A, A]), np.concatenate([B, B])
        b[1, 0] = -1
        with world('eyes_shut'):
            assert torch_loss(a, b, distance).isnan()
            assert np.isnan(self.slope(a, b, distance)).all()
            assert_same(torch_loss(a, b, distance, np.array([1.0, 0.0])), BY_HAND[distance], 'float64')

    def test_reductions(self):
        import torch

        from mmseg_plugin import losses

        a, b = torch.tensor(np.concatenate([A, B])), torch.tensor(np.concatenate([B, B]))
        for reduction, want in (('sum', 3.0), ('none', [3.0, 0.0]), ('mean', 1.5)):
            assert_same(losses.FeatureDistanceLoss(distance='l1', reduction=reduction)(a, b), want, 'float64')
        assert losses.FeatureDistanceLoss(distance='l1')(a, b, avg_factor=6) == 0.5

    def test_a_sum(self):
        import torch

        from mmseg_plugin import losses

        parts = [dict(type=NAME, distance=distance) for distance in ('l1', 'l2')]
        total = losses.WeightedSumLoss(losses=parts, weights=[0.5, 2.0])
        found = total(torch.tensor(A), torch.tensor(B))
        assert_same(found, 0.5 * BY_HAND['l1'] + 2 * BY_HAND['l2'], 'float64')

    def test_a_head_of_segmentation_is_told_what_is_missing(self):
        with pytest.raises(ValueError, match="target must hold features of pred's shape"):
            torch_loss(np.zeros((1, 3, 4, 4)), np.zeros((1, 4, 4), int), ignore_index=255)


@pytest.mark.parametrize(
    'framework',
    [*axis('keras_torch'), *(pytest.param(*f.values, marks=[*f.marks, pytest.mark.slow]) for f in axis('keras_tensorflow', 'keras_jax'))],
)  # fmt: skip
def test_in_keras(framework, worker):
    found, _ = worker.call('tests.losses.feature_calls:answers', dict(a=A, b=B))
    for distance, value in BY_HAND.items():
        assert_same(found['values'][distance], np.float32(value), 'float32', distance)
    assert found['values']['jaccard of none'] == 0 == found['values']['cosine of none']
    assert found['fitted'][1] < found['fitted'][0] and found['reloaded'] == found['last']
    assert found['compiled_negative'] == 'nan'
    assert f"{NAME}: distance='jaccard' needs features >= 0" in found['negative']
    assert "target must hold features of pred's shape (1, 4), got shape (1,)" in found['ids']
    assert 'target must be floating point features' in found['integers']
