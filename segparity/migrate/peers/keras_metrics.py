"""The metrics that come with Keras."""

from collections.abc import Sequence
from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import REQUIRED, Call
from segparity.migrate.peers.keras import dtype_sentences
from segparity.migrate.peers.rows import Example, row

SHARED = dict(name=None, dtype=None)
CLASSES = 'the number of classes does not show: give num_classes of ours'
EPSILON = 'it adds 1e-7 to its denominators'
OUTSIDE = 'labels outside of the classes are dropped without a word; ours takes them for pixels of no class'
ONE = dict(channels=1, num_classes=2, activation='sigmoid')
MANY = dict(channels=3, num_classes=3, activation='softmax')


def classes_of(call: Call) -> int | None:
    """How many classes the labels have; one channel tells two."""
    given = call['num_classes'] if 'num_classes' in call.values else None
    known = given or call.context.num_classes or call.context.channels
    return 2 if known == 1 else known


def score_reading(
    call: Call,
    verdict: Verdict,
    results: Sequence[str],
    *told: str,
    bug: str = '',
    binary: bool = False,
    **parameters: Any,
) -> Reading:
    classes = classes_of(call)
    if classes is None:
        return call.none(f'nearest is FineGrained, result {results[0]}', CLASSES)
    metric = next((name for name in results if name != 'aAcc'), 'mAccD')[:-1]
    parameters = dict(ignore_index=None, levels=['D'], metrics=[metric], q=[]) | parameters
    if coarse := dtype_sentences(call):
        verdict, told = 'nearest' if verdict in ('exact', 'float32') else verdict, (*coarse, *told)
    return call.reading(
        verdict, 'FineGrained', *told, bug=bug, results=results, num_classes=classes, binary=binary, **parameters
    )


def accuracy(call: Call, bug: str = '', *told: str) -> Reading:
    return score_reading(
        call,
        'nearest' if bug or told else 'float32',
        ['aAcc'],
        *told,
        'pixels with an ignored label count as wrong; ours leaves them out where ignore_class names that label',
        bug=bug,
    )


@row('keras', 'accuracy', SHARED, kind='metric', aliases=('acc', 'Accuracy', 'categorical_accuracy'), examples=(
    Example({}, MANY),
))  # fmt: skip
def generic_accuracy(call: Call) -> Reading:
    if call.item.name == 'Accuracy':
        return accuracy(
            call, 'Accuracy compares labels with probabilities themselves; the string "accuracy" is another'
        )
    if call.one:
        return binary_accuracy(call)
    return accuracy(call)


@row('keras', 'SparseCategoricalAccuracy', SHARED, kind='metric', aliases=('sparse_categorical_accuracy',), examples=(
    Example({}, MANY),
))  # fmt: skip
def sparse_accuracy(call: Call) -> Reading:
    if call.one:
        return accuracy(call, 'of one channel the first class is always the largest: only background is ever right')
    return accuracy(call)


@row('keras', 'CategoricalAccuracy', SHARED, kind='metric', examples=(Example({}, MANY | dict(labels='one_hot')),))
def categorical_accuracy(call: Call) -> Reading:
    if call.one:
        return accuracy(call, 'of one channel the first class is always the largest: only background is ever right')
    return accuracy(call)


@row('keras', 'BinaryAccuracy', dict(name=None, dtype=None, threshold=0.5), kind='metric',
     aliases=('binary_accuracy',), examples=(
    Example({}, ONE),
    Example({}, MANY | dict(labels='one_hot')),
    Example(dict(threshold=0.8), ONE),
))  # fmt: skip
def binary_accuracy(call: Call) -> Reading:
    threshold = call.number('threshold', 0.5) if 'threshold' in call.values else 0.5
    told = []
    if threshold != 0.5:
        told.append(f'its threshold is {threshold:g}, ours 0.5')
    if not call.one and call.channels:
        told.append(
            'it is the share of right channels, ours of right pixels: of C classes a wrong pixel has 2 wrong channels'
        )
    if call.context.activation == 'logits':
        told.append(f'it compares logits with {threshold:g}, ours with 0')
    return accuracy(call, '', *told)


IOU = dict(
    num_classes=REQUIRED, name=None, dtype=None, ignore_class=None, sparse_y_true=True, sparse_y_pred=True, axis=-1
)
TRUNCATED = 'sparse_y_pred=True (its default) takes class ids: a probability becomes the integer 0, and every pixel is background'
REFUSED = (
    'sparse_y_pred=True (its default) takes class ids: of several channels it raises; sparse_y_pred=False was meant'
)
ARGMAX_OF_ONE = 'sparse_y_pred=False takes the largest of one channel, which is always class 0; BinaryIoU was meant'


def iou(call: Call, chosen: Sequence[int] | None, sparse_pred: bool) -> Reading:
    """chosen: target_class_ids, None for all."""
    classes = classes_of(call)
    told, bug, binary = [], '', False
    if sparse_pred and (call.context.activation is not None or call.context.channels):
        bug = TRUNCATED if call.one else REFUSED
    elif call.one:
        bug = ARGMAX_OF_ONE
    if chosen is not None and classes is not None and sorted(chosen) != list(range(classes)):
        binary = classes == 2 and list(chosen) == [1]
        if not binary:
            told.append(f'it averages the classes {list(chosen)}, ours all of them; per-class results have each')
    if call['axis'] not in (-1, 3, None):
        told.append(f'axis {call["axis"]!r}: its result() raises unless the classes are last')
    label = call['ignore_class']
    return score_reading(
        call, 'nearest' if told or bug else 'float32', ['mIoUD'], *told, EPSILON, OUTSIDE, bug=bug, binary=binary,
        ignore_index=label,
    )  # fmt: skip


