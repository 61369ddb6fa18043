"""The losses and metrics of segmentation_models (Keras), which runs on Keras 2 alone; probabilities, channels last.

Sums (``dice + 2 * focal``) reach us as items with weights; the ready-made sums of the library are read here.
"""

from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.keras import CHANNELS, CLIPPED, SATURATED
from segparity.migrate.peers.rows import Example, row
from shared_spec import LOSSES
from shared_spec.spec import LossSpec

ONE = dict(channels=1, activation='sigmoid', labels='ids')
MANY = dict(channels=3, activation='softmax', labels='one_hot')
WEIGHTS = [0.5, 1.75, 1.0]
SMOOTH = 1e-5
OVERLAP = dict(class_weights=None, class_indexes=None, per_image=False, smooth=SMOOTH)
SCORE = dict(class_weights=None, class_indexes=None, threshold=None, per_image=True, smooth=SMOOTH)


def chosen_classes(call: Call) -> tuple[Any, list[float] | None, float]:
    """(classes, a weight for each class of ours, the mean of the peer's weights)."""
    indexes, weights = call['class_indexes'], call.weights('class_weights')
    if indexes is not None:
        indexes = [int(k) for k in (indexes if isinstance(indexes, (list, tuple)) else [indexes])]
    mean = sum(weights) / len(weights) if weights else 1.0
    if weights is None:
        return indexes or 'all', None, 1.0
    if indexes is None:
        return 'all', weights, mean
    if call.channels is None or len(weights) != len(indexes):
        call.differences.append(
            'class_weights of class_indexes need the number of classes, which does not show: left out'
        )
        return indexes, None, 1.0
    padded = [1.0] * call.channels
    for k, weight in zip(indexes, weights):
        padded[k] = weight
    return indexes, padded, mean


def activation(call: Call) -> str:
    return 'sigmoid' if call.one or call.context.activation == 'sigmoid' else 'softmax'


def overlap(call: Call, name: str, smooth: float, **parameters: Any) -> Reading:
    classes, weights, mean = chosen_classes(call)
    logits = call.context.activation == 'logits'
    return call.reading(
        'nearest' if logits else 'exact',
        name,
        bug='it takes logits for probabilities and says nothing' if logits else '',
        offset=1 - mean,
        granularity='I' if call.truth('per_image') else 'D',
        classes=classes,
        class_weight=weights,
        smooth=smooth,
        from_logits=logits,
        activation=activation(call),
        **parameters,
    )


OVERLAP_EXAMPLES = (
    Example({}, ONE, 'formula'),
    Example({}, MANY, 'formula'),
    Example(dict(class_weights=WEIGHTS, per_image=True), MANY, 'formula'),
    Example(dict(class_indexes=[1, 2], smooth=1.0), MANY, 'formula'),
)


@row('segmentation_models', 'DiceLoss', dict(beta=1, **OVERLAP), aliases=('dice_loss',), examples=(
    *OVERLAP_EXAMPLES, Example(dict(beta=2), MANY, 'formula'),
))  # fmt: skip
def dice(call: Call) -> Reading:
    beta, smooth = call.number('beta', 1), call.number('smooth', SMOOTH)
    b2 = beta**2
    if b2 == 1:
        return overlap(call, 'SoftDiceLoss', smooth / 2)
    return overlap(call, 'SoftTverskyLoss', smooth / (1 + b2), alpha=1 / (1 + b2), beta=b2 / (1 + b2))


@row('segmentation_models', 'JaccardLoss', OVERLAP, aliases=('jaccard_loss',), examples=OVERLAP_EXAMPLES)
def jaccard(call: Call) -> Reading:
    return overlap(call, 'SoftJaccardLoss', call.number('smooth', SMOOTH))


@row('segmentation_models', 'BinaryCELoss', {}, aliases=('binary_crossentropy',), examples=(
    Example({}, ONE, 'formula'), Example({}, MANY, 'none'),
))  # fmt: skip
def binary_cross_entropy(call: Call) -> Reading:
    told = [CHANNELS] if call.context.activation == 'softmax' and not call.one else []
    return call.reading(
        'nearest' if told else 'float32', 'WeightedCrossEntropyLoss', *told, CLIPPED, SATURATED, activation='sigmoid',
        from_logits=False,
    )  # fmt: skip


@row('segmentation_models', 'CategoricalCELoss', dict(class_weights=None, class_indexes=None),
     aliases=('categorical_crossentropy',), examples=(
    Example({}, MANY, 'formula'),
    Example(dict(class_weights=WEIGHTS), MANY, 'formula'),
))  # fmt: skip
def categorical_cross_entropy(call: Call) -> Reading:
    _, weights, _ = chosen_classes(call)
    told = ['it divides by the number of classes too, which loss_weight says here']
    verdict: Verdict = 'float32'
    if call['class_indexes'] is not None:
        told.append('class_indexes leaves channels out before they are divided by their sum; ours keeps all')
        verdict = 'nearest'
    if call.channels is None:
        told.append('the number of classes does not show: divide loss_weight by it')
        verdict = 'nearest'
    if call.context.labels == 'ids':
        told.append('it takes one-hot labels; of ids ours divides by the summed weights of their classes')
        verdict = 'nearest' if weights else verdict
    return call.reading(
        verdict, 'WeightedCrossEntropyLoss', *told, from_logits=False, class_weight=weights,
        loss_weight=1 / (call.channels or 1),
    )  # fmt: skip


