"""The losses of Kornia: logits (B, C, H, W) and ids, a ratio for each image over the classes that are present in it."""

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import REQUIRED, Call
from segparity.migrate.peers.rows import Example, row
from segparity.migrate.peers.versions import Versions

MANY = dict(channels=3)
ONE = dict(channels=1)
WEIGHTS = [0.5, 1.75, 1.0]
FROM_0_9 = Versions('from 0.9', since='0.9')  # which classes count in a mean has changed between releases
EPSILON = 'eps stands in its denominator alone, ours has none there'
ALL_PIXELS = 'it divides by all pixels, ignored ones too, ours by those that count'


@row('kornia', 'DiceLoss', dict(average='micro', eps=1e-8, weight=None, ignore_index=-100), versions=FROM_0_9,
     aliases=('dice_loss',), examples=(
    Example(dict(average='macro'), MANY),
    Example(dict(average='macro', ignore_index=255), MANY),
    Example(dict(average='macro', weight=WEIGHTS), MANY),
    Example({}, MANY),
    Example(dict(ignore_index=255), MANY),
    Example(dict(weight=WEIGHTS), MANY),
))  # fmt: skip
def dice(call: Call) -> Reading:
    weights, told = call.weights('weight', call.channels), []
    pooled = call['average'] == 'micro'
    if weights and pooled:
        told.append('weights multiply the sums of the classes before the ratio; ours has one score, without them')
        weights = None
    return call.reading(
        'nearest' if told else 'float32', 'SoftDiceLoss', *told, EPSILON, granularity='I',
        classes='all' if pooled else 'present', pooled=pooled, smooth=0, class_weight=weights,
        normalize_class_weight=weights is not None,
        ignore_index=call['ignore_index'],
    )  # fmt: skip


@row('kornia', 'TverskyLoss', dict(alpha=REQUIRED, beta=REQUIRED, eps=1e-8, ignore_index=-100), versions=FROM_0_9,
     aliases=('tversky_loss',), examples=(
    Example(dict(alpha=0.3, beta=0.7), MANY),
    Example(dict(alpha=1.0, beta=1.0, ignore_index=255), MANY),
))  # fmt: skip
def tversky(call: Call) -> Reading:
    return call.reading(
        'float32', 'SoftTverskyLoss', EPSILON, granularity='I', classes='present', smooth=0,
        alpha=call.number('alpha', 0.5), beta=call.number('beta', 0.5), ignore_index=call['ignore_index'],
    )  # fmt: skip


@row('kornia', 'LovaszSoftmaxLoss', dict(weight=None), versions=FROM_0_9, aliases=('lovasz_softmax_loss',), examples=(
    Example({}, MANY),
    Example(dict(weight=WEIGHTS), MANY),
))  # fmt: skip
def lovasz_softmax(call: Call) -> Reading:
    return call.reading(
        'exact', 'LovaszSoftmaxLoss', 'it cannot ignore a label', per_image=True, classes='all',
        class_weight=call.weights('weight', call.channels),
    )  # fmt: skip


@row('kornia', 'LovaszHingeLoss', {}, versions=FROM_0_9, aliases=('lovasz_hinge_loss',), examples=(Example({}, ONE),))
def lovasz_hinge(call: Call) -> Reading:
    return call.reading('exact', 'LovaszHingeLoss', 'it cannot ignore a label', per_image=True)


@row('kornia', 'FocalLoss', dict(alpha=REQUIRED, gamma=2.0, reduction='none', weight=None, ignore_index=-100),
     aliases=('focal_loss',), examples=(
    Example(dict(alpha=0.25, reduction='mean'), MANY),
    Example(dict(alpha=0.25, gamma=5.0, reduction='mean', ignore_index=255), MANY),
))  # fmt: skip
def focal(call: Call) -> Reading:
    told, verdict = focal_sentences(call)
    classes, alpha = call.channels or 1, call['alpha']
    listed = None if alpha is None else [1 - call.number('alpha', 0.25)] + [call.number('alpha', 0.25)] * (classes - 1)
    if call['weight'] is not None:
        told.append('weight was not read: multiply alpha by it, class by class')
        verdict = 'nearest'
    told.append('it divides by the number of classes too, which loss_weight says here')
    return call.reading(
        verdict, 'FocalCrossEntropyLoss', *told, gamma=call.number('gamma', 2.0), alpha=listed,
        ignore_index=ignored_of(call), loss_weight=1 / classes,
    )  # fmt: skip


def focal_sentences(call: Call) -> tuple[list[str], Verdict]:
    """(what differs, verdict)"""
    if call['reduction'] == 'mean':
        return ([ALL_PIXELS], 'nearest') if call['ignore_index'] not in (None, -100) else ([], 'exact')
    return [f'reduction {call["reduction"]!r} is no mean, which ours is'], 'nearest'


def ignored_of(call: Call) -> int | None:
    """The label that is ignored, None for one that labels do not have."""
    return None if call['ignore_index'] == -100 else call['ignore_index']


@row('kornia', 'BinaryFocalLossWithLogits', dict(
    alpha=REQUIRED, gamma=2.0, reduction='none', pos_weight=None, weight=None, ignore_index=-100,
), aliases=('binary_focal_loss_with_logits',), examples=(
    Example(dict(alpha=0.25, reduction='mean'), dict(channels=1, labels='soft')),
    Example(dict(alpha=0.25), ONE, 'none'),
))  # fmt: skip
def binary_focal(call: Call) -> Reading:
    told, verdict = focal_sentences(call)
    for name in ('pos_weight', 'weight'):
        if call[name] is not None:
            told.append(f'{name} has no counterpart here')
            verdict = 'nearest'
    return call.reading(
        verdict, 'FocalCrossEntropyLoss', *told, activation='sigmoid', gamma=call.number('gamma', 2.0),
        alpha=None if call['alpha'] is None else call.number('alpha', 0.25), ignore_index=ignored_of(call),
    )  # fmt: skip


@row('kornia', 'HausdorffERLoss', dict(alpha=2.0, k=10, reduction='mean'), examples=(Example({}, MANY, 'none'),))
def hausdorff(call: Call) -> Reading:
    logits = call.context.activation == 'logits'
    told = [] if call['reduction'] == 'mean' else [f'reduction {call["reduction"]!r} is no mean, which ours is']
    told.append('it takes probabilities and ids (B, 1, H, W); equal for those, as its number in tests/golden')
    return call.reading(
        'nearest', 'HausdorffDistanceLoss', *told, bug='it takes logits for probabilities' if logits else '',
        method='erosion', alpha=call.number('alpha', 2.0), erosions=call['k'], from_logits=logits,
    )  # fmt: skip
