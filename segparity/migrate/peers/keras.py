"""The losses that come with Keras. They take probabilities unless ``from_logits`` says otherwise, channels last."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.mmseg import MIXED
from segparity.migrate.peers.rows import Example, row
from segparity.migrate.peers.versions import Versions

COMMON = dict(reduction='sum_over_batch_size', name=None, dtype=None)
MEANS = ('sum_over_batch_size', 'mean', 'mean_with_sample_weight', 'auto')
ONE = dict(channels=1, activation='sigmoid', labels='ids')
MANY = dict(channels=3, activation='softmax', labels='one_hot')
IDS = dict(channels=3, activation='softmax', labels='ids')
ONE_LOGITS = dict(channels=1, activation='logits', labels='ids')
LOGITS = dict(channels=3, activation='logits', labels='one_hot')

CLIPPED = (
    'it clips probabilities to [1e-7, 1 - 1e-7]; ours of probabilities does so from below alone (1e-7 less where a right '
    'pixel is certain), ours of logits nowhere: there it is equal up to the clipping, for logits within about 16 of each other'
)
SATURATED = (
    'in float32 its upper bound is 1 - 1.2e-7: a probability of exactly 1 costs a pixel of the other label 15.94, ours of '
    'probabilities 16.12 (with label_smoothing each pixel has a share of that cost)'
)
CHANNELS = 'on logits of a head the sigmoid of each channel is taken where the source has a softmax'
EPSILON = '1e-7 stands in its denominator alone: an empty mask that is predicted as exactly nothing costs it 1, ours 0'


def shared_sentences(call: Call) -> list[str]:
    """A sentence where the reduction is no mean, and one where the dtype is coarser than float32."""
    value, told = call['reduction'], dtype_sentences(call)
    hidden = value is None and call.values['reduction'] is not None  # not read, which is told
    if value not in MEANS and not hidden:
        told.insert(0, f'reduction {value!r} is no mean over pixels, which ours is')
    return told


def dtype_sentences(call: Call) -> list[str]:
    """A sentence where the dtype is not known to be float32 or float64."""
    value = call['dtype'] if 'dtype' in call.values else None
    if isinstance(value, Mapping):  # a policy as a saved model has it
        config = value.get('config')
        value = config.get('name', value) if isinstance(config, Mapping) else value
    name = str(getattr(value, 'name', value)).rpartition('.')[2]
    if value is None or name in ('float32', 'float64'):
        return []
    return [f'dtype {name!r} is none of float32 and float64, in which ours is computed: its value is rounded to it']


def axis_sentences(call: Call, binary: bool = False) -> list[str]:
    """A sentence where ``axis`` is not the last one of images (B, H, W, C)."""
    axis = call['axis']
    if (axis in (-1, 3) and not isinstance(axis, bool)) or (axis is None and call.values['axis'] is not None):
        return []
    if binary:
        return [f'axis {axis!r} is averaged before the weights of samples count, in ours the last axis, -1, is']
    return [f'axis {axis!r} is not that of the classes, which in ours is the last, -1: it compares along another axis']


def logits_taken(call: Call) -> tuple[bool, str]:
    """Whether ours takes logits, and the bug where the loss takes what is no probability for one."""
    stated = call.truth('from_logits') if 'from_logits' in call.values else False
    if stated or call.context.activation != 'logits':
        return stated, ''
    return True, 'it takes logits for probabilities and says nothing'


def cross_entropy_reading(
    call: Call, *told: str, activation: str = 'softmax', name: str = 'WeightedCrossEntropyLoss', **parameters: Any
) -> Reading:
    from_logits, bug = logits_taken(call)
    binary = activation == 'sigmoid'
    told = (*shared_sentences(call), *axis_sentences(call, binary), *told)
    if binary and call.context.activation == 'softmax' and not call.one:
        told = (*told, CHANNELS)
    if 'from_logits' in call.given and from_logits and call.context.activation in ('softmax', 'sigmoid'):
        bug = f'from_logits=True on the output of a {call.context.activation}: it is applied twice'
    verdict: Verdict = 'nearest' if told or bug else 'float32'
    if not from_logits:
        told = (*told, CLIPPED, SATURATED) if binary else (*told, CLIPPED)
    return call.reading(
        verdict,
        name,
        *told,
        bug=bug,
        activation=activation,
        from_logits=from_logits,
        **parameters,
    )


@row('keras', 'BinaryCrossentropy', dict(from_logits=False, label_smoothing=0.0, axis=-1, **COMMON),
     aliases=('binary_crossentropy', 'bce', 'BCE'), examples=(
    Example({}, ONE),
    Example({}, MANY, 'none'),
    Example(dict(label_smoothing=0.1), dict(channels=3, activation='sigmoid', labels='soft')),
    Example(dict(from_logits=True, label_smoothing=0.2), ONE_LOGITS),
    Example(dict(from_logits=True), dict(channels=1, activation='logits', labels='soft')),
    Example(dict(from_logits=True, reduction='sum'), ONE_LOGITS),
    Example({}, ONE_LOGITS),
))  # fmt: skip
def binary_cross_entropy(call: Call) -> Reading:
    return cross_entropy_reading(call, activation='sigmoid', label_smoothing=call.number('label_smoothing', 0.0))


@row('keras', 'CategoricalCrossentropy', dict(from_logits=False, label_smoothing=0.0, axis=-1, **COMMON),
     aliases=('categorical_crossentropy',), examples=(
    Example({}, MANY),
    Example(dict(label_smoothing=0.1), MANY),
    Example(dict(from_logits=True), LOGITS),
    Example(dict(from_logits=True, label_smoothing=0.1), dict(channels=3, activation='logits', labels='soft')),
))  # fmt: skip
def categorical_cross_entropy(call: Call) -> Reading:
    if call.one:
        return call.none('a distribution over one class is 1 everywhere: the loss is 0', bug='one channel has no class')
    if call.context.activation == 'sigmoid':
        return cross_entropy_reading(
            call, 'it divides the sigmoids of a pixel by their sum, ours takes probabilities that add up to 1'
        )
    return cross_entropy_reading(call, label_smoothing=call.number('label_smoothing', 0.0))


@row('keras', 'SparseCategoricalCrossentropy', dict(
    from_logits=False, ignore_class=None, reduction='sum_over_batch_size', axis=-1, name=None, dtype=None,
), aliases=('sparse_categorical_crossentropy',), examples=(
    Example({}, IDS),
    Example(dict(ignore_class=255), IDS),
    Example(dict(from_logits=True, ignore_class=255), dict(channels=3, activation='logits', labels='ids')),
    Example(dict(from_logits=True, ignore_class=0), dict(channels=3, activation='logits', labels='ids')),
))  # fmt: skip
def sparse_cross_entropy(call: Call) -> Reading:
    if call.one:
        return call.none('a distribution over one class is 1 everywhere: the loss is 0', bug='one channel has no class')
    label = call['ignore_class']
    if call.context.labels == 'one_hot':
        return cross_entropy_reading(call, 'it takes class ids, and the labels are one-hot')
    return cross_entropy_reading(call, ignore_index=label)


def cells_of(call: Call) -> tuple[str | None, bool, list[str]]:
    """(granularity, pooled, what differs) of an ``axis`` over images (B, H, W, C); None where nothing of ours is summed so."""
    axis = call['axis']
    if axis is None:
        axes = {0, 1, 2, 3}
    else:
        axes = {int(a) % 4 for a in (axis if isinstance(axis, (list, tuple)) else [axis])}
    if not {1, 2} <= axes:
        return None, False, [f'axis {axis!r} does not add up the pixels of a picture']
    return 'D' if 0 in axes else 'I', 3 in axes and not call.one, []


def overlap(call: Call, name: str, **parameters: Any) -> Reading:
    """A Dice or Tversky of probabilities, summed over ``axis``."""
    granularity, pooled, unlike = cells_of(call)
    from_logits, bug = logits_taken(call)
    if granularity is None:
        return call.none(*unlike)
    told = shared_sentences(call)
    if call.context.labels == 'ids' and not call.one and call.channels:
        bug = bug or f'labels as ids beside {call.channels} channels broadcast, and the value means nothing'
    return call.reading(
        'nearest' if told or bug else 'float32',
        name,
        *told,
        EPSILON,
        bug=bug,
        granularity=granularity,
        classes='all',
        smooth=0,
        pooled=pooled,
        from_logits=from_logits,
        activation='sigmoid' if call.context.activation == 'sigmoid' or call.one else 'softmax',
        **parameters,
    )


AXIS = dict(reduction='sum_over_batch_size', name=None, axis=None, dtype=None)


@row('keras', 'Dice', AXIS, aliases=('dice',), examples=(
    Example({}, ONE),
    Example(dict(axis=[1, 2, 3]), ONE),
    Example({}, MANY),
    Example(dict(axis=[1, 2]), MANY),
    Example(dict(axis=[0, 1, 2]), MANY),
    Example(dict(axis=[1, 2, 3]), MANY),
    Example(dict(axis=[1, 2, 3]), dict(channels=1, activation='sigmoid', labels='soft')),
    Example({}, ONE_LOGITS),
))  # fmt: skip
def dice(call: Call) -> Reading:
    return overlap(call, 'SoftDiceLoss')


SWAPPED = Versions('up to 3.15.1', before='3.16')
MENDED = Versions('from 3.16', since='3.16')
TVERSKY = dict(alpha=0.5, beta=0.5, **AXIS)
TVERSKY_EXAMPLES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (dict(alpha=0.3, beta=0.7), ONE),
    (dict(alpha=0.3, beta=0.7, axis=[1, 2]), MANY),
    (dict(alpha=1.0, beta=1.0, axis=[0, 1, 2]), MANY),
    (dict(alpha=0.3, beta=0.7), MANY),
]


@row('keras', 'Tversky', TVERSKY, versions=SWAPPED, aliases=('tversky',), examples=[
    Example(*example) for example in TVERSKY_EXAMPLES
])  # fmt: skip
def tversky_swapped(call: Call) -> Reading:
    alpha, beta = call.number('alpha', 0.5), call.number('beta', 0.5)
    found = overlap(call, 'SoftTverskyLoss', alpha=beta, beta=alpha)
    if found.spec is None or alpha == beta or found.bug:
        return found
    bug = f'alpha {alpha:g} weighs false negatives and beta {beta:g} false positives, the other way round than it says'
    return dataclasses.replace(found, bug=bug)


@row('keras', 'Tversky', TVERSKY, versions=MENDED, aliases=('tversky',), examples=[
    Example(*example, 'formula') for example in TVERSKY_EXAMPLES
])  # fmt: skip
def tversky(call: Call) -> Reading:
    return overlap(call, 'SoftTverskyLoss', alpha=call.number('alpha', 0.5), beta=call.number('beta', 0.5))


SMOOTHED = (
    "label_smoothing {:g} has no counterpart: smooth the labels, with label_smoothing of the plugin's soft_labels"
)
OF_LOGITS = (
    'it makes probabilities of logits first and clips them to [1e-7, 1 - 1e-7], ours does not: equal for logits within '
    'about 16 of each other'
)


@row('keras', 'BinaryFocalCrossentropy', dict(
    apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, **COMMON,
), aliases=('binary_focal_crossentropy',), examples=(
    Example({}, ONE),
    Example(dict(from_logits=True, gamma=1.0), LOGITS),
    Example(dict(from_logits=True, gamma=5.0, apply_class_balancing=True, alpha=0.3), ONE_LOGITS),
    Example(dict(from_logits=True), dict(channels=1, activation='logits', labels='soft')),
    Example(dict(from_logits=True, label_smoothing=0.2), ONE_LOGITS),
))  # fmt: skip
def binary_focal(call: Call) -> Reading:
    balanced, smoothing = call.truth('apply_class_balancing'), call.number('label_smoothing', 0.0)
    told = [SMOOTHED.format(smoothing), MIXED] if smoothing else [MIXED] if call.context.labels == 'soft' else []
    found = cross_entropy_reading(
        call, *told, activation='sigmoid', name='FocalCrossEntropyLoss', gamma=call.number('gamma', 2.0),
        alpha=call.number('alpha', 0.25) if balanced else None,
    )  # fmt: skip
    if 'alpha' in call.given and not balanced and not found.bug:
        found = dataclasses.replace(found, bug='alpha has no effect without apply_class_balancing=True')
    return of_logits(found)


def of_logits(found: Reading) -> Reading:
    """A reading with the sentence on what focal losses do with logits."""
    if not getattr(found.spec, 'from_logits', False):
        return found
    return dataclasses.replace(found, differences=(*found.differences, OF_LOGITS))


@row('keras', 'CategoricalFocalCrossentropy', dict(
    alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, **COMMON,
), aliases=('categorical_focal_crossentropy',), examples=(
    Example({}, MANY),
    Example(dict(from_logits=True, alpha=0.5), LOGITS),
    Example(dict(from_logits=True, gamma=5.0, alpha=[0.5, 1.75, 1.0]), LOGITS),
    Example(dict(from_logits=True, gamma=0.5), dict(channels=3, activation='logits', labels='soft')),
    Example(dict(from_logits=True, label_smoothing=0.1), LOGITS),
))  # fmt: skip
def categorical_focal(call: Call) -> Reading:
    if call.one:
        return call.none('a distribution over one class is 1 everywhere: the loss is 0', bug='one channel has no class')
    smoothing, alpha = call.number('label_smoothing', 0.0), call['alpha']
    told = [SMOOTHED.format(smoothing)] if smoothing else []
    return of_logits(cross_entropy_reading(
        call, *told, name='FocalCrossEntropyLoss', gamma=call.number('gamma', 2.0),
        alpha=call.weights('alpha', call.channels) if isinstance(alpha, (list, tuple)) else call.number('alpha', 0.25),
    ))  # fmt: skip


@row('keras', 'KLDivergence', COMMON, aliases=('kl_divergence', 'kld', 'KLD', 'kullback_leibler_divergence'), examples=(
    Example({}, MANY),
    Example({}, dict(channels=3, activation='softmax', labels='soft')),
))  # fmt: skip
def kl_divergence(call: Call) -> Reading:
    from_logits, bug = logits_taken(call)
    told = shared_sentences(call)
    soft = call.context.labels == 'soft' and not told and not bug
    return call.reading(
        'float32' if soft else 'nearest',
        'DistillationKLLoss',
        'labels and probabilities are clipped to [1e-7, 1]: one-hot labels move by about 1e-6',
        *told,
        bug=bug,
        activation='softmax',
        from_logits=from_logits,
    )


def no_overlap(names: tuple[str, ...], sentence: str) -> None:
    """A loss that is none of labels; whatever its arguments are."""
    signature = dict(delta=1.0, axis=-1, q=0.5, **COMMON)

    @row('keras', names[0], signature, aliases=names[1:], examples=(Example({}, ONE, 'none'),))
    def read(call: Call) -> Reading:
        return call.none(sentence)


DISTANCE = 'it is a distance of numbers; none of ours is one'
HINGE = 'it is a hinge of labels -1 and 1; the nearest hinge of ours, LovaszHingeLoss, sorts pixels'
for _names in (
    ('MeanSquaredError', 'mean_squared_error', 'mse', 'MSE'),
    ('MeanAbsoluteError', 'mean_absolute_error', 'mae', 'MAE'),
    ('MeanAbsolutePercentageError', 'mean_absolute_percentage_error', 'mape', 'MAPE'),
    ('MeanSquaredLogarithmicError', 'mean_squared_logarithmic_error', 'msle', 'MSLE'),
    ('Huber', 'huber'),
    ('LogCosh', 'log_cosh', 'logcosh'),
    ('Poisson', 'poisson'),
    ('CosineSimilarity', 'cosine_similarity'),
):
    no_overlap(_names, DISTANCE)
for _names in (('Hinge', 'hinge'), ('SquaredHinge', 'squared_hinge'), ('CategoricalHinge', 'categorical_hinge')):
    no_overlap(_names, HINGE)
no_overlap(('CTC', 'ctc'), 'it aligns sequences')
no_overlap(('Circle', 'circle'), 'it compares embeddings')
no_overlap(
    ('CategoricalGeneralizedCrossEntropy', 'categorical_generalized_cross_entropy'),
    'it is (1 - p^q) / q of the true class, between cross-entropy and mean absolute error; none of ours is',
)