@row('keras', 'MeanIoU', IOU, kind='metric', examples=(
    Example(dict(num_classes=3, sparse_y_pred=False), MANY),
    Example(dict(num_classes=3, sparse_y_pred=False, ignore_class=255), MANY),
    Example(dict(num_classes=3, sparse_y_pred=False, sparse_y_true=False), MANY | dict(labels='one_hot')),
    Example(dict(num_classes=2), ONE),
    Example(dict(num_classes=2, sparse_y_pred=False), ONE),
    Example(dict(num_classes=3), MANY, 'none'),
))  # fmt: skip
def mean_iou(call: Call) -> Reading:
    return iou(call, None, call.truth('sparse_y_pred', default=True))


@row('keras', 'OneHotMeanIoU', dict(
    num_classes=REQUIRED, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1,
), kind='metric', examples=(
    Example(dict(num_classes=3), MANY | dict(labels='one_hot')),
))  # fmt: skip
def one_hot_mean_iou(call: Call) -> Reading:
    return iou(call, None, call.truth('sparse_y_pred'))


@row('keras', 'IoU', dict(num_classes=REQUIRED, target_class_ids=REQUIRED) | IOU, kind='metric', examples=(
    Example(dict(num_classes=3, target_class_ids=[1, 2], sparse_y_pred=False), MANY),
    Example(dict(num_classes=3, target_class_ids=[0, 1, 2], sparse_y_pred=False), MANY),
    Example(dict(num_classes=2, target_class_ids=[1], sparse_y_pred=False), dict(channels=2, activation='softmax')),
))  # fmt: skip
def iou_of(call: Call) -> Reading:
    return iou(call, call['target_class_ids'], call.truth('sparse_y_pred', default=True))


@row('keras', 'OneHotIoU', dict(
    num_classes=REQUIRED, target_class_ids=REQUIRED, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1,
), kind='metric', examples=(
    Example(dict(num_classes=3, target_class_ids=[1]), MANY | dict(labels='one_hot')),
))  # fmt: skip
def one_hot_iou(call: Call) -> Reading:
    return iou(call, call['target_class_ids'], call.truth('sparse_y_pred'))


@row('keras', 'BinaryIoU', dict(target_class_ids=(0, 1), threshold=0.5, name=None, dtype=None), kind='metric', examples=(
    Example({}, ONE),
    Example(dict(target_class_ids=[1]), ONE),
    Example(dict(target_class_ids=[0]), ONE),
    Example(dict(threshold=0.3), ONE),
))  # fmt: skip
def binary_iou(call: Call) -> Reading:
    chosen, threshold = list(call['target_class_ids'] or (0, 1)), call.number('threshold', 0.5)
    told = dtype_sentences(call)
    if threshold != 0.5:
        told.append(f'its threshold is {threshold:g}, ours 0.5')
    if call.context.activation == 'logits':
        told.append(f'it compares logits with {threshold:g}, ours with 0')
    if sorted(chosen) not in ([0, 1], [1]):
        told.append(f'it averages the classes {chosen}, ours both')
    return call.reading(
        'nearest' if told else 'float32', 'FineGrained', *told, EPSILON, results=['mIoUD'], num_classes=2,
        ignore_index=None, binary=chosen == [1], levels=['D'], metrics=['mIoU'], q=[],
    )  # fmt: skip


def cross_class(name: str, aliases: tuple[str, ...], ours: str) -> None:
    @row('keras', name, dict(thresholds=None, top_k=None, class_id=None, name=None, dtype=None), kind='metric',
         aliases=aliases, examples=(Example({}, ONE),))  # fmt: skip
    def read(call: Call) -> Reading:
        told = []
        for argument, default in (('thresholds', (None, 0.5)), ('top_k', (None,)), ('class_id', (None,))):
            if call[argument] not in default:
                told.append(f'{argument} {call[argument]!r} has no counterpart')
        if not call.one:
            told.append(
                'it takes every channel above 0.5 for a prediction and pools the classes; ours is a mean over them'
            )
        if call.context.activation == 'logits':
            told.append('it compares logits with 0.5, ours with 0')
        return score_reading(
            call, 'nearest' if told else 'float32', [f'{ours}D'], *told, EPSILON, 'nothing to score is 0, in ours NaN',
            binary=classes_of(call) == 2,
        )  # fmt: skip


cross_class('Precision', ('precision',), 'mPrecision')
cross_class('Recall', ('recall',), 'mAcc')


def no_score(names: tuple[str, ...]) -> None:
    @row('keras', names[0], SHARED, kind='metric', aliases=names[1:], examples=(Example({}, ONE, 'none'),))
    def read(call: Call) -> Reading:
        return call.none('it is no score of label maps, nor an error of calibration')


for _names in (
    ('AUC', 'auc'),
    ('Mean',),
    ('TopKCategoricalAccuracy',),
    ('SparseTopKCategoricalAccuracy',),
    ('F1Score',),
):
    no_score(_names)
