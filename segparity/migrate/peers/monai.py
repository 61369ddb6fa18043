"""The losses of MONAI: (B, C, *space), a ratio for each image and class, probabilities unless an activation is named."""

import dataclasses
from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import REQUIRED, Call
from segparity.migrate.peers.rows import Example, row
from segparity.migrate.peers.versions import Versions
from shared_spec import LOSSES

MANY = dict(channels=3, labels='ids')
LABELS = dict(channels=3, labels='one_hot')
ONE = dict(channels=1, labels='ids')
WEIGHTS = [0.5, 1.75, 1.0]
ACTIVATION = dict(include_background=True, to_onehot_y=False, sigmoid=False, softmax=False, other_act=None)
OVERLAP = dict(
    **ACTIVATION, squared_pred=False, jaccard=False, reduction='mean', smooth_nr=1e-5, smooth_dr=1e-5, batch=False
)
SOFT_MAX = dict(softmax=True, to_onehot_y=True)

UNACTIVATED = 'without sigmoid=True or softmax=True it takes logits for probabilities and says nothing'
SOFTMAX_OF_ONE = 'softmax=True is left out for one channel: it takes the logit for a probability'
OF_EACH = 'its focal part takes a sigmoid of each class'


def activation_of(call: Call) -> tuple[dict[str, Any], str, list[str]]:
    """(our activation and from_logits, bug, differences) of how the input becomes probabilities."""
    sigmoid, softmax = call.truth('sigmoid'), call.truth('softmax')
    if call['other_act'] is not None:
        return dict(from_logits=False, activation='sigmoid' if call.one else 'softmax'), '', [
            'other_act: apply it before the loss'
        ]  # fmt: skip
    if softmax and call.one:
        return dict(from_logits=True, activation='sigmoid'), SOFTMAX_OF_ONE, []
    if sigmoid or softmax:
        return dict(from_logits=True, activation='sigmoid' if sigmoid else 'softmax'), '', []
    output = call.context.activation
    ours = 'sigmoid' if call.one or output == 'sigmoid' else 'softmax'
    if output == 'logits':
        return dict(from_logits=True, activation=ours), UNACTIVATED, []
    return dict(from_logits=False, activation=ours), '', []


def classes_of(call: Call) -> tuple[Any, list[str]]:
    """(classes, differences) of include_background."""
    if call.truth('include_background', default=True) or call.one:
        return 'all', []
    if call.channels is None:
        return 'all', ['include_background=False needs the number of classes: classes=[1, 2, ...]']
    return list(range(1, call.channels)), []


def smooth_of(call: Call, share: float) -> tuple[float, list[str]]:
    """(smooth of ours, differences); share: of theirs in ours."""
    above, below = call.number('smooth_nr', 1e-5), call.number('smooth_dr', 1e-5)
    if above == below:
        return above * share, []
    return above * share, [f'smooth_nr {above:g} and smooth_dr {below:g} differ; ours has one smooth for both']


def reduction_sentences(call: Call) -> list[str]:
    value = getattr(call['reduction'], 'value', call['reduction'])
    return [] if value in (None, 'mean') else [f'reduction {value!r} is no mean, which ours is']


def weights_of(call: Call, classes: Any) -> tuple[list[float] | None, float]:
    """(class_weight, loss_weight) of ``weight``, which leaves the background out where the loss does."""
    if call.one:
        return None, 1.0
    value = call['weight']
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None, float(value)
    skipped = isinstance(classes, list)
    length = None if call.channels is None else call.channels - skipped
    weights = call.weights('weight', length)
    return ([1.0, *weights] if weights and skipped else weights), 1.0


def dice_reading(call: Call, weights: list[float] | str | None = 'own') -> Reading:
    """The Dice or Jaccard part of a call. weights: those of ``weight`` itself, or given by a compound."""
    act, bug, told = activation_of(call)
    classes, missing = classes_of(call)
    told += missing
    soft = 'soft_label' in call.values and call.truth('soft_label')
    squared, jaccard = call.truth('squared_pred'), call.truth('jaccard')
    smooth, unequal = smooth_of(call, 0.5)
    told += [*unequal, *reduction_sentences(call)]
    class_weight, factor = weights_of(call, classes) if weights == 'own' else (weights, 1.0)
    if soft or squared:  # its squared form is the one of norms, which is right for soft labels
        name = 'JaccardMetricLoss' if jaccard else 'DiceSemimetricLoss'
    else:
        name = 'SoftJaccardLoss' if jaccard else 'SoftDiceLoss'
    verdict: Verdict = 'nearest' if told or bug else 'float32' if squared else 'exact'
    return call.reading(
        verdict, name, *told, bug=bug, norm=2 if squared else 1, smooth=smooth,
        granularity='D' if call.truth('batch') else 'I', classes=classes, class_weight=class_weight, loss_weight=factor,
        ignore_index=call['ignore_index'] if 'ignore_index' in call.values else None, **act,
    )  # fmt: skip


