"""The demo's U-Net in Keras, from the same layer list and the same weights as MMSegmentation's."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from segparity.demo import network
from segparity.demo.settings import MEAN, STD, Settings


def convolution(unit: network.Unit, x: Any) -> Any:
    """A unit of the list: convolution, and normalisation with ReLU or a bias."""
    x = layers.Conv2D(unit.outputs, unit.kernel, padding='same', use_bias=not unit.norm, name=unit.name)(x)
    if not unit.norm:
        return x
    x = layers.BatchNormalization(
        momentum=1 - network.NORM_MOMENTUM, epsilon=network.NORM_EPSILON, name=f'{unit.name}_norm'
    )(x)
    return layers.ReLU(name=f'{unit.name}_relu')(x)


def build_unet(settings: Settings) -> keras.Model:
    """Images (N, S, S, 3), 0 to 255 -> logits (N, S, S, classes)."""
    base = settings.base_channels
    images = keras.Input((settings.side, settings.side, 3), name='images')
    x = layers.Normalization(mean=MEAN, variance=STD**2, axis=None, name='normalise')(images)
    skips = []
    for stage in range(network.STAGES):
        if stage:
            x = layers.MaxPooling2D(2, name=f'pool{stage}')(x)
        for unit in network.encoder(stage, base):
            x = convolution(unit, x)
        skips.append(x)
    for stage in reversed(range(network.STAGES - 1)):
        x = convolution(network.upward(stage, base), x)
        x = layers.UpSampling2D(2, interpolation='nearest', name=f'enlarge{stage}')(x)
        x = layers.Concatenate(name=f'join{stage}')([skips[stage], x])
        for unit in network.decoder(stage, base):
            x = convolution(unit, x)
    return keras.Model(images, convolution(network.classifier(base), x), name='unet')


def load_weights(model: keras.Model, settings: Settings, weights: Mapping[str, np.ndarray]) -> None:
    """Set the plan's weights; the layout is Keras' own."""
    for unit in network.units(settings.base_channels):
        kernel = weights[f'{unit.name}/kernel']
        if not unit.norm:
            model.get_layer(unit.name).set_weights([kernel, weights[f'{unit.name}/bias']])
            continue
        model.get_layer(unit.name).set_weights([kernel])
        parts = [weights[f'{unit.name}/{part}'] for part in ('gamma', 'beta', 'mean', 'variance')]
        model.get_layer(f'{unit.name}_norm').set_weights(parts)
