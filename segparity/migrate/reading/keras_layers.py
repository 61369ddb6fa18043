"""The layers of a saved Keras model: what its outputs are, and what behaves otherwise in PyTorch."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Place
from segparity.migrate.note import SeenCall
from segparity.migrate.reading.json_text import plain


@dataclasses.dataclass(frozen=True)
class Head:
    """An output of a model: the activation as a context names it or as the layer does, and its channels; None: not shown."""

    activation: str | None = None
    channels: int | None = None


MODELS = frozenset(('Functional', 'Model', 'Sequential'))
CHANNELS = ('filters', 'units')
KEEPING = frozenset(
    'Activation Softmax ReLU LeakyReLU ELU PReLU Dropout SpatialDropout2D SpatialDropout3D BatchNormalization '
    'UpSampling1D UpSampling2D UpSampling3D Resizing Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D '
    'ZeroPadding3D MaxPooling2D AveragePooling2D MaxPooling3D AveragePooling3D Identity Sigmoid '
    'ActivityRegularization GaussianNoise Rescaling TFOpLambda'.split()
)  # as many channels go out as come in
LINEAR = frozenset(
    'Dropout SpatialDropout2D SpatialDropout3D UpSampling1D UpSampling2D UpSampling3D Resizing Cropping1D Cropping2D '
    'Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Reshape Identity Permute Flatten'.split()
)  # what comes in keeps its meaning: probabilities stay probabilities
FUNCTIONS = {'softmax': 'softmax', 'sigmoid': 'sigmoid', 'linear': 'logits', None: 'logits'}
TELLING = frozenset(
    'BatchNormalization LayerNormalization GroupNormalization UpSampling2D UpSampling3D Resizing Rescaling '
    'Normalization Conv2DTranspose Conv3DTranspose Conv2D Conv3D SeparableConv2D DepthwiseConv2D MaxPooling2D '
    'AveragePooling2D LeakyReLU ELU'.split()
)
WORDS = (
    'axis momentum epsilon filters kernel_size strides pool_size padding output_padding dilation_rate groups size '
    'height width interpolation scale offset mean variance invert data_format synchronized negative_slope alpha '
    'antialias crop_to_aspect_ratio'
).split()


def heads_of(model: Any, most: int = 20) -> dict[str, Head]:
    """Name of an output -> what it is, in their order, of ``most`` of them; empty where the configuration does not show it."""
    kind = model.get('class_name') if isinstance(model, dict) else None
    if not isinstance(kind, str) or kind not in MODELS:
        return _of_known_model(model)
    config = model.get('config')
    layers = _layers(config)
    if not layers:
        return {}
    if kind == 'Sequential' or 'output_layers' not in config:
        last = len(layers) - 1
        chain = {i: [i - 1] if i else [] for i in range(len(layers))}
        return {_name(layers[last]): _head(layers, chain, last)}
    names = {_name(layer): i for i, layer in enumerate(layers)}
    before = {i: [names[n] for n in _inbound(layer) if n in names] for i, layer in enumerate(layers)}
    outputs = itertools.islice(_outputs(config['output_layers']), most)
    return {word: _head(layers, before, names[layer]) for word, layer in outputs if layer in names}


def _of_known_model(model: Any) -> dict[str, Head]:
    """A whole model as one class, such as those of KerasHub: its own words."""
    config = _config(model)
    classes, activation = config.get('num_classes'), config.get('activation')
    if isinstance(classes, int) and not isinstance(classes, bool) and classes > 0:
        return {'': Head(_named(activation) if 'activation' in config else None, classes)}
    return {}


def telling_layers(model: Any, place: Place) -> list[SeenCall]:
    """The layers of which something changes when a model moves, each kind with the same arguments once."""
    found: dict[str, SeenCall] = {}
    stack = [model]
    while stack:
        layer = stack.pop()
        if not isinstance(layer, dict):
            continue
        config = _config(layer)
        stack.extend(reversed(_layers(config)))
        for wrapped in ('layer', 'forward_layer', 'backward_layer', 'backbone'):
            stack.append(config.get(wrapped))
        kind = layer.get('class_name')
        if isinstance(kind, str) and kind in TELLING:
            arguments: dict[str, object] = {word: plain(config[word], place) for word in WORDS if word in config}
            shown = {k: v for k, v in arguments.items() if k not in {'filters', 'kernel_size', 'data_format'}}
            found.setdefault(f'{kind} {shown}', SeenCall(kind, arguments))
    return list(found.values())


def _head(layers: Sequence[dict[str, Any]], before: Mapping[int, Sequence[int]], last: int) -> Head:
    activation: str | None = None
    decided = False
    seen: set[int] = set()
    while last not in seen:
        seen.add(last)
        layer = layers[last]
        if layer.get('class_name') == 'TimeDistributed' and isinstance(_config(layer).get('layer'), dict):
            layer = _config(layer)['layer']
        kind, config = layer.get('class_name'), _config(layer)
        inner = heads_of(layer, 1) if isinstance(kind, str) and kind in MODELS else {}
        if inner:
            head = next(iter(inner.values()))
            return Head(activation if decided else head.activation, head.channels)
        found = _activation(kind, config)
        if not decided and found != '':
            activation, decided = found, True
        channels = _channels(kind, config)
        if channels:
            return Head(activation if decided else None, channels)
        if not isinstance(kind, str) or kind not in KEEPING:
            break
        if not decided and kind not in LINEAR:
            activation, decided = None, True
        if len(before.get(last, ())) != 1:
            break
        last = before[last][0]
    return Head(activation if decided else None, None)


def _activation(kind: Any, config: Mapping[str, Any]) -> str | None:
    """'' where the layer has none of its own; None where it has one that is not known."""
    if isinstance(kind, str) and kind in {'Softmax', 'Sigmoid'}:
        return kind.lower()
    if isinstance(kind, str) and kind in {'TFOpLambda', 'Lambda'}:
        function = str(config.get('function', '')).rpartition('.')[2]
        return function if kind == 'TFOpLambda' and function in {'softmax', 'sigmoid'} else None
    if 'activation' not in config:
        return ''
    return _named(config['activation'])


def _named(given: Any) -> str | None:
    """An activation, as a name, a serialised function or layer, as a context names it, or by its own name."""
    if isinstance(given, dict):
        given = given.get('config') if given.get('class_name') == 'function' else given.get('class_name')
        given = given.lower() if isinstance(given, str) else 'unknown'
    return FUNCTIONS.get(given, given) if _plain(given) else None


def _channels(kind: Any, config: Mapping[str, Any]) -> int | None:
    for word in CHANNELS:
        value = config.get(word)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    shape = config.get('target_shape')
    if kind == 'Reshape' and isinstance(shape, list) and shape and isinstance(shape[-1], int) and shape[-1] > 0:
        return shape[-1]
    return None


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _config(layer: Any) -> dict[str, Any]:
    config = layer.get('config') if isinstance(layer, dict) else None
    return config if isinstance(config, dict) else {}


def _layers(config: Any) -> list[dict[str, Any]]:
    layers = config.get('layers') if isinstance(config, dict) else None
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _name(layer: dict[str, Any]) -> str:
    return str(layer.get('name') or _config(layer).get('name') or '')


def _inbound(layer: dict[str, Any]) -> list[str]:
    """Names of the layers whose tensors go into this one: ``keras_history`` of Keras 3, lists of Keras 2."""
    names: list[str] = []
    stack = [layer.get('inbound_nodes')]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            history = value.get('keras_history')
            if isinstance(history, list) and history and isinstance(history[0], str):
                names.append(history[0])
            else:
                stack.extend(value.values())
        elif isinstance(value, list):
            if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
                names.append(value[0])
            else:
                stack.extend(value)
    return list(dict.fromkeys(names))


def _outputs(value: Any) -> Iterator[tuple[str, str]]:
    """(name of the output, name of its layer) of ``output_layers``: ["a", 0, 0], a list or a dict of these."""
    stack: list[tuple[str, Any]] = [('', value)]
    while stack:
        word, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((str(k), v) for k, v in reversed(value.items()))
        elif isinstance(value, list):
            if len(value) >= 3 and isinstance(value[0], str):
                yield word or value[0], value[0]
            else:
                stack.extend((word, v) for v in reversed(value))
