"""The metrics of torchmetrics that are of label maps."""

from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import REQUIRED, Call
from segparity.migrate.peers.rows import Example, row

INDEX = dict(num_classes=3, input_format='index')
PAIRS = (
    'it is the mean over all pairs of image and class, ours over the classes of an image and then over images: equal where '
    'every image has as many classes'
)
NOT_IGNORED = 'it cannot ignore a label: 255 raises'


def reading(call: Call, results: list[str], *told: str, bug: str = '', **parameters: Any) -> Reading:
    classes = call['num_classes'] or call.context.num_classes
    if not classes:
        return call.none(f'nearest is FineGrained, {results[0]}', 'the number of classes does not show')
    verdict: Verdict = 'nearest' if told or bug else 'float32'
    metric, level = ('mAcc', 'D') if results[0] == 'aAcc' else (results[0][:-1], results[0][-1])
    parameters = dict(ignore_index=None, levels=[level], metrics=[metric], q=[]) | parameters
    return call.reading(verdict, 'FineGrained', *told, bug=bug, results=results, num_classes=classes, **parameters)


def background(call: Call, told: list[str]) -> None:
    if not call.truth('include_background', default=True):
        told.append('it leaves the background out of the mean, ours has all classes; per-class results have each')


@row('torchmetrics', 'MeanIoU', dict(
    num_classes=None, include_background=True, per_class=False, input_format='one-hot',
), kind='metric', examples=(
    Example(INDEX, dict(num_classes=3)),
    Example(dict(**INDEX, include_background=False), dict(num_classes=3)),
))  # fmt: skip
def mean_iou(call: Call) -> Reading:
    told = [PAIRS]
    background(call, told)
    if call.truth('per_class'):
        told.append('it gives a score for each class')
    return reading(call, ['mIoUI'], *told, present_in='either')


@row('torchmetrics', 'DiceScore', dict(
    num_classes=REQUIRED, include_background=True, average='macro', aggregation_level='samplewise', input_format='one-hot',
), kind='metric', examples=(
    Example(INDEX, dict(num_classes=3)),
    Example(dict(**INDEX, aggregation_level='global'), dict(num_classes=3)),
    Example(dict(**INDEX, average='micro', aggregation_level='global'), dict(num_classes=3)),
    Example(dict(**INDEX, average='weighted', aggregation_level='global'), dict(num_classes=3)),
    Example(dict(**INDEX, include_background=False), dict(num_classes=3)),
))  # fmt: skip
def dice(call: Call) -> Reading:
    over_data, average = call['aggregation_level'] == 'global', call['average']
    told: list[str] = []
    background(call, told)
    if average == 'micro':
        if not over_data:
            told.append('it is the mean over images of the share of right pixels, ours that share of all images')
        return reading(call, ['aAcc'], *told)
    if average != 'macro':
        told.append(f'average {average!r} has no counterpart; ours is the mean over classes')
    return reading(call, ['mDiceD' if over_data else 'mDiceI'], *told, present_in='target' if over_data else 'either')


@row('torchmetrics', 'GeneralizedDiceScore', dict(
    num_classes=REQUIRED, include_background=True, per_class=False, weight_type='square', input_format='one-hot',
), kind='metric', examples=(
    Example(INDEX, dict(num_classes=3), 'none'),
))  # fmt: skip
def generalized_dice(call: Call) -> Reading:
    return call.none(
        'a Dice of classes weighed by 1/size^2; none of our metrics weighs classes so',
        bug='the weight of an absent class is taken from another image of the batch (1.9.0)',
    )


@row('torchmetrics', 'HausdorffDistance', dict(
    num_classes=REQUIRED, include_background=False, distance_metric='euclidean', spacing=None, directed=False,
    input_format='one-hot',
), kind='metric', examples=(
    Example(dict(**INDEX, include_background=True), dict(num_classes=3)),
))  # fmt: skip
def hausdorff(call: Call) -> Reading:
    told = ['directed=True measures one direction, ours both'] if call.truth('directed') else []
    background(call, told)
    told.append(PAIRS)
    told.append('a class of which one mask is empty is a number there; ours is infinite, or the diagonal')
    spacing = call['spacing']
    return call.reading(
        'nearest', 'SurfaceDistance', *told, results=['HDI'], num_classes=call['num_classes'], ignore_index=None,
        levels=['I'], metrics=['HD'], spacing=list(spacing) if spacing else None,
    )  # fmt: skip


JACCARD = dict(num_classes=REQUIRED, average='macro', ignore_index=None, validate_args=True, zero_division=0)


def classification(name: str, result: str, signature: dict[str, Any]) -> None:
    @row('torchmetrics', name, signature, kind='metric', examples=(
        Example(dict(num_classes=3), dict(num_classes=3)),
        Example(dict(num_classes=3, average='macro', ignore_index=255), dict(num_classes=3)),
        Example(dict(num_classes=3, average='micro'), dict(num_classes=3)),
    ))  # fmt: skip
    def read(call: Call) -> Reading:
        average, label, told = call['average'], call['ignore_index'], []
        if average == 'micro' and result != 'mIoUD':
            return reading(call, ['aAcc'], ignore_index=label)
        if average != 'macro':
            told.append(f'average {average!r} has no counterpart; ours is the mean over classes')
        if result == 'mAccD':
            told.append('a class that is predicted and does not occur scores 0, ours leaves it out of the recall')
        return reading(call, [result], *told, ignore_index=label)


STAT = dict(
    num_classes=REQUIRED, top_k=1, average='macro', multidim_average='global', ignore_index=None, validate_args=True
)
classification('MulticlassJaccardIndex', 'mIoUD', JACCARD)
classification('MulticlassAccuracy', 'mAccD', STAT)
classification('MulticlassF1Score', 'mFscoreD', dict(STAT, zero_division=0))


def wrapper(name: str, inner: str, default: str) -> None:
    """``JaccardIndex(task='multiclass', ...)`` and its like, which make one of the classes above."""
    signature = dict(task=REQUIRED, threshold=0.5, num_classes=None, num_labels=None, average=default,
                     multidim_average='global', top_k=1, ignore_index=None, validate_args=True, zero_division=0)  # fmt: skip

    @row('torchmetrics', name, signature, kind='metric', examples=(
        Example(dict(task='multiclass', num_classes=3), dict(num_classes=3)),
    ))  # fmt: skip
    def read(call: Call) -> Reading:
        from segparity.migrate.peers.rows import rows_of

        if call['task'] != 'multiclass':
            return call.none(f'task {call["task"]!r} is read for multiclass alone')
        return rows_of('torchmetrics', inner)[0].read(call)


wrapper('JaccardIndex', 'MulticlassJaccardIndex', 'macro')
wrapper('Accuracy', 'MulticlassAccuracy', 'micro')
wrapper('F1Score', 'MulticlassF1Score', 'micro')
