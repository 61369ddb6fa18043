"""Items that are segparity's already: their spec, from the words of the world that they stand in."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from segparity.migrate.items import Context, Item, Reading, Unread
from shared_spec import LOSSES, METRICS
from shared_spec.losses.compound.weighted_sum import WeightedSumLoss
from shared_spec.parameters import SpecError
from shared_spec.registry import unknown_name
from shared_spec.spec import LossSpec, Spec

# what belongs to the host, or says how and when something is computed, but not what
HOST = {
    'mmseg': (
        'loss_name', 'reduction', 'collect_device', 'prefix', 'output_dir', 'format_only', 'keep_results', 'per_image_file',
    ),
    'keras': ('name', 'dtype', 'reduction', 'layer', 'max_images', 'worst_every', 'class_names'),
}  # fmt: skip
SCORES = {
    'MeanIoU': 'mIoU',
    'MeanDice': 'mDice',
    'MeanAccuracy': 'mAcc',
    'MeanPrecision': 'mPrecision',
    'MeanFscore': 'mFscore',
}
EVALUATORS = {'FineGrainedMetric': 'FineGrained', 'CalibrationMetric': 'Calibration'}
CLASSES = 'the number of classes does not show: give num_classes'


def reading(item: Item, context: Context) -> Reading:
    """The spec of an item of ours; 'none' with a sentence where it is refused or not read."""
    told: list[str] = []
    try:
        spec, results = made(item.name, arguments_of(item, context, told), context)
        spec = as_called(spec, context, told)
    except (SpecError, ValueError, TypeError) as error:
        return Reading('none', None, differences=(str(error), *told))
    return Reading('nearest' if told else 'exact', spec, differences=tuple(told), results=tuple(results))


class Missing:
    """In place of an argument that was not read."""


def arguments_of(item: Item, context: Context, told: list[str]) -> dict[str, Any]:
    """What an item was given, without what belongs to its host; also of an item within an item, a part of a sum."""
    arguments = {key: plain(value, context, told, key) for key, value in item.arguments.items()}
    if arguments.get('reduction') not in (None, Missing, 'mean', 'sum_over_batch_size'):
        told.append(f'reduction {arguments["reduction"]!r} is no parameter of the definition: it is left out')
    return {key: value for key, value in arguments.items() if value is not Missing and key not in HOST[context.world]}


def plain(value: Any, context: Context, told: list[str], key: str) -> Any:
    """An argument without items and unread parts: an item becomes its configuration in the words of the world."""
    if isinstance(value, Unread):
        told.append(f'{key} was not read: {value.reason}; its default is taken')
        return Missing
    if isinstance(value, Item):
        return {'type': value.name, **arguments_of(value, context, told)}
    if isinstance(value, Mapping):
        return {k: plain(v, context, told, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, context, told, key) for part in value]
    return value


def made(name: str, arguments: dict[str, Any], context: Context) -> tuple[Spec, Iterable[str]]:
    """(spec, names of results) of a name with arguments in the words of the world."""
    if name in LOSSES:
        if context.world == 'keras':
            first = arguments.pop('0', None)
            if first is not None:
                arguments['losses'] = first
            return LOSSES[name].from_keras(arguments), ()
        return LOSSES[name].from_dict(of_heads(arguments)), ()
    return (
        of_keras_metric(name, arguments, context)
        if context.world == 'keras'
        else of_evaluator(name, arguments, context)
    )


def as_called(spec: Spec, context: Context, told: list[str]) -> Spec:
    """The loss as a head of MMSegmentation calls it, which names its own ignored label at every call."""
    ignored = context.ignore_index
    if not isinstance(spec, LossSpec) or context.world != 'mmseg' or ignored is None:
        return spec
    if isinstance(spec, WeightedSumLoss):
        return dataclasses.replace(
            spec, losses=tuple(as_called(part, context, told) for part in spec.parts), weights=spec.shares
        )
    own = getattr(spec, 'ignore_index', ignored)
    if own is None:
        return dataclasses.replace(spec, ignore_index=ignored)  # type: ignore[call-arg]  # it has one
    if own != ignored:
        told.append(f'the head ignores label {ignored} beside {own}, here {own} alone is ignored')
    return spec


def of_heads(arguments: dict[str, Any]) -> dict[str, Any]:
    """Without what belongs to the host, in parts of a sum too."""
    parts = arguments.get('losses')
    if isinstance(parts, list):
        parts = [
            of_heads({k: v for k, v in part.items() if k not in HOST['mmseg']}) if isinstance(part, dict) else part
            for part in parts
        ]
        return {**arguments, 'losses': parts}
    return arguments


def of_evaluator(name: str, arguments: dict[str, Any], context: Context) -> tuple[Spec, Iterable[str]]:
    if name == 'BoundaryMetric':
        asked = arguments.pop('metrics', ['BoundaryIoU'])
        distances = [metric for metric in asked if metric != 'BoundaryIoU']
        kind = 'SurfaceDistance' if distances and 'BoundaryIoU' not in asked else 'BoundaryIoU'
        if kind == 'SurfaceDistance':
            arguments['metrics'] = distances
            levels = [level for level in arguments.get('levels', ('I', 'C')) if level != 'D']
            arguments = {k: v for k, v in arguments.items() if k != 'ratio'} | dict(levels=levels)
        else:
            arguments = {k: v for k, v in arguments.items() if k not in ('spacing', 'empty')}
    else:
        kind = EVALUATORS.get(name, name)
    if kind not in METRICS:
        raise unknown_name('loss or metric', name, [*LOSSES, *EVALUATORS, 'BoundaryMetric'], 'segparity')
    spec = METRICS[kind](**with_classes(arguments, context))
    return spec, spec.names()


def with_classes(arguments: dict[str, Any], context: Context) -> dict[str, Any]:
    """With the number of classes, which evaluators have from the data set."""
    if 'num_classes' in arguments:
        return arguments
    if context.num_classes is None:
        raise ValueError(CLASSES)
    return {**arguments, 'num_classes': context.num_classes}


def of_keras_metric(name: str, arguments: dict[str, Any], context: Context) -> tuple[Spec, Iterable[str]]:
    first = arguments.pop('0', arguments.pop('1', None))  # HostMetrics has the data before it
    if first is not None:
        arguments = {'num_classes': first, **arguments}
    arguments = with_classes(arguments, context)
    arguments.pop('from_logits', None)  # of the prediction, which the spec of a metric does not speak of
    level = arguments.pop('level', 'D')
    if name in SCORES:
        q = arguments.pop('q', None)
        deciles = q == 'Q'
        q = [1] if deciles else [] if q is None else [q]
        spec = METRICS['FineGrained'].from_keras({**arguments, 'levels': [level], 'metrics': [SCORES[name]], 'q': q})
        suffix = 'Q' if deciles else str(q[0]) if q else ''
        return spec, [f'{SCORES[name]}{level}{suffix}']
    if name == 'PixelAccuracy':
        return METRICS['FineGrained'].from_keras({**arguments, 'levels': ['D'], 'metrics': ['mAcc']}), ['aAcc']
    if name == 'SegmentationReport':
        arguments.pop('calibration', None)
        spec = METRICS['FineGrained'].from_keras(arguments)
        return spec, spec.names()
    if name in ('SurfaceDistance', 'Calibration') or (
        name == 'BoundaryIoU' and 'levels' in arguments
    ):  # of HostMetrics
        without = {'SurfaceDistance': 'D', 'Calibration': 'C'}.get(name, '')
        arguments['levels'] = [k for k in arguments.pop('levels', ('D', 'I', 'C')) if k != without]
        if 'distances' in arguments:
            arguments['metrics'] = arguments.pop('distances')
        spec = METRICS[name].from_keras(arguments)
        return spec, spec.names()
    if name == 'BoundaryIoU':
        spec = METRICS['BoundaryIoU'].from_keras({**arguments, 'levels': [level]})
        return spec, [f'BoundaryIoU{level}']
    if name == 'CalibrationError':
        metric = arguments.pop('metric', 'ECE')
        spec = METRICS['Calibration'].from_keras({**arguments, 'levels': [level], 'metrics': [metric]})
        return spec, [f'{metric}{level}']
    known = [*LOSSES, *SCORES, 'PixelAccuracy', 'SegmentationReport', 'BoundaryIoU', 'CalibrationError']
    raise unknown_name('loss or metric', name, known, 'segparity')
