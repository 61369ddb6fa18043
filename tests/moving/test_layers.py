"""Layers: the same weights in both worlds, with each one's defaults and with the page's remedy."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from torch import nn
from torch.nn import functional

from tests.moving.arrays import largest, nchw, nhwc, normal, numbers, typical
from tests.moving.page import assert_figures
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

pytestmark = [
    pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch')),
]
KERNEL = normal(5, 4, 3, 3, seed=1, scale=0.2)


def keras_kernel(kernel):
    """(O, I, H, W) -> (H, W, I, O)."""
    return kernel.transpose(2, 3, 1, 0)


def test_momentum_of_batch_norm(keras):
    x = normal(4, 3, 32, 32) + 0.5
    layer = nn.BatchNorm2d(3)
    for _ in range(10):
        layer(torch.tensor(x))

    def moving_mean(**arguments):
        weights = {}
        for _ in range(10):
            weights = keras(
                'apply', dict(x=nhwc(x), **weights), True, layers=[['BatchNormalization', arguments]], training=True
            )
            weights.pop('out')
        return weights['0_2'], weights['0_3']

    want = numbers(layer.running_mean)
    assert_figures('BatchNorm momentum', want.mean() / x.mean(), moving_mean()[0].mean() / x.mean())
    mean, variance = moving_mean(momentum=0.9)
    assert_same(mean, want, 'float32')
    pixels = 4 * 32 * 32
    start = 0.9**10
    assert_same((variance - start) * pixels / (pixels - 1) + start, numbers(layer.running_var), 'float32')


def test_variance_of_batch_norm_is_of_the_sample_in_pytorch(keras):
    x = normal(2, 3, 4, 4)
    layer = nn.BatchNorm2d(3, momentum=1.0)
    layer(torch.tensor(x))
    found = keras('apply', dict(x=nhwc(x)), True, layers=[['BatchNormalization', dict(momentum=0.0)]], training=True)
    want = numbers(layer.running_var)
    assert_figures('BatchNorm moving variance', 100 * typical(found['0_3'], want))
    assert_same(found['0_3'] * 32 / 31, want, 'float32')


@pytest.mark.parametrize('name', ['BatchNorm epsilon', 'LayerNorm epsilon', 'GroupNorm epsilon'])
def test_epsilon(name, keras):
    x = normal(2, 8, 16, 16, scale=0.1)
    layer = {
        'BatchNorm epsilon': nn.BatchNorm2d(8),
        'LayerNorm epsilon': nn.LayerNorm(8),
        'GroupNorm epsilon': nn.GroupNorm(2, 8),
    }[name]
    kind, arguments, training = {
        'BatchNorm epsilon': ('BatchNormalization', {}, True),
        'LayerNorm epsilon': ('LayerNormalization', {}, None),
        'GroupNorm epsilon': ('GroupNormalization', dict(groups=2), None),
    }[name]
    last = name == 'LayerNorm epsilon'
    want = numbers(layer(torch.tensor(nhwc(x) if last else x)))
    want = want if last else nhwc(want)
    found = keras('apply', dict(x=nhwc(x)), layers=[[kind, arguments]], training=training)
    assert_figures(name, 100 * typical(found, want))
    same = keras('apply', dict(x=nhwc(x)), layers=[[kind, dict(arguments, epsilon=1e-5)]], training=training)
    assert_same(same, want, 'float32')


def test_batch_norm_that_is_frozen(keras):
    x = normal(2, 3, 8, 8) * 2 + 1
    layer = nn.BatchNorm2d(3).requires_grad_(False)
    found = keras(
        'apply', dict(x=nhwc(x)), layers=[['BatchNormalization', dict(trainable=False, epsilon=1e-5)]], training=True
    )
    assert_figures('Frozen BatchNorm', typical(nhwc(layer.train()(torch.tensor(x))), found))
    fresh = nn.BatchNorm2d(3)
    assert_same(nhwc(fresh.eval()(torch.tensor(x))), found, 'float32')


def test_same_padding_at_stride_2(keras):
    x = normal(2, 4, 16, 16)
    want = nhwc(functional.conv2d(torch.tensor(x), torch.tensor(KERNEL), stride=2, padding=1))
    arguments = dict(filters=5, kernel_size=3, strides=2, use_bias=False)
    weights = keras_kernel(KERNEL)
    found = keras('apply', {'x': nhwc(x), '0_0': weights}, layers=[['Conv2D', dict(arguments, padding='same')]])
    assert found.shape == want.shape
    assert_figures('`same` at stride 2', typical(found, want))
    layers = [['ZeroPadding2D', dict(padding=1)], ['Conv2D', dict(arguments, padding='valid')]]
    assert_same(keras('apply', {'x': nhwc(x), '1_0': weights}, layers=layers), want, 'float32')
    odd = normal(2, 4, 17, 17)
    want = nhwc(functional.conv2d(torch.tensor(odd), torch.tensor(KERNEL), stride=2, padding=1))
    found = keras('apply', {'x': nhwc(odd), '0_0': weights}, layers=[['Conv2D', dict(arguments, padding='same')]])
    assert_same(found, want, 'float32', 'odd sizes agree')


def test_max_pooling_at_stride_2(keras):
    x = np.maximum(normal(2, 4, 16, 16), 0)
    want = nhwc(functional.max_pool2d(torch.tensor(x), 3, 2, 1))
    found = keras('apply', dict(x=nhwc(x)), layers=[['MaxPooling2D', dict(pool_size=3, strides=2, padding='same')]])
    assert_figures('Max pooling at stride 2', typical(found, want))
    layers = [['ZeroPadding2D', dict(padding=1)], ['MaxPooling2D', dict(pool_size=3, strides=2)]]
    assert_same(keras('apply', dict(x=nhwc(x)), layers=layers), want, 'exact')


def test_average_pooling_counts_its_padding_in_pytorch(keras):
    x = normal(2, 4, 16, 16) + 1
    found = keras('apply', dict(x=nhwc(x)), layers=[['AveragePooling2D', dict(pool_size=3, strides=1, padding='same')]])
    corner = nhwc(functional.avg_pool2d(torch.tensor(x), 3, 1, 1))[:, 0, 0] / found[:, 0, 0]
    assert_figures('Average pooling', corner.mean())
    assert_same(nhwc(functional.avg_pool2d(torch.tensor(x), 3, 1, 1, count_include_pad=False)), found, 'float32')


def test_transposed_convolution(keras):
    x, kernel = normal(2, 4, 8, 8), normal(4, 5, 3, 3, seed=1, scale=0.2)  # (I, O, H, W)
    want = nhwc(
        functional.conv_transpose2d(torch.tensor(x), torch.tensor(kernel), stride=2, padding=1, output_padding=1)
    )
    arguments = dict(filters=5, kernel_size=3, strides=2, use_bias=False)
    weights = {'x': nhwc(x), '0_0': kernel.transpose(2, 3, 1, 0)}  # (H, W, O, I), and nothing is flipped
    found = keras('apply', weights, layers=[['Conv2DTranspose', dict(arguments, padding='same')]])
    assert found.shape == want.shape
    assert_figures('Transposed convolution', typical(found, want))
    layers = [['Conv2DTranspose', dict(arguments, padding='valid')], ['Cropping2D', dict(cropping=[[1, 0], [1, 0]])]]
    assert_same(keras('apply', weights, layers=layers), want, 'float32')
    for size, padding in ((4, 1), (2, 0)):
        kernel = normal(4, 5, size, size, seed=2)
        want = nhwc(functional.conv_transpose2d(torch.tensor(x), torch.tensor(kernel), stride=2, padding=padding))
        arguments = dict(filters=5, kernel_size=size, strides=2, use_bias=False, padding='same')
        weights = {'x': nhwc(x), '0_0': kernel.transpose(2, 3, 1, 0)}
        assert_same(keras('apply', weights, layers=[['Conv2DTranspose', arguments]]), want, 'float32', f'kernel {size}')


def test_order_of_flattening(keras):
    x, weight = normal(2, 4, 6, 6), normal(3, 144, seed=1, scale=0.1)
    want = numbers(functional.linear(torch.tensor(x).flatten(1), torch.tensor(weight)))
    dense = ['Dense', dict(units=3, use_bias=False)]
    found = keras('apply', {'x': nhwc(x), '1_0': weight.T}, layers=[['Flatten', {}], dense])
    assert_figures('Order of flattening', typical(found, want))
    layers = [['Permute', dict(dims=[3, 1, 2])], ['Flatten', {}], dense]
    assert_same(keras('apply', {'x': nhwc(x), '2_0': weight.T}, layers=layers), want, 'float32')


def test_gelu(keras):
    x = np.linspace(-6, 6, 2401, dtype='float32')
    want = functional.gelu(torch.tensor(x))
    assert_figures('GELU', largest(keras('function', dict(x=x), name='gelu'), want))
    assert_same(keras('function', dict(x=x), name='gelu', arguments=dict(approximate=False)), numbers(want), 'float32')
    assert_same(
        keras('apply', dict(x=x[None]), layers=[['Activation', dict(activation='gelu')]])[0], numbers(want), 'float32'
    )
    tanh = numbers(functional.gelu(torch.tensor(x), approximate='tanh'))
    assert_same(keras('function', dict(x=x), name='gelu'), tanh, 'float32')


def test_leaky_relu(keras):
    x = normal(2, 8, 8, 4)
    want = numbers(functional.leaky_relu(torch.tensor(x)))
    negative = x < 0
    found = keras('apply', dict(x=x), layers=[['LeakyReLU', {}]])
    assert_figures('LeakyReLU', (found[negative] / want[negative]).mean())
    assert_same(keras('apply', dict(x=x), layers=[['LeakyReLU', dict(negative_slope=0.01)]]), want, 'float32')


def test_initial_weights(keras):
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3)
    want, bias = numbers(layer.weight), numbers(layer.bias)
    arguments, x = dict(filters=64, kernel_size=3), normal(1, 3, 3, 64)
    found = keras(
        'apply', dict(x=x), True, layers=[['Conv2D', dict(arguments, kernel_initializer=seeded('GlorotUniform'))]]
    )
    assert not found['0_1'].any() and abs(bias).max() > 0.03
    assert_figures('Initial weights', found['0_0'].std() / want.std())
    bound = 1 / np.sqrt(64 * 9)
    initializers = dict(
        kernel_initializer=seeded('VarianceScaling', scale=1 / 3, mode='fan_in', distribution='uniform'),
        bias_initializer=seeded('RandomUniform', minval=-bound, maxval=bound),
    )
    same = keras('apply', dict(x=x), True, layers=[['Conv2D', dict(arguments, **initializers)]])
    for drawn in (same['0_0'], same['0_1'], want, bias):
        assert 0.9 * bound < abs(drawn).max() <= bound * (1 + 1e-6)
    assert abs(same['0_0'].std() / want.std() - 1) < 0.01  # of 36,864 drawn numbers, whose own error is 0.2 %


def seeded(name, **arguments):
    return dict(class_name=name, config=dict(arguments, seed=0))


def test_first_weights_of_a_head_of_mmsegmentation(keras):
    pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
    from tests.mmseg.heads import MODELS, head_config

    torch.manual_seed(0)
    head = MODELS.build(head_config(in_channels=512, channels=512, num_classes=150))
    head.init_weights()
    want = numbers(head.conv_seg.weight)
    arguments, x = dict(filters=150, kernel_size=1), normal(1, 1, 1, 512)
    found = keras(
        'apply', dict(x=x), True, layers=[['Conv2D', dict(arguments, kernel_initializer=seeded('GlorotUniform'))]]
    )
    assert_figures("First weights of a head's classifier", found['0_0'].std() / 0.01)
    initializer = seeded('RandomNormal', stddev=0.01)
    same = keras('apply', dict(x=x), True, layers=[['Conv2D', dict(arguments, kernel_initializer=initializer)]])
    assert not same['0_1'].any() and not numbers(head.conv_seg.bias).any()
    for drawn in (same['0_0'], want):
        assert abs(drawn.std() / 0.01 - 1) < 0.01  # of 76,800 drawn numbers, whose own error is 0.3 %


def test_dropout_of_a_model_that_is_called(keras):
    x = np.ones((2, 64, 64, 8), 'float32')
    torch.manual_seed(0)
    layer = nn.Dropout(0.5)
    found = keras('apply', dict(x=x), layers=[['Dropout', dict(rate=0.5)]])
    assert_figures('A model that is called', (numbers(layer(torch.tensor(x))) == 0).mean() - (found == 0).mean())
    assert_same(numbers(layer.eval()(torch.tensor(x))), found, 'exact')


def test_dropout_of_channels(keras):
    x = np.ones((4, 32, 32, 16), 'float32')

    def partly(out):
        """The share of channels of which some pixels are dropped and some are not."""
        share = (out == 0).mean((1, 2))
        return ((share > 0) & (share < 1)).mean()

    want = nhwc(nn.Dropout2d(0.5)(torch.tensor(nchw(x))))
    found = keras('apply', dict(x=x), layers=[['Dropout', dict(rate=0.5, seed=0)]], training=True)
    assert_figures('Dropout of a head', partly(want), partly(found))
    same = keras('apply', dict(x=x), layers=[['SpatialDropout2D', dict(rate=0.5, seed=0)]], training=True)
    assert partly(same) == 0 and set(np.unique(same)) == set(np.unique(want)) == {0, 2}
