"""The way back through the table of peers: which items of a library may come nearest to a spec of ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from segparity.migrate.items import Context, Item
from segparity.migrate.peers import migrate_item
from segparity.migrate.running import installed_version
from shared_spec.spec import Spec

CHANNELS = 3  # of the probes, where nothing in the spec says another number
Found = tuple[str, dict[str, Any], dict[str, Any]]  # the peer's name, its arguments, facts of the context


def candidates(spec: Spec, library: str) -> Iterator[Found]:
    """What may be nearest: (name, arguments, facts of the context)."""
    kind = type(spec).__name__
    for kinds, function in TRANSLATIONS[library].items():
        if kind in kinds:
            yield from function(spec)


def facts_of(spec: Any, labels: str = 'ids', activation: str | None = None) -> dict[str, Any]:
    """Channels, ignored label and labels of the probes."""
    weights = getattr(spec, 'class_weight', None)
    channels = (
        1 if getattr(spec, 'channels', ()) == ('one',) else len(weights) if isinstance(weights, tuple) else CHANNELS
    )
    matrix = getattr(spec, 'distance_matrix', None)
    channels = len(matrix) if matrix else channels
    found = dict(channels=channels, labels=labels, ignore_index=spec.ignore_index if labels == 'ids' else None)
    return found if activation is None else {**found, 'activation': activation}


def weights_of(spec: Any) -> list[float] | None:
    """Class weights that multiply, with a mean of 1 where ours are normalised: the same if all classes count."""
    weights = spec.class_weight
    if not isinstance(weights, tuple):
        return None
    if getattr(spec, 'normalize_class_weight', False):
        return [w * len(weights) / sum(weights) for w in weights]
    return list(weights)


def sigmoid(spec: Any) -> bool:
    return bool(spec.activation == 'sigmoid' or facts_of(spec)['channels'] == 1)


def per_image(spec: Any) -> bool:
    """Whether the larger share of the granularity is that of images."""
    shares = {spec.granularity: 1.0} if isinstance(spec.granularity, str) else dict(spec.granularity)
    return 2 * shares.get('D', 0.0) < sum(shares.values())


def overlap_of(spec: Any) -> tuple[float, float]:
    """(weight of false positives, of false negatives)."""
    kind = type(spec).__name__
    if 'Jaccard' in kind:
        return 1.0, 1.0
    return getattr(spec, 'alpha', 0.5), getattr(spec, 'beta', 0.5)


# MMSegmentation


def mmseg_cross_entropy(spec: Any) -> Iterator[Found]:
    arguments = dict(use_sigmoid=sigmoid(spec), avg_non_ignore=True, loss_weight=spec.loss_weight)
    weights = weights_of(spec)
    if weights and not sigmoid(spec):
        arguments['class_weight'] = weights
    yield 'CrossEntropyLoss', arguments, facts_of(spec)


def mmseg_focal(spec: Any) -> Iterator[Found]:
    alpha = list(spec.alpha) if isinstance(spec.alpha, tuple) else spec.alpha
    factor = 2.0 if alpha is None else 1.0  # of alpha 0.5, which weighs both sides alike
    arguments = dict(gamma=spec.gamma, alpha=0.5 if alpha is None else alpha, loss_weight=factor * spec.loss_weight)
    yield 'FocalLoss', arguments, facts_of(spec, 'one_hot')


def mmseg_ohem(spec: Any) -> Iterator[Found]:
    arguments = dict(thres=spec.thresh, min_kept=max(0, spec.min_kept - 1), loss_weight=spec.loss_weight)
    arguments |= without_none(class_weight=weights_of(spec), ignore_label=spec.ignore_index)
    if not sigmoid(spec):
        yield 'OhemCrossEntropy', arguments, facts_of(spec)


def mmseg_dice(spec: Any) -> Iterator[Found]:
    naive = getattr(spec, 'norm', 1) == 1
    arguments = dict(use_sigmoid=sigmoid(spec), naive_dice=naive, eps=2 * spec.smooth, loss_weight=spec.loss_weight)
    yield 'DiceLoss', arguments, facts_of(spec)
    if not sigmoid(spec):
        yield from mmseg_tversky(spec)


def mmseg_tversky(spec: Any) -> Iterator[Found]:
    alpha, beta = overlap_of(spec)
    if sigmoid(spec) or alpha + beta == 0:
        return
    share = alpha / (alpha + beta)
    arguments = dict(alpha=share, beta=1 - share, smooth=spec.smooth, loss_weight=spec.loss_weight,
                     ignore_index=255 if spec.ignore_index is None else spec.ignore_index)  # fmt: skip
    if arguments['alpha'] + arguments['beta'] == 1:
        yield 'TverskyLoss', {**arguments, **without_none(class_weight=weights_of(spec))}, facts_of(spec)


def mmseg_lovasz(spec: Any) -> Iterator[Found]:
    hinge, images = type(spec).__name__ == 'LovaszHingeLoss', getattr(spec, 'per_image', False)
    arguments = dict(loss_type='binary' if hinge else 'multi_class', per_image=images,
                     reduction='mean' if images else 'none', loss_weight=spec.loss_weight)  # fmt: skip
    if not hinge:
        arguments['classes'] = 'present' if spec.classes == 'auto' else 'all' if spec.classes == 'all' else spec.classes
        arguments['classes'] = list(arguments['classes']) if isinstance(spec.classes, tuple) else arguments['classes']
        arguments |= without_none(class_weight=weights_of(spec))
    yield 'LovaszLoss', arguments, facts_of(spec)


def mmseg_jaccard(spec: Any) -> Iterator[Found]:
    if not sigmoid(spec):
        yield 'LovaszLoss', dict(reduction='none', loss_weight=spec.loss_weight), facts_of(spec)
        yield from mmseg_tversky(spec)


def without_none(**arguments: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def mmseg_metric(spec: Any) -> Iterator[Found]:
    names = [name for name in ('mIoU', 'mDice', 'mFscore') if name in spec.metrics]
    if 'D' in spec.levels and names:
        yield (
            'IoUMetric',
            dict(ignore_index=spec.ignore_index or 255, iou_metrics=names),
            dict(num_classes=spec.num_classes),
        )


# Keras


def keras_cross_entropy(spec: Any) -> Iterator[Found]:
    smoothing, logits = spec.label_smoothing, spec.from_logits
    output = 'logits' if logits else 'sigmoid' if sigmoid(spec) else 'softmax'
    shared = dict(from_logits=logits, **({'label_smoothing': smoothing} if smoothing else {}))
    if sigmoid(spec):
        yield 'BinaryCrossentropy', shared, facts_of(spec, 'one_hot', output)
    elif smoothing:
        yield 'CategoricalCrossentropy', shared, facts_of(spec, 'one_hot', output)
    else:
        arguments = dict(from_logits=logits, **without_none(ignore_class=spec.ignore_index))
        yield 'SparseCategoricalCrossentropy', arguments, facts_of(spec, 'ids', output)


def keras_focal(spec: Any) -> Iterator[Found]:
    shared = dict(gamma=spec.gamma, from_logits=spec.from_logits)
    output = 'logits' if spec.from_logits else 'sigmoid' if sigmoid(spec) else 'softmax'
    if sigmoid(spec):
        balance = {} if not isinstance(spec.alpha, float) else dict(apply_class_balancing=True, alpha=spec.alpha)
        yield 'BinaryFocalCrossentropy', {**shared, **balance}, facts_of(spec, 'one_hot', output)
    else:
        alpha = list(spec.alpha) if isinstance(spec.alpha, tuple) else 1.0 if spec.alpha is None else spec.alpha
        yield 'CategoricalFocalCrossentropy', {**shared, 'alpha': alpha}, facts_of(spec, 'one_hot', output)


def keras_overlap(spec: Any) -> Iterator[Found]:
    alpha, beta = overlap_of(spec)
    axis = [1, 2] if per_image(spec) else [0, 1, 2]
    facts = facts_of(spec, 'one_hot', 'sigmoid' if sigmoid(spec) else 'softmax')
    if (alpha, beta) == (0.5, 0.5):
        yield 'Dice', dict(axis=axis), facts
    else:
        probe = migrate_item(
            Item('keras', 'Tversky', dict(alpha=1.0, beta=0.0, axis=axis)),
            Context('keras', installed_version('keras'), channels=1),
        )
        swapped = getattr(probe.readings[0].spec, 'alpha', 1.0) == 0
        first, second = (beta, alpha) if swapped else (alpha, beta)
        yield 'Tversky', dict(alpha=first, beta=second, axis=axis), facts


def keras_metric(spec: Any) -> Iterator[Found]:
    if 'D' in spec.levels and 'mIoU' in spec.metrics:
        arguments = dict(
            num_classes=spec.num_classes, sparse_y_pred=False, **without_none(ignore_class=spec.ignore_index)
        )
        facts = dict(num_classes=spec.num_classes, channels=spec.num_classes, activation='softmax')
        yield 'MeanIoU', arguments, facts


# MONAI and segmentation_models_pytorch


def monai_activation(spec: Any) -> dict[str, Any]:
    one = facts_of(spec)['channels'] == 1
    if not spec.from_logits:
        return {} if one else dict(to_onehot_y=True)
    return dict(sigmoid=True) if one else dict(to_onehot_y=True, **{'sigmoid' if sigmoid(spec) else 'softmax': True})


def monai_background(spec: Any) -> dict[str, Any]:
    channels = facts_of(spec)['channels']
    return dict(include_background=False) if spec.classes == tuple(range(1, channels)) else {}


def monai_dice(spec: Any) -> Iterator[Found]:
    arguments = monai_activation(spec) | monai_background(spec)
    arguments |= dict(batch=not per_image(spec), smooth_nr=2 * spec.smooth, smooth_dr=2 * spec.smooth)
    arguments |= without_none(
        ignore_index=spec.ignore_index, squared_pred=True if getattr(spec, 'norm', 1) == 2 else None
    )
    arguments |= without_none(jaccard=True if 'Jaccard' in type(spec).__name__ else None)
    weights = weights_of(spec)
    arguments |= without_none(weight=weights[1:] if weights and 'include_background' in arguments else weights)
    yield 'DiceLoss', arguments, facts_of(spec)


def monai_tversky(spec: Any) -> Iterator[Found]:
    alpha, beta = overlap_of(spec)
    arguments = monai_activation(spec) | monai_background(spec) | without_none(ignore_index=spec.ignore_index)
    arguments |= dict(alpha=alpha, beta=beta, batch=not per_image(spec), smooth_nr=spec.smooth, smooth_dr=spec.smooth)
    yield 'TverskyLoss', arguments, facts_of(spec)


def monai_generalized(spec: Any) -> Iterator[Found]:
    arguments = monai_activation(spec) | monai_background(spec)
    arguments |= dict(batch=not per_image(spec), w_type=spec.weighting, smooth_nr=spec.smooth, smooth_dr=spec.smooth)
    yield 'GeneralizedDiceLoss', arguments, facts_of(spec)


def monai_wasserstein(spec: Any) -> Iterator[Found]:
    facts = facts_of(spec)
    matrix = spec.distance_matrix or [
        [float(i != k) for k in range(facts['channels'])] for i in range(facts['channels'])
    ]
    arguments = dict(dist_matrix=[list(line) for line in matrix], weighting_mode=spec.weighting,
                     smooth_nr=spec.smooth, smooth_dr=spec.smooth)  # fmt: skip
    arguments['weighting_mode'] = 'GDL' if spec.weighting == 'gdl' else 'default'
    yield 'GeneralizedWassersteinDiceLoss', arguments, facts


def monai_sum(spec: Any) -> Iterator[Found]:
    kinds = [type(part).__name__ for part in spec.parts]
    dice = [
        k
        for k, kind in enumerate(kinds)
        if kind in ('SoftDiceLoss', 'SoftJaccardLoss', 'DiceSemimetricLoss', 'JaccardMetricLoss')
    ]
    entropy = [k for k, kind in enumerate(kinds) if kind == 'WeightedCrossEntropyLoss']
    if len(kinds) == 2 and len(dice) == len(entropy) == 1:
        part: Any = spec.parts[dice[0]]
        other: Any = spec.parts[entropy[0]]
        for _, arguments, facts in monai_dice(part):
            left = {k: v for k, v in arguments.items() if k not in ('ignore_index', 'weight')}
            factors = dict(
                lambda_dice=spec.loss_weight * spec.shares[dice[0]] * part.loss_weight,
                lambda_ce=spec.loss_weight * spec.shares[entropy[0]] * other.loss_weight,
            )
            smoothing = {'label_smoothing': other.label_smoothing} if other.label_smoothing else {}
            yield 'DiceCELoss', {**left, **factors, **smoothing, **without_none(weight=weights_of(other))}, facts


def monai_focal(spec: Any) -> Iterator[Found]:
    one, of_classes = facts_of(spec)['channels'] == 1, not sigmoid(spec)
    arguments = dict(gamma=spec.gamma, use_softmax=of_classes, **({} if one else dict(to_onehot_y=True)))
    arguments |= without_none(ignore_index=spec.ignore_index)
    if of_classes and isinstance(spec.alpha, tuple):
        arguments['alpha'] = list(spec.alpha)
    elif not of_classes and isinstance(spec.alpha, float):
        arguments['alpha'] = spec.alpha
    yield 'FocalLoss', arguments, facts_of(spec)


def monai_metric(spec: Any) -> Iterator[Found]:
    facts = dict(num_classes=spec.num_classes)
    level = 'I' if 'I' in spec.levels else 'C' if 'C' in spec.levels else ''
    reduction = {} if level == 'I' else dict(reduction='mean_batch')
    arguments = {
        **reduction,
        **without_none(ignore_index=spec.ignore_index),
        **(dict(include_background=False) if spec.binary else {}),
    }
    if level and 'mDice' in spec.metrics:
        yield 'DiceMetric', arguments, facts
    elif level and 'mIoU' in spec.metrics:
        yield 'MeanIoU', arguments, facts


def smp_mode(spec: Any) -> dict[str, Any]:
    facts = facts_of(spec)
    return dict(mode='binary' if facts['channels'] == 1 else 'multilabel' if sigmoid(spec) else 'multiclass')


def smp_overlap(spec: Any) -> Iterator[Found]:
    kind = type(spec).__name__
    mode = smp_mode(spec)
    labels = 'one_hot' if mode['mode'] == 'multilabel' else 'ids'
    arguments = dict(mode, smooth=spec.smooth, from_logits=spec.from_logits)
    if labels == 'ids':
        arguments |= without_none(ignore_index=spec.ignore_index)
    if mode['mode'] != 'binary':
        chosen = list(spec.classes) if isinstance(spec.classes, tuple) else None
        arguments |= without_none(class_weights=weights_of(spec), classes=chosen)
    facts = facts_of(spec, labels)
    if 'Jaccard' in kind or 'Dice' in kind:
        log = dict(log_loss=True) if getattr(spec, 'log_loss', False) else {}
        yield 'JaccardLoss' if 'Jaccard' in kind else 'DiceLoss', {**arguments, **log}, facts
        return
    alpha, beta = overlap_of(spec)
    gamma = 1 / spec.gamma if kind == 'FocalTverskyLoss' else getattr(spec, 'gamma', 1.0)
    yield 'TverskyLoss', {**arguments, 'alpha': alpha, 'beta': beta, 'gamma': gamma}, facts


def smp_cross_entropy(spec: Any) -> Iterator[Found]:
    if sigmoid(spec):
        arguments = {'ignore_index': None} | without_none(smooth_factor=spec.label_smoothing / 2 or None)
        yield 'SoftBCEWithLogitsLoss', arguments, facts_of(spec, 'one_hot')
    else:
        yield (
            'SoftCrossEntropyLoss',
            dict(smooth_factor=spec.label_smoothing, ignore_index=spec.ignore_index),
            facts_of(spec),
        )


def smp_focal(spec: Any) -> Iterator[Found]:
    mode = smp_mode(spec)
    labels = 'one_hot' if mode['mode'] == 'multilabel' else 'ids'
    arguments = dict(mode, gamma=spec.gamma, from_logits=spec.from_logits)
    arguments |= without_none(alpha=spec.alpha if isinstance(spec.alpha, float) else None)
    arguments |= without_none(ignore_index=spec.ignore_index if labels == 'ids' else None)
    yield 'FocalLoss', arguments, facts_of(spec, labels)


def smp_lovasz(spec: Any) -> Iterator[Found]:
    hinge = type(spec).__name__ == 'LovaszHingeLoss'
    if hinge or not sigmoid(spec):
        arguments = dict(
            mode='binary' if hinge else 'multiclass',
            per_image=spec.per_image,
            **without_none(ignore_index=spec.ignore_index),
        )
        yield 'LovaszLoss', arguments, facts_of(spec)


JACCARD = ('SoftJaccardLoss', 'JaccardMetricLoss')
DICE = ('SoftDiceLoss', 'DiceSemimetricLoss', 'LogCoshDiceLoss')
TVERSKY = ('SoftTverskyLoss', 'CompatibleTverskyLoss', 'FocalTverskyLoss')
LOVASZ = ('LovaszSoftmaxLoss', 'LovaszHingeLoss')
ENTROPY = ('WeightedCrossEntropyLoss',)
FOCAL = ('FocalCrossEntropyLoss',)
Translate = Callable[[Any], Iterable[Found]]
TRANSLATIONS: dict[str, Mapping[tuple[str, ...], Translate]] = {
    'mmseg': {
        ENTROPY: mmseg_cross_entropy,
        FOCAL: mmseg_focal,
        ('OhemCrossEntropyLoss',): mmseg_ohem,
        DICE: mmseg_dice,
        JACCARD: mmseg_jaccard,
        TVERSKY: mmseg_tversky,
        LOVASZ: mmseg_lovasz,
        ('FineGrained',): mmseg_metric,
    },
    'keras': {
        ENTROPY: keras_cross_entropy,
        FOCAL: keras_focal,
        DICE: keras_overlap,
        JACCARD: keras_overlap,
        TVERSKY: keras_overlap,
        ('FineGrained',): keras_metric,
    },
    'monai': {
        DICE: monai_dice,
        JACCARD: monai_dice,
        TVERSKY: monai_tversky,
        FOCAL: monai_focal,
        ('GeneralizedDiceLoss',): monai_generalized,
        ('GeneralizedWassersteinDiceLoss',): monai_wasserstein,
        ('WeightedSumLoss',): monai_sum,
        ('FineGrained',): monai_metric,
    },
    'smp': {
        ENTROPY: smp_cross_entropy,
        FOCAL: smp_focal,
        DICE: smp_overlap,
        JACCARD: smp_overlap,
        TVERSKY: smp_overlap,
        LOVASZ: smp_lovasz,
    },
}
