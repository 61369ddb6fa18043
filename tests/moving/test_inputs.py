"""Images, label maps and what is ignored."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
from torch.nn import functional

import mmseg_plugin  # noqa: F401  mmcv is usable from here on
from segparity.parity.frameworks import WorkerError
from tests.moving.arrays import largest, nchw, nhwc, normal, numbers
from tests.moving.page import assert_figures
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

pytestmark = [
    pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch')),
]
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LOGITS = normal(2, 16, 16, 4, scale=3)
LABELS = np.random.default_rng(1).integers(0, 4, (2, 16, 16))


def image():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype='uint8')  # RGB


def preprocessed(images, **arguments):
    """What MMSegmentation's data_preprocessor makes of images (N, H, W, 3)."""
    from mmseg.registry import MODELS

    preprocessor = MODELS.build(dict(type='SegDataPreProcessor', **arguments))
    return nhwc(preprocessor(dict(inputs=list(torch.tensor(nchw(images)))))['inputs'])


def cross_entropy_of_mmseg(labels, logits=LOGITS, **arguments):
    from mmseg.registry import MODELS

    loss = MODELS.build(dict(type='CrossEntropyLoss', **arguments))
    return numbers(loss(torch.tensor(logits).movedim(-1, 1), torch.tensor(labels), ignore_index=255))


def cross_entropy(keras, labels, pred=LOGITS, name='SparseCategoricalCrossentropy', weight=None, **arguments):
    arrays = dict(labels=labels, pred=pred, weight=weight)
    return keras('loss', arrays, name=name, arguments=dict(from_logits=True, **arguments))


def test_normalisation(keras):
    want = preprocessed(image()[..., ::-1].copy(), mean=MEAN, std=DEVIATION, bgr_to_rgb=True)
    found = keras('apply', dict(x=image()), layers=[['Rescaling', dict(scale=1 / 255)]])
    assert_figures('Normalisation', *np.quantile(want, (0, 1)), *np.quantile(found, (0, 1)))
    scale = [1 / d for d in DEVIATION]
    offset = [-m / d for m, d in zip(MEAN, DEVIATION)]
    assert_same(
        keras('apply', dict(x=image()), layers=[['Rescaling', dict(scale=scale, offset=offset)]]), want, 'float32'
    )
    variance = [d * d for d in DEVIATION]
    layers = [['Normalization', dict(axis=-1, mean=MEAN, variance=variance)]]
    assert_same(keras('apply', dict(x=image()), layers=layers), want, 'float32')


def test_order_of_channels(keras):
    orange = np.zeros((2, 16, 16, 3), 'uint8') + np.array([255, 128, 0], 'uint8')
    arguments = dict(mean=MEAN, std=DEVIATION, bgr_to_rgb=True)
    want = preprocessed(orange[..., ::-1].copy(), **arguments)  # as cv2 and mmcv read it
    assert_figures('Order of channels', largest(preprocessed(orange, **arguments), want))
    layers = [['Rescaling', dict(scale=[1 / d for d in DEVIATION], offset=[-m / d for m, d in zip(MEAN, DEVIATION)])]]
    assert_same(keras('apply', dict(x=orange), layers=layers), want, 'float32')


def test_reduce_zero_label(keras, tmp_path):
    from mmcv.transforms import Compose
    from PIL import Image

    ids = np.array([0, 1, 2, 3, 4, 255], 'uint8')
    Image.fromarray(ids[None]).save(tmp_path / 'label.png')
    transform = Compose([dict(type='mmseg.LoadAnnotations', reduce_zero_label=True)])
    start = dict(seg_map_path=str(tmp_path / 'label.png'), reduce_zero_label=True, seg_fields=[])
    want = transform(start)['gt_seg_map']
    assert_figures('`reduce_zero_label`', (ids - 1 != want).sum(), (ids.astype('int64') - 1 != want).sum())
    assert_same(np.where((ids == 0) | (ids == 255), 255, ids - 1), want, 'exact')
    logits, want = normal(1, 1, 6, 4), want.astype('int64')[None, None]
    loss = cross_entropy(keras, want, logits, ignore_class=255)
    assert_same(loss, cross_entropy_of_mmseg(want, logits, avg_non_ignore=True), 'float32')