@row('segmentation_models', 'BinaryFocalLoss', dict(alpha=0.25, gamma=2.0), aliases=('binary_focal_loss',), examples=(
    Example({}, ONE, 'formula'),
))  # fmt: skip
def binary_focal(call: Call) -> Reading:
    told = [CHANNELS] if call.context.activation == 'softmax' and not call.one else []
    return call.reading(
        'nearest' if told else 'exact', 'FocalCrossEntropyLoss', *told, CLIPPED, SATURATED, activation='sigmoid',
        from_logits=False, gamma=call.number('gamma', 2.0), alpha=call.number('alpha', 0.25),
    )  # fmt: skip


@row('segmentation_models', 'CategoricalFocalLoss', dict(alpha=0.25, gamma=2.0, class_indexes=None),
     aliases=('categorical_focal_loss',), examples=(
    Example({}, MANY, 'formula'),
))  # fmt: skip
def categorical_focal(call: Call) -> Reading:
    told = ['it divides by the number of classes too, which loss_weight says here']
    verdict: Verdict = 'exact'
    if call['class_indexes'] is not None:
        told.append('class_indexes leaves classes out; ours keeps all')
        verdict = 'nearest'
    if call.channels is None:
        told.append('the number of classes does not show: divide loss_weight by it')
        verdict = 'nearest'
    return call.reading(
        verdict, 'FocalCrossEntropyLoss', *told, CLIPPED, from_logits=False, gamma=call.number('gamma', 2.0),
        alpha=call.number('alpha', 0.25), loss_weight=1 / (call.channels or 1),
    )  # fmt: skip


PARTS = {
    'bce': binary_cross_entropy,
    'cce': categorical_cross_entropy,
    'binary_focal': binary_focal,
    'categorical_focal': categorical_focal,
    'dice': dice,
    'jaccard': jaccard,
}
SIGNATURES: dict[str, dict[str, Any]] = {
    'bce': {},
    'cce': dict(class_weights=None, class_indexes=None),
    'binary_focal': dict(alpha=0.25, gamma=2.0),
    'categorical_focal': dict(alpha=0.25, gamma=2.0, class_indexes=None),
    'dice': dict(beta=1, **OVERLAP),
    'jaccard': OVERLAP,
}


def ready_made(first: str, second: str, context: dict[str, Any]) -> None:
    """``bce_dice_loss`` and its like: the sum of two parts with their defaults, in one."""

    @row('segmentation_models', f'{first}_{second}_loss', {}, examples=(Example({}, context, 'formula'),))
    def read(call: Call) -> Reading:
        found = [PARTS[part](Call(call.item, SIGNATURES[part], call.context, call.compat)) for part in (first, second)]
        specs = [part.spec for part in found if isinstance(part.spec, LossSpec)]
        order: list[Verdict] = ['exact', 'float32', 'nearest']
        verdict = max((part.verdict for part in found), key=order.index)
        told = [sentence for part in found for sentence in part.differences]
        return Reading(verdict, LOSSES['WeightedSumLoss'](losses=specs), differences=tuple(told), bug=found[1].bug)


for _second in ('dice', 'jaccard'):
    for _first, _context in (('bce', ONE), ('cce', MANY), ('binary_focal', ONE), ('categorical_focal', MANY)):
        ready_made(_first, _second, _context)


def score(name: str, alias: str, metric: str, signature: dict[str, Any], beta: float = 1.0) -> None:
    @row('segmentation_models', name, signature, kind='metric', aliases=(alias,), examples=(
        Example(dict(threshold=0.5), dict(num_classes=3, **MANY), 'formula'),
        Example({}, dict(num_classes=2, **ONE), 'formula'),
    ))  # fmt: skip
    def read(call: Call) -> Reading:
        level = 'I' if call.truth('per_image', default=True) else 'D'
        classes = call.context.num_classes or call.context.channels
        classes = 2 if classes == 1 else classes
        told = [
            'it is the mean over batches of the score of each batch, ours of the whole data set',
            'a class that neither occurs nor is predicted scores 1, ours leaves it out',
        ]
        if call['threshold'] is None:
            told.insert(0, 'without a threshold it is a score of probabilities, ours of predicted classes')
        elif call['threshold'] != 0.5:
            told.insert(0, f'its threshold is {call["threshold"]!r}, ours 0.5 or the largest class')
        for argument in ('class_weights', 'class_indexes'):
            if call[argument] is not None:
                told.append(f'{argument} has no counterpart; per-class results have each class')
        if classes is None:
            return call.none(f'nearest is FineGrained, {metric}{level}', *told, 'the number of classes does not show')
        return call.reading(
            'nearest', 'FineGrained', *told, results=[f'{metric}{level}'], num_classes=classes, ignore_index=None,
            levels=[level], metrics=[metric], q=[], binary=call.one,
            beta=call.number('beta', beta) if 'beta' in call.values else beta,
        )  # fmt: skip


score('IOUScore', 'iou_score', 'mIoU', SCORE)
score('FScore', 'f1_score', 'mFscore', dict(beta=1, **SCORE))
score('f2_score', 'F2', 'mFscore', dict(beta=2, **SCORE), 2.0)
score('Precision', 'precision', 'mPrecision', SCORE)
score('Recall', 'recall', 'mAcc', SCORE)
