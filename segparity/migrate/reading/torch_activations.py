"""Which activation a prediction of a PyTorch script went through before it is given to a loss."""

from collections.abc import Callable
from typing import Any

from segparity.migrate.items import Item, Place
from segparity.migrate.reading.libraries import full_name
from segparity.migrate.reading.script_calls import last_name
from segparity.migrate.reading.script_models import Models
from segparity.migrate.reading.values import Called, Class, Function, Reference

FUNCTIONS = {'softmax': 'softmax', 'sigmoid': 'sigmoid', 'log_softmax': 'log_softmax', 'logsigmoid': 'log_sigmoid'}
LAYERS = {
    'Softmax': 'softmax',
    'Softmax2d': 'softmax',
    'Sigmoid': 'sigmoid',
    'LogSoftmax': 'log_softmax',
    'LogSigmoid': 'log_sigmoid',
}
KEEPING = frozenset(
    'interpolate upsample resize squeeze unsqueeze float to cuda cpu half double contiguous view reshape permute '
    'flatten clone clamp getitem'.split()
)
KEEPING_LAYERS = frozenset('Dropout Dropout2d Identity Upsample UpsamplingBilinear2d UpsamplingNearest2d'.split())
LOGITS = frozenset(
    'CrossEntropyLoss cross_entropy BCEWithLogitsLoss binary_cross_entropy_with_logits SoftBCEWithLogitsLoss '
    'SoftCrossEntropyLoss MultiLabelSoftMarginLoss'.split()
)
STEPS = 40


def takes_logits(item: Item) -> bool:
    """Whether a loss has an activation of its own."""
    arguments, last = item.arguments, item.name.rpartition('.')[2]
    if last in LOGITS:
        return True
    if item.library == 'smp':
        return last in {'LovaszLoss', 'FocalLoss'} or arguments.get('from_logits', True) is True
    if item.library == 'monai':
        return arguments.get('softmax') is True or arguments.get('sigmoid') is True or last == 'DiceCELoss'
    return item.library == 'kornia'


def activation_of(value: Any, models: Models, follow: Callable[[Called], Any]) -> str | None:
    """'softmax', 'sigmoid', 'log_softmax', 'log_sigmoid', another name, or None where none is seen.

    follow: what a function of the source returns, None where the call is of another.
    """
    for _ in range(STEPS):
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
        if not isinstance(value, Called):
            return None
        last = last_name(value)
        if last in FUNCTIONS:
            return FUNCTIONS[last]
        if last in KEEPING:
            value = value.on if value.on is not None else (*value.args, None)[0]
        elif value.name == '' and isinstance(value.on, Called):
            found, value = _of_layer(value, value.on, models)
            if found is not None:
                return found
        else:
            value = follow(value)
    return None


def _of_layer(value: Called, layer: Called, models: Models) -> tuple[str | None, Any]:
    """(the activation of a layer or model that is called, None) or (None, the value that is looked at next)."""
    for _ in range(STEPS):
        name = full_name(layer.name)
        last = name.rpartition('.')[2]
        if layer.on is not None and isinstance(layer.on, Called) and last in KEEPING | {'eval', 'train'}:
            layer = layer.on
        elif last in {'DataParallel', 'DistributedDataParallel', 'compile'} and _first(layer) is not None:
            layer = _first(layer)
        elif last == 'Sequential' and layer.args:
            kept = [part for part in layer.args if not (isinstance(part, Called) and last_name(part) in KEEPING_LAYERS)]
            if not kept or not isinstance(kept[-1], Called):
                return None, None
            layer = kept[-1]
        else:
            break
    if layer.on is None and last in LAYERS:
        return LAYERS[last], None
    target = models.items.target(layer)
    if isinstance(target, Class):
        models.items.make(layer, target)
        method = target.scope.get('forward')
        given = (Reference('inputs', Place('')),)
        return None, models.items.follow(method, given, {}, target) if isinstance(method, Function) else None
    if isinstance(target, Function):
        made = models.items.follow(target, layer.args, layer.kwargs)
        return _of_layer(value, made, models) if isinstance(made, Called) and made is not layer else (None, None)
    if last in KEEPING_LAYERS:
        return None, (*value.args, None)[0]
    if name.startswith('segmentation_models_pytorch.'):
        head = next(iter(models.heads(layer).values()), None)
        return (head.activation if head is not None and head.activation != 'logits' else None), None
    return None, None


def _first(layer: Called) -> Any:
    return layer.args[0] if layer.args and isinstance(layer.args[0], Called) else None
