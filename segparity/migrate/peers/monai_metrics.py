"""The metrics of MONAI, of one-hot predictions and labels (B, C, *space)."""

from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.rows import Example, row

MANY = dict(num_classes=3)
TWO = dict(num_classes=2)
SCORE = dict(include_background=True, reduction='mean', get_not_nans=False, ignore_empty=True, ignore_index=None)
CLASSES = 'the number of classes does not show: give num_classes of ours'
LEVELS = {'mean': 'I', 'mean_batch': 'C'}


def level_of(call: Call, told: list[str]) -> str:
    value = str(getattr(call['reduction'], 'value', call['reduction']))
    if value == 'mean_batch':
        told.append('it gives a score for each class, ours their mean; a class that occurs nowhere is 0 there')
    elif value != 'mean':
        told.append(f'reduction {value!r} has no counterpart; ours is the mean over classes, then over images')
    return LEVELS.get(value, 'I')


def background(call: Call, told: list[str]) -> bool:
    """Whether ours is binary; a sentence where the background of several classes is left out."""
    if call.truth('include_background', default=True):
        return False
    if call.context.num_classes == 2:
        return True
    told.append('it leaves the background out of the mean, ours has all classes; per-class results have each')
    return False


def score(name: str, metric: str, signature: dict[str, Any]) -> None:
    @row('monai', name, signature, kind='metric', examples=(
        Example({}, MANY),
        Example(dict(ignore_empty=False), MANY),
        Example(dict(include_background=False), MANY),
        Example(dict(include_background=False), TWO),
        Example(dict(ignore_index=255), MANY),
    ))  # fmt: skip
    def read(call: Call) -> Reading:
        if call.context.num_classes is None:
            return call.none(f'nearest is FineGrained, {metric}I', CLASSES)
        told: list[str] = []
        level, binary = level_of(call, told), background(call, told)
        if not call.truth('ignore_empty', default=True):
            told.append(
                'ignore_empty=False counts a class that neither occurs nor is predicted as 1, ours leaves it out'
            )
        if binary:
            told.append(
                'an image without foreground counts as 1 in ours, or 0 where some is predicted; it leaves it out'
            )
        verdict: Verdict = 'nearest' if told else 'float32'
        return call.reading(
            verdict, 'FineGrained', *told, results=[f'{metric}{level}'], num_classes=call.context.num_classes,
            ignore_index=call['ignore_index'], levels=[level], metrics=[metric], q=[], binary=binary,
        )  # fmt: skip


score('DiceMetric', 'mDice', dict(
    include_background=True, reduction='mean', get_not_nans=False, ignore_empty=True, num_classes=None,
    return_with_label=False, per_component=False, ignore_index=None,
))  # fmt: skip
score('MeanIoU', 'mIoU', SCORE)


def distance(call: Call, metric: str, *told: str) -> Reading:
    if call.context.num_classes is None:
        return call.none(f'nearest is SurfaceDistance, {metric}', CLASSES)
    sentences = list(told)
    level, binary = level_of(call, sentences), background(call, sentences)
    if call['distance_metric'] != 'euclidean':
        sentences.append(f'its distance is {call["distance_metric"]}, ours Euclidean')
    sentences.append(
        'a class of which one mask is empty is NaN or infinite there and left out; ours is infinite, or diagonal'
    )
    return call.reading(
        'nearest', 'SurfaceDistance', *sentences, results=[f'{metric}{level}'], num_classes=call.context.num_classes,
        ignore_index=call['ignore_index'] if 'ignore_index' in call.values else None, levels=[level], metrics=[metric],
        binary=binary,
    )  # fmt: skip


@row('monai', 'HausdorffDistanceMetric', dict(
    include_background=False, distance_metric='euclidean', percentile=None, directed=False, reduction='mean',
    get_not_nans=False, ignore_index=None,
), kind='metric', examples=(
    Example(dict(include_background=True), MANY),
    Example(dict(include_background=True, percentile=95), MANY),
    Example({}, MANY),
))  # fmt: skip
def hausdorff(call: Call) -> Reading:
    percentile = call['percentile']
    told = ['directed=True measures one direction, ours both'] if call.truth('directed') else []
    if percentile not in (None, 95):
        told.append(f'its percentile is {percentile!r}, ours 95 or the maximum')
    return distance(call, 'HD' if percentile is None else 'HD95', *told)


@row('monai', 'SurfaceDistanceMetric', dict(
    include_background=False, symmetric=False, distance_metric='euclidean', reduction='mean', get_not_nans=False,
    ignore_index=None,
), kind='metric', examples=(
    Example(dict(include_background=True, symmetric=True), MANY),
    Example(dict(include_background=True), MANY),
))  # fmt: skip
def surface(call: Call) -> Reading:
    told = (
        [] if call.truth('symmetric') else ['symmetric=False measures from the prediction alone, ours both directions']
    )
    return distance(call, 'ASSD', *told)


for _name, _sentence in (
    ('GeneralizedDiceScore', 'a Dice of classes weighed by 1/size^2; none of our metrics weighs classes so'),
    ('SurfaceDiceMetric', 'a Dice of surfaces within a tolerance; the nearest, BoundaryIoU, is of bands of a width'),
    ('ConfusionMatrixMetric', 'a matrix; FineGrained has the scores that are made of it'),
    ('ROCAUCMetric', 'it is of a ranking, not of label maps'),
):

    @row('monai', _name, {}, kind='metric', examples=(Example({}, MANY, 'none'),))
    def read(call: Call, sentence: str = _sentence) -> Reading:
        return call.none(sentence)