@row('monai', 'DiceLoss', dict(**OVERLAP, weight=None, soft_label=False, ignore_index=None),
     aliases=('Dice',), examples=(
    Example(dict(sigmoid=True), ONE),
    Example(SOFT_MAX, MANY),
    Example(dict(**SOFT_MAX, include_background=False, batch=True), MANY),
    Example(dict(**SOFT_MAX, squared_pred=True, jaccard=True, smooth_nr=1.0, smooth_dr=1.0), MANY),
    Example(dict(**SOFT_MAX, jaccard=True, weight=WEIGHTS), MANY),
    Example(dict(**SOFT_MAX, include_background=False, weight=[0.5, 1.75]), MANY),
    Example(dict(softmax=True, soft_label=True), dict(channels=3, labels='soft')),
    Example(dict(softmax=True), dict(channels=3, labels='soft')),
    Example(dict(sigmoid=True, ignore_index=255), ONE),
    Example(dict(**SOFT_MAX, ignore_index=255), MANY),
    Example(dict(**SOFT_MAX, smooth_nr=0.0, smooth_dr=1.0), MANY),
    Example(dict(**SOFT_MAX, reduction='sum'), MANY),
    Example({}, dict(channels=3, labels='one_hot', activation='softmax')),
    Example({}, dict(channels=3, labels='one_hot', activation='logits')),
))  # fmt: skip
def dice(call: Call) -> Reading:
    return dice_reading(call)


@row(
    'monai',
    'MaskedDiceLoss',
    dict(**OVERLAP, weight=None, soft_label=False),
    examples=(Example(SOFT_MAX, MANY, 'none'),),
)
def masked_dice(call: Call) -> Reading:
    found = dice_reading(call)
    if found.spec is None:
        return found
    told = 'its call takes a mask, which multiplies prediction and label; ours takes weights of pixels'
    return dataclasses.replace(found, verdict='nearest', differences=(told, *found.differences))


TVERSKY = dict(
    **ACTIVATION, alpha=0.5, beta=0.5, reduction='mean', smooth_nr=1e-5, smooth_dr=1e-5, batch=False, soft_label=False,
    ignore_index=None,
)  # fmt: skip


@row('monai', 'TverskyLoss', TVERSKY, examples=(
    Example(dict(**SOFT_MAX, alpha=0.3, beta=0.7), MANY),
    Example(dict(**SOFT_MAX, alpha=0.3, beta=0.7, batch=True, include_background=False, ignore_index=255), MANY),
    Example(dict(sigmoid=True, alpha=0.7, beta=0.3), ONE),
    Example(dict(softmax=True, soft_label=True, alpha=0.3, beta=0.7), dict(channels=3, labels='soft')),
))  # fmt: skip
def tversky(call: Call) -> Reading:
    act, bug, told = activation_of(call)
    classes, missing = classes_of(call)
    smooth, unequal = smooth_of(call, 1.0)
    told += [*missing, *unequal, *reduction_sentences(call)]
    return call.reading(
        'nearest' if told or bug else 'exact',
        'CompatibleTverskyLoss' if call.truth('soft_label') else 'SoftTverskyLoss',
        *told, bug=bug, alpha=call.number('alpha', 0.5), beta=call.number('beta', 0.5), smooth=smooth,
        granularity='D' if call.truth('batch') else 'I', classes=classes, ignore_index=call['ignore_index'], **act,
    )  # fmt: skip


UNSCALED = (
    'its smooth is added to sums that are weighed by 1/size^2 (or 1/size), ours to sums whose weights add up to 1: '
    'with smooth_nr=smooth_dr=0 both are equal'
)


