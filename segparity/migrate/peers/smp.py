"""The losses of segmentation_models_pytorch: logits (N, C, H, W), summed over the batch for each class."""

import dataclasses
from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import REQUIRED, Call
from segparity.migrate.peers.rows import Example, row
from segparity.migrate.peers.torch import positive_weight

ONE = dict(channels=1)
MANY = dict(channels=3)
LABELS = dict(channels=3, labels='one_hot')
WEIGHTS = [0.5, 1.75, 1.0]
OVERLAP = dict(mode=REQUIRED, classes=None, log_loss=False, from_logits=True, smooth=0.0, ignore_index=None, eps=1e-7)
ABSENT = (
    'a class that is absent from the batch adds 0 and is still divided by, ours leaves it out: larger by (classes) / '
    '(classes present)'
)
ABSENT_CHOSEN = 'a chosen class that is absent from the batch adds 0, in ours its false positives cost'
ONE_SCORE = 'its scores are of the metric overlap: of soft labels another number than ours, of 0 and 1 the same'
POOLED = {
    'DiceSemimetricLoss': 'SoftDiceLoss',
    'JaccardMetricLoss': 'SoftJaccardLoss',
    'CompatibleTverskyLoss': 'SoftTverskyLoss',
}  # where channels are laid out as one
NORMALISED = 'class_weights are divided by their sum over all classes, ours by the number of classes that are present'


def overlap(call: Call, name: str, **parameters: Any) -> Reading:
    """A loss on the overlap of each class over the batch; theirs is right for soft labels, as ours on metric overlap."""
    mode, classes, weights = call['mode'], call['classes'], call.weights('class_weights', call.channels)
    told, binary = [], mode == 'binary' or call.one
    verdict: Verdict = 'exact'
    if not binary:
        verdict = 'nearest'
        told.append(ABSENT if classes is None else ABSENT_CHOSEN)
    if weights is not None:
        counted = len(weights) if classes is None else len(classes)
        total = sum(weights if classes is None else [weights[k] for k in classes])
        weights = [w * counted / total for w in weights]
        told.append(NORMALISED)
    if (
        mode == 'binary'
        and not call.one
        and call.channels is not None
        and classes is None
        and not call.truth('log_loss')
    ):
        if name in POOLED and weights is None and parameters.pop('gamma', 1) == 1:
            unlike = call.context.labels == 'soft' or call['ignore_index'] is not None
            return call.reading(
                'nearest' if unlike else 'exact', POOLED[name], *told, ONE_SCORE, pooled=True, smooth=call.number('smooth', 0.0),
                activation='sigmoid', ignore_index=call['ignore_index'],
                from_logits=call.truth('from_logits', default=True), **parameters,
            )  # fmt: skip
    label = call['ignore_index']
    if mode == 'multilabel' and label is not None:
        told.append(f'label {label} is masked in each channel by itself, ours ignores labels in one map of ids alone')
        label = None
    if call.truth('log_loss') and name == 'FocalTverskyLoss':
        told.append('log_loss has no counterpart together with a power below 1')
        verdict = 'nearest'
    elif name != 'FocalTverskyLoss':
        parameters['log_loss'] = call.truth('log_loss')
    return call.reading(
        verdict,
        name,
        *told,
        granularity='D',
        classes='present' if classes is None else list(classes),
        smooth=call.number('smooth', 0.0),
        class_weight=weights,
        ignore_index=label,
        from_logits=call.truth('from_logits', default=True),
        activation='softmax' if mode == 'multiclass' and not call.one else 'sigmoid',
        **parameters,
    )


OVERLAP_EXAMPLES = (
    Example(dict(mode='binary'), ONE),
    Example(dict(mode='binary', smooth=1.0, ignore_index=255), ONE),
    Example(dict(mode='binary', from_logits=False), dict(channels=1, labels='soft', activation='sigmoid')),
    Example(dict(mode='multiclass', ignore_index=255), MANY),
    Example(dict(mode='multiclass', class_weights=WEIGHTS), MANY),
    Example(dict(mode='multiclass', classes=[1, 2]), MANY),
    Example(dict(mode='multilabel', smooth=0.5), LABELS),
    Example(dict(mode='binary', smooth=0.5), LABELS),
    Example(dict(mode='binary', log_loss=True), ONE),
)


