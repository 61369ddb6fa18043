"""SemanticEncodingLoss by hand: from labels and from presence, which images count, and in MMSegmentation's EncHead."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

NAME = 'SemanticEncodingLoss'
Z = np.array([[0.5, -1.0, 2.0], [-0.3, 0.7, 0.1]])
Y = np.array([[[0, 0], [2, 0]], [[1, 1], [1, 255]]])
THERE = np.array([[1, 0, 1], [0, 1, 0]])


def entropy(z, there):
    """-log p of what is there, -log(1 - p) of what is not."""
    return math.log1p(math.exp(-z)) if there else math.log1p(math.exp(z))


IMAGES = [np.mean([entropy(z, t) for z, t in zip(*pair)]) for pair in zip(Z, THERE)]


def loss(z=Z, y=Y, weight=None, **params):
    return LOSSES[NAME](**{'ignore_index': 255, **params}).reference(z, y, weight)


def test_the_formula():
    assert_same(loss(), sum(IMAGES) / 2, 'float64')
    assert_same(loss(loss_weight=0.2), 0.2 * sum(IMAGES) / 2, 'float64')
    p = 1 / (1 + np.exp(-Z))
    assert_same(loss(p, from_logits=False), sum(IMAGES) / 2, 'float64')


@pytest.mark.parametrize('dtype', ['int64', 'float32', 'bool'])
def test_classes_that_are_told_are_those_of_the_labels(dtype):
    assert_same(loss(y=THERE.astype(dtype)), loss(), 'float64')
    for ignored in (0, 1):  # which are no labels there
        assert_same(loss(y=THERE.astype(dtype), ignore_index=ignored), loss(), 'float64')


def test_shapes_of_predictions_and_labels():
    want = loss()
    assert_same(loss(Z[:, :, None, None]), want, 'float64')
    assert_same(loss(y=Y[:, None]), want, 'float64')
    assert_same(loss(y=np.moveaxis(np.eye(3, dtype=int)[np.minimum(Y, 1 + (Y == 2))], -1, 1)), want, 'float64')
    assert_same(loss(y=Y.reshape(2, 1, 2, 2)), want, 'float64')
    assert_same(loss(y=Y.reshape(2, 4)), want, 'float64')


def test_which_images_and_pixels_count():
    assert_same(loss(y=np.stack([Y[0], np.full((2, 2), 255)])), IMAGES[0], 'float64')
    assert loss(y=np.full((2, 2, 2), 255)) == 0.0
    assert_same(loss(weight=np.array([3.0, 0.5])), (3 * IMAGES[0] + 0.5 * IMAGES[1]) / 3.5, 'float64')
    assert_same(loss(y=THERE, weight=np.array([3.0, 0.5])), (3 * IMAGES[0] + 0.5 * IMAGES[1]) / 3.5, 'float64')
    pixels = np.full(Y.shape, 0.5)
    pixels[0, 1, 0] = 0  # the one of class 2
    without = np.mean([entropy(z, t) for z, t in zip(Z[0], (1, 0, 0))])
    assert_same(loss(weight=pixels), (without + IMAGES[1]) / 2, 'float64')
    assert_same(loss(weight=np.where(np.arange(2)[:, None, None], pixels, 0)), IMAGES[1], 'float64')


def test_one_channel_is_whether_the_foreground_is_there():
    z, y = Z[:, :1], np.array([[[0, 0]], [[0, 1]]])
    assert_same(loss(z, y), (entropy(0.5, 0) + entropy(-0.3, 1)) / 2, 'float64')
    assert_same(loss(z, np.array([[0], [1]])), (entropy(0.5, 0) + entropy(-0.3, 1)) / 2, 'float64')


WRONG = [
    (Z[0], Y, ValueError, r'pred must be \(N, C\) or \(N, C, 1, 1\), of images, got shape \(3,\)'),
    (np.zeros((2, 3, 2, 2)), Y, ValueError, r'pred must be \(N, C\) .* got shape \(2, 3, 2, 2\)'),
    (Z, np.array([0, 1]), ValueError, r'target must be \(N, \*space\) class ids or \(N, C\) numbers 0 and 1'),
    (Z, Y[:1], ValueError, 'target must be'),
    (Z, np.where(Y == 2, 3, Y), ValueError, 'target labels must be below 3, got 3'),
    (Z, 2 * THERE, ValueError, 'must say which classes are there, by 0 and 1, got 2'),
    (Z, 0.3 * THERE, ValueError, 'must say which classes are there, by 0 and 1, got 0.3'),
    (Z.astype(int), Y, TypeError, 'pred must be floating point'),
]


@pytest.mark.parametrize(('pred', 'target', 'error', 'words'), WRONG, ids=[w[3][:30] for w in WRONG])
def test_wrong_inputs_are_one_sentence(pred, target, error, words):
    with pytest.raises(error, match=f'^{NAME}: .*{words}'):
        loss(pred, target)
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    from mmseg_plugin import losses

    with pytest.raises(error, match=f'^{NAME}: .*{words}'):
        losses.SemanticEncodingLoss(ignore_index=255)(torch.tensor(pred), torch.tensor(target))


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip('torch', reason='needs PyTorch')

    def call(self, z=Z, y=Y, weight=None, **params):
        import torch

        from mmseg_plugin import losses

        weight = None if weight is None else torch.tensor(weight)
        return losses.SemanticEncodingLoss(**{'ignore_index': 255, **params})(torch.tensor(z), torch.tensor(y), weight)

    def test_what_is_told_is_what_the_labels_say(self, torch):
        for y in (THERE, THERE.astype(np.float32), THERE > 0):
            assert_same(self.call(y=y), loss(), 'float64')
            assert_same(self.call(y=y, ignore_index=1, weight=np.array([3.0, 0.5])), loss(weight=np.array([3.0, 0.5])), 'float64')  # fmt: skip
        assert_same(self.call(np.zeros((2, 3, 1, 1)), Y), math.log(2), 'float64')
        one = Z[:, :1], np.array([[0], [1]])
        assert_same(self.call(*one, ignore_index=1), loss(*one), 'float64')

    def test_eyes_shut_what_tells_nothing_is_nan(self, torch, monkeypatch):
        from mmseg_plugin.losses.pixel import semantic_encoding
        from tests.losses.test_values import world

        monkeypatch.setattr(semantic_encoding, 'can_look', lambda *x: False)
        with world('eyes_shut'):
            assert self.call(y=0.3 * THERE).isnan() and self.call(y=2 * THERE).isnan()
            assert_same(self.call(y=THERE), loss(), 'float64')

    def test_what_is_of_pixels_has_no_meaning(self, torch):
        from mmseg_plugin import losses

        with pytest.raises(TypeError, match='align_corners has no meaning'):
            losses.SemanticEncodingLoss()(torch.tensor(Z), torch.tensor(Y) % 3, align_corners=False)

    def test_it_is_the_second_loss_of_an_enc_head(self, torch):
        pytest.importorskip('mmseg', reason='needs MMSegmentation')
        from mmengine.structures import PixelData
        from mmseg.registry import MODELS
        from mmseg.structures import SegDataSample

        import mmseg_plugin  # noqa: F401

        torch.manual_seed(0)
        head = MODELS.build(
            dict(
                type='mmseg.EncHead', in_channels=[8], in_index=[0], channels=8, num_codes=4, num_classes=3, use_se_loss=True,
                add_lateral=False, norm_cfg=dict(type='BN'), align_corners=False, ignore_index=255,
                loss_decode=dict(type='WeightedCrossEntropyLoss'),
                loss_se_decode=dict(type=NAME, loss_weight=0.2),
            )
        )  # fmt: skip
        labels = torch.tensor(Y).repeat_interleave(8, 1).repeat_interleave(8, 2)
        samples = [SegDataSample(gt_sem_seg=PixelData(data=y[None]), metainfo=dict(img_shape=(16, 16))) for y in labels]
        features = [torch.randn(2, 8, 8, 8)]
        _, logits = head(features)
        losses = head.loss(features, samples, {})
        assert logits.shape == (2, 3)
        want = loss(logits.detach().double().numpy(), Y, loss_weight=0.2)
        assert losses['loss_se'].item() == pytest.approx(want, rel=0.2)  # other batch statistics of the second pass
        losses['loss_se'].backward()
        assert head.se_layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    'framework',
    [*axis('keras_torch'), *(pytest.param(*f.values, marks=[*f.marks, pytest.mark.slow]) for f in axis('keras_tensorflow', 'keras_jax'))],
)  # fmt: skip
def test_in_keras(framework, worker):
    found, _ = worker.call('tests.losses.encoding_calls:answers', dict(z=Z, y=Y, there=THERE))
    for name in ('labels', 'flat', 'told', 'told_in_floats', 'one_hot'):
        assert_same(found['values'][name], loss(), 'float32', name)
    assert_same(found['values']['weighted'], loss(weight=np.array([3.0, 0.5])), 'float32')
    assert_same(found['values']['told_weighted'], loss(weight=np.array([3.0, 0.5])), 'float32')
    assert_same(found['values']['one'], loss(Z[:, :1], np.array([[0], [1]])), 'float32')
    assert found['fitted'][1] < found['fitted'][0]
    assert 'must say which classes are there, by 0 and 1, got 2' in found['two']
    assert 'pred must be (N, C) or (N, 1, 1, C), of images, got shape (2, 3, 1, 1)' in found['first']