def generalized_reading(call: Call) -> Reading:
    act, bug, told = activation_of(call)
    classes, missing = classes_of(call)
    above, below = call.number('smooth_nr', 1e-5), call.number('smooth_dr', 1e-5)
    told += missing + reduction_sentences(call)
    if above or below:
        told.append(UNSCALED)
    weighting = str(getattr(call['w_type'], 'value', call['w_type'])).lower()
    return call.reading(
        'nearest' if told or bug else 'float32',  # its weights are float32
        'GeneralizedDiceLoss',
        *told, bug=bug, granularity='D' if call.truth('batch') else 'I', classes=classes, smooth=0, absent='max',
        weighting=weighting, overlap='metric' if 'soft_label' in call.values and call.truth('soft_label') else 'product',
        **act,
    )  # fmt: skip


@row('monai', 'GeneralizedDiceLoss', dict(
    **ACTIVATION, w_type='square', reduction='mean', smooth_nr=1e-5, smooth_dr=1e-5, batch=False, soft_label=False,
), aliases=('generalized_dice',), examples=(
    Example(dict(**SOFT_MAX, smooth_nr=0.0, smooth_dr=0.0), MANY),
    Example(dict(**SOFT_MAX, w_type='simple', batch=True, smooth_nr=0.0, smooth_dr=0.0), MANY),
    Example(SOFT_MAX, MANY),
))  # fmt: skip
def generalized_dice(call: Call) -> Reading:
    return generalized_reading(call)


def sum_of(call: Call, dice_part: Reading, other: dict[str, Any], factors: tuple[float, float], *told: str,
           verdict: Verdict = 'exact', bug: str = '', name: str = 'WeightedCrossEntropyLoss') -> Reading:  # fmt: skip
    """A weighted sum of the overlap part and of another loss on the same logits."""
    if dice_part.spec is None:
        return dice_part
    if getattr(dice_part.spec, 'from_logits', True) is False:
        told = ('its overlap part takes the logits for probabilities, and its other part for logits', *told)
        bug = bug or UNACTIVATED
        dice_part_spec = type(dice_part.spec).from_dict({**dice_part.spec.to_dict(), 'from_logits': True})
    else:
        dice_part_spec = dice_part.spec
    found = [dice_part_spec, LOSSES[name](**other)]
    order: list[Verdict] = ['exact', 'float32', 'nearest', 'not yet']
    verdicts: list[Verdict] = [verdict, dice_part.verdict, 'nearest' if bug else 'exact']
    worst = max(verdicts, key=order.index)
    return call.reading(
        worst, 'WeightedSumLoss', *told, *dice_part.differences, bug=bug or dice_part.bug, losses=found,
        weights=list(factors),
    )  # fmt: skip


@row('monai', 'DiceCELoss', dict(
    **OVERLAP, weight=None, lambda_dice=1.0, lambda_ce=1.0, label_smoothing=0.0,
), aliases=('dice_ce',), examples=(
    Example(SOFT_MAX, MANY),
    Example(dict(**SOFT_MAX, weight=WEIGHTS, lambda_ce=0.25, label_smoothing=0.1), MANY),
    Example(dict(softmax=True, weight=WEIGHTS), LABELS),
    Example(dict(**SOFT_MAX, include_background=False, weight=WEIGHTS), MANY),
    Example(dict(sigmoid=True), ONE),
    Example(dict(sigmoid=True, weight=[2.5]), ONE),
    Example(dict(sigmoid=True, lambda_dice=2.0), LABELS),
))  # fmt: skip
def dice_ce(call: Call) -> Reading:
    weights = call.weights('weight', None if call.one else call.channels)
    told: list[str] = []
    verdict: Verdict = 'exact'
    factor = None
    if weights and call.one:
        factor, weights = weights[0] if len(weights) == 1 else None, None
        if factor is None:
            told.append('weight of one channel is the weight of positive pixels, one number: left out')
            verdict = 'nearest'
    part = dice_reading(call, weights if not call.one else None)
    ours = dict(
        pos_weight=factor,
        class_weight=weights, label_smoothing=0.0 if call.one else call.number('label_smoothing', 0.0),
        activation='sigmoid' if call.one else 'softmax',
    )  # fmt: skip
    factors = call.number('lambda_dice', 1.0), call.number('lambda_ce', 1.0)
    return sum_of(call, part, ours, factors, *told, verdict=verdict)


