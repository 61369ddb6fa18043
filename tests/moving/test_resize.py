"""Resizing of features, images and masks."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from torch.nn import functional

from tests.moving.arrays import nhwc, normal, numbers, typical
from tests.moving.page import assert_figures
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

pytestmark = pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))


def resized(keras, x, size, **arguments):
    return keras(
        'function', dict(x=nhwc(x)), name='resize', of='keras.ops.image', arguments=dict(size=size, **arguments)
    )


def interpolated(x, size, **arguments):
    return nhwc(functional.interpolate(torch.tensor(x), size, **arguments))


def test_half_pixels_are_the_default_of_both(keras):
    x = normal(2, 3, 8, 8)
    want = interpolated(x, (32, 32), mode='bilinear')
    assert_same(resized(keras, x, (32, 32)), want, 'float32')
    found = keras('apply', dict(x=nhwc(x)), layers=[['UpSampling2D', dict(size=4, interpolation='bilinear')]])
    assert_same(found, want, 'float32')
    x = normal(2, 3, 64, 64)
    assert_same(resized(keras, x, (16, 16)), interpolated(x, (16, 16), mode='bilinear'), 'float32')


def test_align_corners(keras):
    x = normal(2, 3, 8, 8)
    want = interpolated(x, (32, 32), mode='bilinear', align_corners=True)
    assert_figures('`align_corners`', typical(resized(keras, x, (32, 32)), want))
    same = keras('function', dict(x=nhwc(x)), name='resize_align_corners', of='page', arguments=dict(size=(32, 32)))
    assert_same(same, want, 'float32')


def test_antialias(keras):
    x = normal(2, 3, 64, 64)
    want = interpolated(x, (16, 16), mode='bilinear', antialias=True)
    assert_figures('Antialias', typical(resized(keras, x, (16, 16)), want))
    assert_same(resized(keras, x, (16, 16), antialias=True), want, 'float32')


def test_nearest(keras):
    x = np.random.default_rng(0).integers(0, 19, (2, 1, 96, 96)).astype('float32')
    found = resized(keras, x, (32, 32), interpolation='nearest')
    assert_figures('Nearest', (interpolated(x, (32, 32), mode='nearest') != found).mean())
    assert_same(interpolated(x, (32, 32), mode='nearest-exact'), found, 'exact')


def test_bicubic(framework, keras):
    x = normal(2, 3, 8, 8)
    found = resized(keras, x, (32, 32), interpolation='bicubic')
    want = interpolated(x, (32, 32), mode='bicubic')
    same = interpolated(x, (32, 32), mode='bicubic', antialias=True)
    if framework == 'keras_torch':  # Keras there is PyTorch, and differs from Keras elsewhere
        assert_figures('Bicubic', typical(want, same))
        assert_same(found, want, 'float32')
    else:
        assert_figures('Bicubic', typical(want, found))
        assert_same(same, found, 'float32')


def test_masks_that_are_resized_bilinearly(keras):
    rows, columns = np.mgrid[:96, :96]
    mask = np.where((rows - 40) ** 2 + (columns - 50) ** 2 < 30**2, 2, 0).astype('float32')[None, None]
    found = keras('apply', dict(x=nhwc(mask)), layers=[['Resizing', dict(height=128, width=128)]])
    want = interpolated(mask, (128, 128), mode='nearest-exact')
    assert set(np.unique(want)) == {0, 2} and 1 in np.unique(found.astype(int))
    assert_figures('Masks resized bilinearly', 100 * (found.astype(int) == 1).mean() / (want == 2).mean())
    same = keras(
        'apply', dict(x=nhwc(mask)), layers=[['Resizing', dict(height=128, width=128, interpolation='nearest')]]
    )
    assert_same(same, want, 'exact')


def test_logits_are_resized_before_the_loss(keras):
    pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
    from tests.mmseg.heads import MODELS, head_config, only_loss, samples

    head = MODELS.build(head_config(ignore_index=255, loss_decode=dict(type='CrossEntropyLoss')))
    logits = normal(2, 4, 8, 8, scale=3)
    labels = interpolated(logits, (64, 64), mode='bilinear').argmax(-1)
    want = numbers(only_loss(head.loss_by_feat(torch.tensor(logits), samples(torch.tensor(labels)))))

    def cross_entropy(labels, pred):
        arrays = dict(labels=labels, pred=pred)
        return keras('loss', arrays, name='SparseCategoricalCrossentropy', arguments=dict(from_logits=True))

    small = cross_entropy(labels[:, 4::8, 4::8], nhwc(logits))
    probabilities = torch.tensor(logits).softmax(1).numpy()
    upsampled = ['UpSampling2D', dict(size=8, interpolation='bilinear')]
    later = np.log(keras('apply', dict(x=nhwc(probabilities)), layers=[upsampled]))
    assert_figures('Logits resized before the loss', want, small, cross_entropy(labels, later))
    large = keras('apply', dict(x=nhwc(logits)), layers=[upsampled])
    assert_same(cross_entropy(labels, large), want, 'float32')