def test_ignored_pixels_in_the_mean(keras):
    labels = LABELS.copy()
    labels[:, :4] = 255
    want = cross_entropy_of_mmseg(labels)
    found = cross_entropy(keras, labels, ignore_class=255)
    assert_figures('Ignored pixels in the mean', want / found)
    assert_same(found, cross_entropy_of_mmseg(labels, avg_non_ignore=True), 'float32')
    weight = np.ones(labels.shape, 'float32')
    same = cross_entropy(keras, np.where(labels == 255, 0, labels), weight=np.where(labels == 255, 0, weight))
    assert_same(same, want, 'float32')


def test_one_hot_labels_with_ignored_pixels(framework, keras):
    labels = LABELS.copy()
    labels[:, :4] = 255
    one_hot = np.where(labels[..., None] == np.arange(4), 1, 0).astype('float32')
    if framework == 'keras_torch':
        with pytest.raises(WorkerError, match='must be smaller than num_classes'):
            keras('function', dict(x=labels), name='one_hot', arguments=dict(num_classes=4))
    else:
        found = keras('function', dict(x=labels), name='one_hot', arguments=dict(num_classes=4))
        assert_same(found, one_hot, 'exact', '255 becomes a pixel of no class')
    want = functional.cross_entropy(torch.tensor(LOGITS).movedim(-1, 1), torch.tensor(labels), ignore_index=255)
    found = cross_entropy(keras, one_hot, name='CategoricalCrossentropy')
    assert_figures('One-hot labels', found / numbers(want))
    counts = (labels != 255).astype('float32')
    reduction = dict(name='CategoricalCrossentropy', reduction='mean_with_sample_weight')
    assert_same(cross_entropy(keras, one_hot, weight=counts, **reduction), numbers(want), 'float32')


def test_masks_of_0_and_255(keras):
    masks = np.where(LABELS[:, :4, :4] == 3, 255, 0)  # few pixels: JAX adds equal numbers up with equal roundings
    background = np.array([5, -5], 'float32')
    logits = np.broadcast_to(background, (*masks.shape, 2)).copy()
    want = cross_entropy_of_mmseg(masks // 255, logits)
    blind = cross_entropy_of_mmseg(masks, logits)
    assert_figures('Masks of 0 and 255', blind, want)
    assert_same(cross_entropy(keras, masks // 255, logits), want, 'float32')
    found = cross_entropy(keras, masks, logits, ignore_class=255)
    assert found < 1e-3 and blind < 1e-3


def test_order_of_classes(keras):
    order = [2, 0, 3, 1]  # class k of the config is class order[k] of the model that is moved
    labels = LOGITS.argmax(-1)
    want = cross_entropy_of_mmseg(labels)
    moved = LOGITS[..., np.argsort(order)]
    assert_same(moved[..., order], LOGITS, 'exact')
    assert_figures('Order of classes', (moved.argmax(-1) == labels).mean(), (LOGITS.argmax(-1) == labels).mean())
    assert_same(cross_entropy(keras, np.take(order, labels), moved), want, 'float32')


def test_softmax_of_one_channel(keras):
    logits = normal(2, 16, 16, 1)
    found = keras('apply', dict(x=logits), layers=[['Softmax', {}]])
    assert_figures('One channel', found.min())
    labels = (LABELS == 3).astype('int64')
    want = functional.binary_cross_entropy_with_logits(
        torch.tensor(logits[..., 0]), torch.tensor(labels, dtype=torch.float32)
    )
    arguments = dict(name='BinaryCrossentropy')
    assert_same(cross_entropy(keras, labels[..., None], logits, **arguments), numbers(want), 'float32')