def focal_part(call: Call) -> tuple[dict[str, Any], list[str], Verdict]:
    """(parameters of our focal loss, differences, verdict) of a focal loss; it computes in float32."""
    softmax = 'use_softmax' in call.values and call.truth('use_softmax') and not call.one
    told: list[str] = []
    alpha = call['alpha'] if 'alpha' in call.values else None
    weight: Any = call['weight']
    factor = 1.0
    if isinstance(weight, (int, float)) and not isinstance(weight, bool):
        weight, factor = None, call.number('weight', 1.0)
    if not call.truth('include_background', default=True) and not call.one:
        told.append('include_background=False leaves the channel of the background out, ours keeps it')
    ours: dict[str, Any] = dict(gamma=call.number('gamma', 2.0), activation='softmax' if softmax else 'sigmoid')
    if softmax:
        classes = call.channels or 1
        listed = [1.0] * classes
        if isinstance(alpha, (list, tuple)):
            listed = call.weights('alpha', classes) or listed
        elif alpha is not None:
            scalar = call.number('alpha', 0.5)
            listed = [1 - scalar] + [scalar] * (classes - 1)
        weights = call.weights('weight', classes) if weight is not None else None
        listed = [a * w for a, w in zip(listed, weights or [1.0] * classes)]
        ours |= dict(alpha=None if set(listed) == {1.0} else listed, loss_weight=factor / classes)
        call.differences += [] if call.channels else ['the number of classes does not show: divide loss_weight by it']
        return ours, told, 'nearest' if told else 'float32'
    if isinstance(alpha, (list, tuple)):
        told.append('a list of alpha weighs positives alone, ours negatives by 1 - alpha: left out')
    if weight is not None:
        told.append('weight, a factor on positives and negatives of a class, has no counterpart: left out')
    number = None if alpha is None or isinstance(alpha, (list, tuple)) else call.number('alpha', 0.5)
    return {**ours, 'alpha': number, 'loss_weight': factor}, told, 'nearest' if told else 'float32'


@row('monai', 'DiceFocalLoss', dict(
    **OVERLAP, gamma=2.0, weight=None, lambda_dice=1.0, lambda_focal=1.0, alpha=None,
), aliases=('dice_focal',), examples=(
    Example(SOFT_MAX, MANY),
    Example(dict(sigmoid=True, gamma=5.0, alpha=0.25, lambda_focal=0.5), ONE),
))  # fmt: skip
def dice_focal(call: Call) -> Reading:
    factors = call.number('lambda_dice', 1.0), call.number('lambda_focal', 1.0)
    ours, told, verdict = focal_part(call)
    return sum_of(
        call, dice_reading(call), ours, factors, *told, OF_EACH, verdict=verdict, name='FocalCrossEntropyLoss'
    )


@row('monai', 'GeneralizedDiceFocalLoss', dict(
    **ACTIVATION, w_type='square', reduction='mean', smooth_nr=1e-5, smooth_dr=1e-5, batch=False, gamma=2.0, weight=None,
    lambda_gdl=1.0, lambda_focal=1.0,
), aliases=('generalized_dice_focal',), examples=(
    Example(SOFT_MAX, MANY),
))  # fmt: skip
def generalized_dice_focal(call: Call) -> Reading:
    factors = call.number('lambda_gdl', 1.0), call.number('lambda_focal', 1.0)
    ours, told, verdict = focal_part(call)
    return sum_of(
        call, generalized_reading(call), ours, factors, *told, OF_EACH, verdict=verdict, name='FocalCrossEntropyLoss'
    )


WASSERSTEIN = dict(dist_matrix=REQUIRED, weighting_mode='default', reduction='mean', smooth_nr=1e-5, smooth_dr=1e-5)
DISTANCES = [[0.0, 1.0, 0.5], [1.0, 0.0, 0.75], [0.5, 0.75, 0.0]]


def wasserstein_reading(call: Call, *told: str, bug: str = '') -> Reading:
    smooth, unequal = smooth_of(call, 1.0)
    told = (*told, *unequal, *reduction_sentences(call))
    matrix, mode = call['dist_matrix'], str(call['weighting_mode']).lower()
    if not isinstance(matrix, (list, tuple)):
        return call.none('its dist_matrix does not show: give distance_matrix of GeneralizedWassersteinDiceLoss')
    return call.reading(
        'nearest' if told or bug else 'float32' if mode == 'gdl' else 'exact', 'GeneralizedWassersteinDiceLoss', *told, bug=bug,
        distance_matrix=[list(line) for line in matrix], weighting='gdl' if mode == 'gdl' else 'default', smooth=smooth,
    )  # fmt: skip


@row('monai', 'GeneralizedWassersteinDiceLoss', WASSERSTEIN, versions=Versions('up to 1.5', before='1.6'),
     aliases=('generalized_wasserstein_dice',), examples=(
    Example(dict(dist_matrix=DISTANCES), MANY, 'none'),
))  # fmt: skip
def wasserstein_up_to_1_5(call: Call) -> Reading:
    return wasserstein_reading(
        call, bug='it adds up pairs of images where a batch has more than one; equal for one image'
    )


