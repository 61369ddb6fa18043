"""The losses of PyTorch itself, (N, C, *space)."""

import math

from segparity.migrate.items import Item, Reading, Verdict
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.rows import Example, row

OLD = dict(size_average=None, reduce=None)
MANY = dict(channels=3)
WEIGHTS = [0.5, 1.75, 1.0]


def reduction_sentences(call: Call) -> list[str]:
    if call['reduction'] == 'mean' and call['size_average'] is not False and call['reduce'] is not False:
        return []
    return [f'reduction {call["reduction"]!r} is no mean, which ours is']


@row('torch', 'CrossEntropyLoss', dict(
    weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0,
), aliases=('cross_entropy',), examples=(
    Example({}, MANY),
    Example(dict(ignore_index=255, weight=WEIGHTS), MANY),
    Example(dict(ignore_index=255, weight=WEIGHTS, label_smoothing=0.1), MANY),
    Example(dict(weight=WEIGHTS, label_smoothing=0.1), dict(channels=3, labels='soft')),
    Example(dict(reduction='sum'), MANY),
))  # fmt: skip
def cross_entropy(call: Call) -> Reading:
    if call.one:
        return call.none('a softmax of one channel is 1 everywhere', bug='one channel goes through a softmax')
    told = reduction_sentences(call)
    label = None if call.context.labels in ('soft', 'one_hot') else call['ignore_index']
    return call.reading(
        'nearest' if told else 'exact', 'WeightedCrossEntropyLoss', *told, ignore_index=label,
        class_weight=call.weights('weight', call.channels), label_smoothing=call.number('label_smoothing', 0.0),
    )  # fmt: skip


@row('torch', 'NLLLoss', dict(weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'),
     aliases=('nll_loss',), examples=(
    Example(dict(ignore_index=255), MANY),
    Example(dict(weight=WEIGHTS), MANY),
))  # fmt: skip
def nll(call: Call) -> Reading:
    told = reduction_sentences(call)
    note = 'it takes log-probabilities, which ours may be given as logits: their softmax is themselves'
    return call.reading(
        'nearest' if told else 'exact', 'WeightedCrossEntropyLoss', *told, note, ignore_index=call['ignore_index'],
        class_weight=call.weights('weight', call.channels),
    )  # fmt: skip


def positive_weight(call: Call, told: list[str]) -> float | None:
    """pos_weight where it is one number; a sentence in ``told`` where it is another, which lines up with columns of pixels."""
    value = call['pos_weight']
    if isinstance(value, Item) and value.name == 'tensor' and '0' in value.arguments:
        value = value.arguments['0']
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    if call.values['pos_weight'] is not None:
        told.append(
            'pos_weight of several numbers lines up with the last axis of pred, in ours with the channels: left out'
        )
    return None


def binary(call: Call, from_logits: bool, verdict: Verdict, *notes: str) -> Reading:
    told = reduction_sentences(call)
    if call.values['weight'] is not None:
        told.append('weight has no counterpart here: ours of one channel takes [background, foreground]')
    factor = positive_weight(call, told) if 'pos_weight' in call.values else None
    return call.reading(
        'nearest' if told else verdict, 'WeightedCrossEntropyLoss', *told, *notes, activation='sigmoid',
        from_logits=from_logits, pos_weight=factor,
    )  # fmt: skip


@row('torch', 'BCEWithLogitsLoss', dict(weight=None, size_average=None, reduce=None, reduction='mean', pos_weight=None),
     aliases=('binary_cross_entropy_with_logits',), examples=(
    Example({}, dict(channels=1, labels='soft')),
    Example({}, dict(channels=3, labels='one_hot')),
    Example(dict(pos_weight=[2.5]), dict(channels=1, labels='soft')),
    Example(dict(pos_weight=[2.5]), dict(channels=3, labels='one_hot')),
))  # fmt: skip
def bce_with_logits(call: Call) -> Reading:
    return binary(call, True, 'exact')


@row('torch', 'BCELoss', dict(weight=None, size_average=None, reduce=None, reduction='mean'),
     aliases=('binary_cross_entropy',), examples=(
    Example({}, dict(channels=1, labels='soft', activation='sigmoid')),
))  # fmt: skip
def bce(call: Call) -> Reading:
    return binary(
        call, False, 'nearest', 'its logarithms end at -100, ours at that of 1e-7: equal for probabilities above'
    )


@row('torch', 'KLDivLoss', dict(size_average=None, reduce=None, reduction='mean', log_target=False), examples=(
    Example({}, dict(channels=3, labels='soft')),
    Example({}, dict(channels=3, labels='one_hot')),
    Example(dict(reduction='batchmean'), dict(channels=3, labels='soft')),
    Example(dict(log_target=True), MANY, 'none'),
))  # fmt: skip
def kl(call: Call) -> Reading:
    told = ['it takes log-probabilities, which ours may be given as logits: their softmax is themselves']
    how, same = call['reduction'], not call.truth('log_target')
    if call.truth('log_target'):
        told.append(
            'log_target=True takes logarithms of labels, ours labels, or with teacher_from_logits=True such logits'
        )
    if how not in (None, 'mean'):
        told.append(f'reduction {how!r} divides by something else than the number of pixels')
    else:
        told.append('it divides by the number of classes too, which loss_weight says here')
    exact = same and how in (None, 'mean') and call.channels is not None
    return call.reading(
        'exact' if exact else 'nearest', 'DistillationKLLoss', *told, teacher_from_logits=call.truth('log_target'),
        loss_weight=1 / (call.channels or 1) if how in (None, 'mean') else 1.0,
    )  # fmt: skip


for _name in (
    'MSELoss',
    'L1Loss',
    'SmoothL1Loss',
    'HuberLoss',
    'PoissonNLLLoss',
    'GaussianNLLLoss',
    'CosineEmbeddingLoss',
):

    @row('torch', _name, {}, examples=(Example({}, MANY, 'none'),))
    def distance(call: Call) -> Reading:
        return call.none('it is a distance of numbers; none of ours is one')


@row('torch', 'MultiLabelSoftMarginLoss', dict(weight=None, size_average=None, reduce=None, reduction='mean'), examples=(
    Example({}, dict(channels=3, labels='one_hot')),
))  # fmt: skip
def multi_label_soft_margin(call: Call) -> Reading:
    return binary(call, True, 'exact')