@row('smp', 'DiceLoss', dict(**OVERLAP, class_weights=None), examples=OVERLAP_EXAMPLES)
def dice(call: Call) -> Reading:
    return overlap(call, 'DiceSemimetricLoss')


@row('smp', 'JaccardLoss', dict(**OVERLAP, class_weights=None), examples=OVERLAP_EXAMPLES[:4])
def jaccard(call: Call) -> Reading:
    return overlap(call, 'JaccardMetricLoss')


@row('smp', 'TverskyLoss', dict(**OVERLAP, alpha=0.5, beta=0.5, gamma=1.0, class_weights=None), examples=(
    Example(dict(mode='binary', alpha=0.3, beta=0.7), ONE),
    Example(dict(mode='binary', alpha=0.3, beta=0.7, gamma=2.0), ONE),
    Example(dict(mode='binary', alpha=0.3, beta=0.7, gamma=0.75), ONE),
    Example(dict(mode='multiclass', alpha=0.3, beta=0.7), MANY),
    Example(dict(mode='multiclass', alpha=0.3, beta=0.7, gamma=2.0), MANY),
    Example(dict(mode='binary', alpha=0.3, beta=0.7), LABELS),
))  # fmt: skip
def tversky(call: Call) -> Reading:
    alpha, beta, gamma = call.number('alpha', 0.5), call.number('beta', 0.5), call.number('gamma', 1.0)
    if gamma < 1 and gamma > 0:
        found = overlap(call, 'FocalTverskyLoss', alpha=alpha, beta=beta, gamma=1 / gamma)
    else:
        found = overlap(call, 'CompatibleTverskyLoss', alpha=alpha, beta=beta, gamma=gamma)
    if gamma == 1 or call['mode'] == 'binary' or call.one or found.spec is None:
        return found
    told = f'it raises the mean to the power {gamma:g}, ours the loss of each class before the mean'
    return dataclasses.replace(found, verdict='nearest', differences=(told, *found.differences))


@row('smp', 'SoftCrossEntropyLoss', dict(reduction='mean', smooth_factor=None, ignore_index=-100, dim=1), examples=(
    Example(dict(smooth_factor=0.1, ignore_index=None), MANY),
    Example(dict(smooth_factor=0.0, ignore_index=255), MANY),
    Example(dict(smooth_factor=0.1, reduction='sum', ignore_index=None), MANY),
    Example({}, MANY, 'none'),
))  # fmt: skip
def soft_cross_entropy(call: Call) -> Reading:
    label, smoothing = call['ignore_index'], call['smooth_factor']
    told: list[str] = []
    if call['reduction'] != 'mean':
        told.append(f'reduction {call["reduction"]!r} is no mean, which ours is')
    return call.reading(
        'nearest' if told or smoothing is None else 'exact', 'WeightedCrossEntropyLoss', *told, divisor='valid' if label is None else 'all',
        bug='smooth_factor=None, its default, raises TypeError: give 0' if smoothing is None else '',
        label_smoothing=call.number('smooth_factor', 0.0) if smoothing is not None else 0.0, ignore_index=label,
    )  # fmt: skip


@row('smp', 'SoftBCEWithLogitsLoss', dict(
    weight=None, ignore_index=-100, reduction='mean', smooth_factor=None, pos_weight=None,
), examples=(
    Example(dict(ignore_index=None), dict(channels=1, labels='soft')),
    Example(dict(ignore_index=None, smooth_factor=0.1), dict(channels=3, labels='one_hot')),
    Example(dict(ignore_index=255), ONE),
    Example(dict(ignore_index=None, pos_weight=[2.5]), ONE),
    Example(dict(ignore_index=None, reduction='sum'), ONE),
))  # fmt: skip
def soft_bce(call: Call) -> Reading:
    label, factor = call['ignore_index'], call['smooth_factor']
    told: list[str] = []
    if call['reduction'] != 'mean':
        told.append(f'reduction {call["reduction"]!r} is no mean, which ours is')
    if call.values['weight'] is not None:
        told.append('weight has no counterpart here')
    label, positives = None if label == -100 else label, positive_weight(call, told)
    return call.reading(
        'nearest' if told else 'exact', 'WeightedCrossEntropyLoss', *told, pos_weight=positives,
        activation='sigmoid', label_smoothing=2 * call.number('smooth_factor', 0.0) if factor is not None else 0.0,
        ignore_index=label, divisor='valid' if label is None else 'all',
    )  # fmt: skip