@row('monai', 'GeneralizedWassersteinDiceLoss', WASSERSTEIN, versions=Versions('from 1.6', since='1.6'),
     aliases=('generalized_wasserstein_dice',), examples=(
    Example(dict(dist_matrix=DISTANCES), MANY),
    Example(dict(dist_matrix=DISTANCES, weighting_mode='GDL', smooth_nr=1.0, smooth_dr=1.0), MANY),
))  # fmt: skip
def wasserstein_from_1_6(call: Call) -> Reading:
    return wasserstein_reading(call)


@row('monai', 'FocalLoss', dict(
    include_background=True, to_onehot_y=False, gamma=2.0, alpha=None, weight=None, reduction='mean', use_softmax=False,
    ignore_index=None,
), examples=(
    Example(dict(to_onehot_y=True), MANY),
    Example(dict(to_onehot_y=True, use_softmax=True), MANY),
    Example(dict(to_onehot_y=True, use_softmax=True, gamma=5.0, alpha=0.25, weight=WEIGHTS), MANY),
    Example(dict(to_onehot_y=True, use_softmax=True, alpha=WEIGHTS, ignore_index=255), MANY),
    Example(dict(to_onehot_y=True, alpha=0.25, ignore_index=255), MANY),
    Example(dict(to_onehot_y=True, weight=WEIGHTS), MANY),
    Example(dict(to_onehot_y=True, include_background=False), MANY),
    Example({}, ONE),
    Example(dict(gamma=0.5, alpha=0.25), ONE),
))  # fmt: skip
def focal(call: Call) -> Reading:
    ours, told, verdict = focal_part(call)
    told += reduction_sentences(call)
    label, bug = call['ignore_index'], ''
    if label is not None and not call.one:
        bug = 'with ignore_index it divides by pixels, without it by pixels and classes: as many times larger (1.6.1)'
        ours['loss_weight'] *= call.channels or 1
    return call.reading(
        'nearest' if told else verdict, 'FocalCrossEntropyLoss', *told, bug=bug, ignore_index=label, **ours
    )


@row('monai', 'AsymmetricUnifiedFocalLoss', dict(
    to_onehot_y=False, num_classes=2, weight=0.5, gamma=0.5, delta=0.7, reduction='mean', ignore_index=None,
), examples=(
    Example(dict(to_onehot_y=True), dict(channels=2, activation='softmax', labels='ids')),
    Example(dict(to_onehot_y=True, weight=0.25, gamma=0.25, delta=0.6), dict(channels=2, activation='softmax', labels='ids')),
))  # fmt: skip
def unified_focal(call: Call) -> Reading:
    if call.channels not in (None, 2):
        return call.none(f'it takes two classes, and there are {call.channels}')
    logits = call.context.activation == 'logits'
    told = reduction_sentences(call)
    bug = 'it takes logits for probabilities, though its documentation speaks of a sigmoid' if logits else ''
    weight = call.number('weight', 0.5)
    whole = 1 - weight / 2  # its cross-entropy is a mean over both classes, ours a sum: half the share, and a factor
    return call.reading(
        'nearest' if told or bug else 'exact', 'UnifiedFocalLoss', *told, bug=bug, loss_weight=whole,
        weight=weight / 2 / whole, gamma=call.number('gamma', 0.5), delta=call.number('delta', 0.7), asymmetric=True,
        from_logits=logits, ignore_index=call['ignore_index'],
    )  # fmt: skip


def nothing(name: str, sentence: str) -> None:
    @row('monai', name, {}, examples=(Example({}, MANY, 'none'),))
    def read(call: Call) -> Reading:
        return call.none(sentence)


HAUSDORFF = dict(
    alpha=2.0, include_background=False, to_onehot_y=False, sigmoid=False, softmax=False, other_act=None,
    reduction='mean', batch=False,
)  # fmt: skip


def distances_reading(call: Call, name: str, *told: str, **params: Any) -> Reading:
    act, bug, differences = activation_of(call)
    classes, missing = classes_of(call)
    told = (*told, *differences, *missing, *reduction_sentences(call))
    return call.reading('nearest' if told or bug else 'float32', name, *told, bug=bug, classes=classes, **params, **act)


