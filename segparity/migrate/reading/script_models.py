"""What the model of a script gives: activation and channels of its outputs, from the calls that build it."""

from collections.abc import Sequence
from typing import Any

from segparity.migrate.reading.keras_layers import Head
from segparity.migrate.reading.libraries import full_name
from segparity.migrate.reading.script_items import Items
from segparity.migrate.reading.values import Called, Class, Function, Reference

ACTIVATIONS = {'softmax': 'softmax', 'sigmoid': 'sigmoid', 'linear': 'logits', None: 'logits'}
CONVOLUTIONS = frozenset(
    'Conv2D Convolution2D Conv3D Convolution3D Conv2DTranspose Convolution2DTranspose Conv3DTranspose Deconvolution2D '
    'SeparableConv2D SeparableConvolution2D Conv1D Dense'.split()
)
KEEPING = frozenset(
    'Dropout SpatialDropout2D UpSampling2D UpSampling3D Resizing Cropping2D Cropping3D ZeroPadding2D ZeroPadding3D '
    'Identity Lambda'.split()
)
SHAPING = frozenset('Reshape Permute Flatten'.split())
MODELS = {
    # name of the library -> constructors; (channels: word, position, default), (activation: word, position, default)
    'segmentation_models.': (('classes', 2, 1), ('activation', 3, 'sigmoid')),
    'segmentation_models_3D.': (('classes', 2, 1), ('activation', 3, 'sigmoid')),
    'segmentation_models_pytorch.': (('classes', None, 1), ('activation', None, None)),
    'keras_unet_collection.models.': (('n_labels', 2, None), ('output_activation', None, 'Softmax')),
    'keras_unet.models.': (('num_classes', 1, 1), ('output_activation', None, 'sigmoid')),
    'keras_cv.models.': (('num_classes', None, None), ('activation', None, 'softmax')),
    'keras_hub.models.': (('num_classes', None, None), ('activation', None, None)),
}
NETWORKS = frozenset(
    'Unet FPN Linknet PSPNet UnetPlusPlus MAnet PAN DeepLabV3 DeepLabV3Plus UPerNet Segformer DPT'.split()
)
WHOLE = frozenset(
    'multi_gpu_model model_from_json clone_model compile_model DataParallel DistributedDataParallel'.split()
)