@row('smp', 'FocalLoss', dict(
    mode=REQUIRED, alpha=None, gamma=2.0, ignore_index=None, from_logits=True, eps=1e-7, reduction='mean',
    normalized=False, reduced_threshold=None, class_weights=None,
), examples=(
    Example(dict(mode='binary'), ONE),
    Example(dict(mode='binary', gamma=5.0, alpha=0.25, ignore_index=255), ONE),
    Example(dict(mode='multiclass', gamma=1.0), MANY),
    Example(dict(mode='multiclass', alpha=0.25, ignore_index=255), MANY),
    Example(dict(mode='multilabel', gamma=0.5), LABELS),
    Example(dict(mode='multiclass', class_weights=WEIGHTS), MANY),
    Example(dict(mode='multiclass', normalized=True), MANY),
    Example(dict(mode='multiclass', from_logits=False), dict(channels=3, activation='softmax')),
))  # fmt: skip
def focal(call: Call) -> Reading:
    mode, from_logits, told, bug = call['mode'], call.truth('from_logits', default=True), [], ''
    if call['reduction'] != 'mean':
        told.append(f'reduction {call["reduction"]!r} is no mean, which ours is')
    if call.truth('normalized'):
        told.append('normalized=True divides by the sum of (1 - p)^gamma, ours by the number of pixels')
    for name in ('reduced_threshold', 'class_weights'):
        if call[name] is not None:
            told.append(f'{name} has no counterpart here')
    if call.context.labels == 'soft':
        told.append('of a soft label it takes a power of 1 - exp(-loss), ours of each side: equal for hard labels')
    verdict: Verdict = 'nearest' if told else 'exact'
    if not from_logits and mode == 'multiclass':
        bug, verdict = 'from_logits=False takes the sigmoid of log-probabilities', 'nearest'
    elif not from_logits:
        told.append('it clips probabilities to [eps, 1 - eps], ours from below alone')
        verdict = 'float32' if verdict == 'exact' else verdict
    if mode != 'binary':
        told.append('up to 0.5 it adds up the classes in place of their mean: as many times larger')
    return call.reading(
        verdict, 'FocalCrossEntropyLoss', *told, bug=bug, activation='sigmoid', gamma=call.number('gamma', 2.0),
        alpha=None if call['alpha'] is None else call.number('alpha', 0.25), ignore_index=call['ignore_index'],
        from_logits=from_logits,
    )  # fmt: skip


@row('smp', 'LovaszLoss', dict(mode=REQUIRED, per_image=False, ignore_index=None, from_logits=True), examples=(
    Example(dict(mode='binary'), ONE),
    Example(dict(mode='binary', per_image=True, ignore_index=255), ONE),
    Example(dict(mode='multiclass', ignore_index=255), MANY),
    Example(dict(mode='multiclass', per_image=True), MANY),
    Example(dict(mode='multiclass', from_logits=False), dict(channels=3, activation='softmax')),
    Example(dict(mode='multilabel'), LABELS, 'none'),
))  # fmt: skip
def lovasz(call: Call) -> Reading:
    mode, from_logits = call['mode'], call.truth('from_logits', default=True)
    per_image, label = call.truth('per_image'), call['ignore_index']
    if mode == 'multilabel':
        return call.none('it sorts the pixels of all classes together; LovaszHingeLoss takes one channel')
    if mode == 'binary' or call.one:
        bug = '' if from_logits else 'from_logits=False is not used: the hinge is taken of probabilities'
        return call.reading(
            'nearest' if bug else 'float32', 'LovaszHingeLoss', 'an image without a valid pixel counts as 0, in ours not at all',
            bug=bug, per_image=per_image, ignore_index=label,
        )  # fmt: skip
    bug = '' if from_logits else 'from_logits=False is not used: probabilities go through a softmax once more'
    verdict: Verdict = 'nearest' if bug else 'float32'
    return call.reading(
        verdict, 'LovaszSoftmaxLoss', bug=bug, per_image=per_image, classes='present', ignore_index=label,
        from_logits=from_logits,
    )  # fmt: skip


@row('smp', 'MCCLoss', dict(eps=1e-5), examples=(Example({}, ONE, 'none'),))
def mcc(call: Call) -> Reading:
    return call.none(
        'it is a loss of the correlation coefficient of Matthews; none of ours is',
        bug='it takes logits for probabilities: it has no activation',
    )