@row('monai', 'HausdorffDTLoss', HAUSDORFF, examples=(
    Example(SOFT_MAX, MANY),
    Example(dict(**SOFT_MAX, alpha=1.5, include_background=True, batch=True), MANY),
    Example(dict(sigmoid=True), ONE),
))  # fmt: skip
def hausdorff(call: Call) -> Reading:
    return distances_reading(call, 'HausdorffDistanceLoss', alpha=call.number('alpha', 2.0))


@row('monai', 'LogHausdorffDTLoss', HAUSDORFF, examples=(Example(SOFT_MAX, MANY, 'none'),))
def log_hausdorff(call: Call) -> Reading:
    told = 'it is log(1 + loss) of each image and class, ours the loss'
    return distances_reading(call, 'HausdorffDistanceLoss', told, alpha=call.number('alpha', 2.0))


@row('monai', 'BoundaryLoss', ACTIVATION | dict(reduction='mean', batch=False), examples=(
    Example(SOFT_MAX, MANY),
    Example(dict(**SOFT_MAX, include_background=False, batch=True), MANY),
    Example(dict(sigmoid=True), ONE),
))  # fmt: skip
def boundary(call: Call) -> Reading:
    return distances_reading(call, 'SurfaceLoss')


CLDICE = dict(smooth_nr=1.0, smooth_dr=1.0, smooth=1e-4, **ACTIVATION, reduction='mean')
CLDICE_EXAMPLES = (
    Example(dict(sigmoid=True), ONE),
    Example(dict(sigmoid=True, iter_=10, smooth=1e-14, smooth_nr=0.5, smooth_dr=0.5), ONE),
    Example(dict(sigmoid=True, smooth=1e-9), ONE),
    Example(SOFT_MAX, MANY),
)


def centerline_part(call: Call) -> tuple[dict[str, Any], str, list[str], Verdict]:
    """(parameters of our CenterlineDiceLoss that is clDice alone, bug, differences, verdict where there are none)."""
    act, bug, told = activation_of(call)
    classes, missing = classes_of(call)
    smooth, unequal = smooth_of(call, 1.0)
    below = call.number('smooth', 1e-4)
    told += [*missing, *unequal, *reduction_sentences(call)]
    if not call.one:
        told.append('its clDice adds up all channels of an image before the ratios, ours averages that of each class')
    if below > 1e-7:
        told.append(f'smooth {below:g} stands below its harmonic mean as well, ours has none there')
    ours = dict(
        iterations=int(call.number('iter_', 3)), alpha=1, smooth=smooth, granularity='I', classes=classes, **act
    )
    return ours, bug, told, 'exact' if below <= 1e-13 else 'float32'


@row('monai', 'SoftclDiceLoss', dict(iter_=3, **CLDICE), examples=CLDICE_EXAMPLES)
def centerline_dice(call: Call) -> Reading:
    ours, bug, told, verdict = centerline_part(call)
    return call.reading('nearest' if told or bug else verdict, 'CenterlineDiceLoss', *told, bug=bug, **ours)


@row('monai', 'SoftDiceclDiceLoss', dict(iter_=3, alpha=0.5, **CLDICE), examples=CLDICE_EXAMPLES)
def dice_and_centerline_dice(call: Call) -> Reading:
    ours, bug, told, verdict = centerline_part(call)
    alpha = call.number('alpha', 0.5)
    shared = {name: value for name, value in ours.items() if name not in ('iterations', 'alpha', 'smooth')}
    parts = [
        LOSSES['SoftDiceLoss'](**shared, smooth=ours['smooth'] / 2),
        LOSSES['CenterlineDiceLoss'](**ours),
    ]
    return call.reading(
        'nearest' if told or bug else verdict,
        'WeightedSumLoss',
        *told,
        bug=bug,
        losses=parts,
        weights=[1 - alpha, alpha],
    )


nothing('MCCLoss', 'it is a loss of the correlation coefficient of Matthews; none of ours is')
nothing('NACLLoss', 'its penalty compares logits with the labels of neighbours; none of ours does')
nothing('DeepSupervisionLoss', 'it weighs the losses of several outputs: give each output its loss and its weight')
nothing('MultiScaleLoss', 'it smooths both maps at several scales before another loss')
nothing('MaskedLoss', 'it multiplies prediction and label by a mask before another loss; ours takes weights of pixels')
for _name in ('ContrastiveLoss', 'BarlowTwinsLoss', 'PerceptualLoss', 'SSIMLoss', 'PatchAdversarialLoss', 'AUCMLoss'):
    nothing(_name, 'it is no loss of label maps')