class Models:
    """Finds the outputs of a model of the script. added: what ``model.add`` was given, by the identity of the model."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.added: dict[int, list[Any]] = {}
        self.known: dict[int, dict[str, Head]] = {}
        self.kept: list[Any] = []  # so that an identity stays that of its value

    def heads(self, model: Any, deep: int = 6) -> dict[str, Head]:
        """Name of an output -> what it is, in their order; empty where it is not known."""
        if deep <= 0 or not isinstance(model, Called):
            return {}
        if id(model) not in self.known:
            self.kept.append(model)
            self.known[id(model)] = {}  # where a model contains itself
            self.known[id(model)] = self.found(model, deep)
        return self.known[id(model)]

    def found(self, model: Called, deep: int) -> dict[str, Head]:
        target = self.items.target(model)
        if isinstance(target, Function):
            return self.of_result(self.items.follow(target, model.args, model.kwargs), deep - 1)
        name = full_name(model.name) if model.on is None else ''
        last = name.rpartition('.')[2]
        for prefix, places in MODELS.items():
            if name.startswith(prefix) and ('from_preset' not in last) and last[:1].isupper() | ('unet' in last):
                return self.of_library(model, *places)
        if name.startswith('keras_hub.models.') and last == 'from_preset':
            return self.of_library(model, *MODELS['keras_hub.models.'])
        if last == 'Sequential':
            layers = model.args[0] if model.args and isinstance(model.args[0], (list, tuple)) else []
            return self.of_layers([*layers, *self.added.get(id(model), [])], deep)
        if last in WHOLE and model.args:
            return self.of_result(model.args[0], deep - 1)
        if isinstance(target, Class) and 'call' in target.scope:
            self.items.make(model, target)
            method = target.scope['call']
            head = None
            if isinstance(method, Function):
                result = self.items.follow(method, (Reference('inputs', model.place),), {}, target)
                head = self.of_tensor(result, deep - 1)
            return {} if head is None else {'': head}
        if last == 'Model' or isinstance(target, Class):
            words = [model.kwargs[word] for word in ('outputs', 'output') if word in model.kwargs]
            return self.of_tensors([*words, *model.args[1:2]][0], deep) if [*words, *model.args[1:2]] else {}
        return {}

    def of_result(self, value: Any, deep: int) -> dict[str, Head]:
        if isinstance(value, (list, tuple)):  # return model, history
            value = next((part for part in value if isinstance(part, Called) and self.heads(part, deep)), None)
        return self.heads(value, deep)

    def of_library(self, model: Called, channels: tuple[str, int | None, Any], activation: Any) -> dict[str, Head]:
        given, act = _argument(model, *channels), _argument(model, *activation)
        if model.starred:
            return {}
        count = given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else None
        return {'': Head(_activation(act), count)}

    def of_layers(self, layers: Sequence[Any], deep: int) -> dict[str, Head]:
        activation, decided = None, False
        for layer in reversed(layers[-12:]):
            head, verdict = self.of_layer(layer)
            if verdict == 'stop':
                return {'': Head(activation if decided else None, None)}
            if verdict == 'activation' or (verdict == 'end' and not decided):
                activation, decided = (activation if decided else head.activation), True
            if verdict == 'end':
                return {'': Head(activation, head.channels)}
        return {}

    def of_tensors(self, value: Any, deep: int) -> dict[str, Head]:
        """``outputs`` of a model: a tensor, a list or a dict of them."""
        if isinstance(value, dict):
            return {str(word): head for word, v in list(value.items())[:20] if (head := self.of_tensor(v, deep))}
        if isinstance(value, (list, tuple)):
            heads = [(self.name_of(v) or str(i), self.of_tensor(v, deep) or Head()) for i, v in enumerate(value[:20])]
            return dict(heads) if len({name for name, _ in heads}) == len(heads) else {}
        head = self.of_tensor(value, deep)
        return {} if head is None else {self.name_of(value): head}

    def name_of(self, tensor: Any) -> str:
        """The name of the layer that a tensor comes from, where the script gives one."""
        layer = tensor.on if isinstance(tensor, Called) and tensor.name == '' else tensor
        given = layer.kwargs.get('name') if isinstance(layer, Called) else None
        return given if isinstance(given, str) else ''

    def of_tensor(self, value: Any, deep: int) -> Head | None:
        """``Conv2D(4, 1, activation='softmax')(x)``, ``softmax(x)``, or what a function of the script gives."""
        activation, decided = None, False
        for _ in range(12):
            if not isinstance(value, Called):
                break
            target = self.items.target(value)
            if isinstance(target, Function):
                if deep <= 0:
                    break
                value, deep = self.items.follow(target, value.args, value.kwargs), deep - 1
                value = value[0] if isinstance(value, (list, tuple)) and value else value
                continue
            if value.name == '' and isinstance(value.on, Called):
                layer = value.on
                head, verdict = self.of_layer(layer)
            else:
                layer = value
                head, verdict = self.of_function(value)
            if verdict == 'stop':
                inner = next(iter(self.heads(layer, deep - 1).values()), None)
                if inner is not None:
                    return Head(activation if decided else inner.activation, inner.channels)
                break
            if verdict in {'activation', 'end'} and not decided:
                activation, decided = head.activation, True
            if head.channels is not None or verdict == 'end':
                return Head(activation, head.channels)
            value = value.args[0] if value.args else next(iter(value.kwargs.values()), None)
        return Head(activation, None) if decided else None

    def of_layer(self, layer: Any) -> tuple[Head, str]:
        """A layer, and whether it is the last that matters ('end'), gives an activation, is passed ('on') or unknown ('stop')."""
        if not isinstance(layer, Called) or layer.on is not None or layer.target is not None:
            return Head(), 'stop'
        last = full_name(layer.name).rpartition('.')[2]
        if last in CONVOLUTIONS:
            channels = _argument(layer, 'filters', 0, layer.kwargs.get('units', layer.kwargs.get('nb_filter')))
            count = channels if isinstance(channels, int) and not isinstance(channels, bool) and channels > 0 else None
            return Head(_activation(layer.kwargs.get('activation')), count), 'end'
        if last == 'Activation':
            return Head(_activation(_argument(layer, 'activation', 0, None))), 'activation'
        if last in {'Softmax', 'Sigmoid'}:
            return Head(last.lower()), 'activation'
        if last == 'TimeDistributed' and layer.args:
            return self.of_layer(layer.args[0])
        if last in KEEPING:
            return Head(), 'on'
        if last in SHAPING:
            return Head(), 'on'
        return Head(), 'stop'

    def of_function(self, value: Called) -> tuple[Head, str]:
        """``tf.nn.softmax(x)``, ``keras.ops.sigmoid(x)``, ``tf.image.resize(x, size)``."""
        last = full_name(value.name).rpartition('.')[2] if value.on is None else ''
        if last in {'softmax', 'sigmoid'}:
            return Head(last), 'activation'
        if last in {'resize', 'reshape', 'identity', 'cast', 'resize_images', 'resize_bilinear'}:
            return Head(), 'on'
        return Head(), 'stop'


def common_head(layers: Sequence[Called]) -> Head | None:
    """The last layer that a script makes, where it ends in a softmax or sigmoid and no other ends in another.

    layers: convolutions and activations in their order. A gate inside of a network is not taken for its end.
    """
    found: list[Head | None] = []
    for layer in layers:
        last = full_name(layer.name).rpartition('.')[2]
        if last == 'Activation':
            found.append(Head(_activation(_argument(layer, 'activation', 0, None))))
        elif last in CONVOLUTIONS:
            count = _argument(layer, 'filters', 0, layer.kwargs.get('units'))
            known = isinstance(count, int) and not isinstance(count, bool) and count > 0
            found.append(Head(_activation(layer.kwargs.get('activation')), count if known else None))
    ends = {head for head in found if head is not None and head.activation in {'softmax', 'sigmoid'}}
    return found[-1] if len(ends) == 1 and found[-1] in ends else None


def _activation(given: Any) -> str | None:
    """As a context names it; another activation by its own name; None where it is not known."""
    if isinstance(given, Reference):
        given = given.name.rpartition('.')[2]
    if given is None:
        return 'logits'
    if not isinstance(given, str):
        return None
    word = given.lower()
    return ACTIVATIONS.get(word, 'softmax' if word == 'softmax2d' else word)


def _argument(called: Called, word: str, position: int | None, default: Any) -> Any:
    if word in called.kwargs:
        return called.kwargs[word]
    if position is not None and position < len(called.args):
        return called.args[position]
    return default
