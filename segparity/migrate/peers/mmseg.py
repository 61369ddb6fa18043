"""The losses of MMSegmentation. Heads hand ``ignore_index`` to them, 255 where none is named."""

from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.rows import Example, row
from segparity.migrate.peers.versions import Versions

IGNORED = 255
WEIGHTS = [0.5, 1.75, 1.0]
HEAD = dict(ignore_index=255, channels=3)
ONE = dict(ignore_index=255, channels=1, num_classes=2)

SUMMED = 'reduction {!r} is no mean: ours is the mean, smaller by the number of pixels (or images) that is summed over'
SOFTMAX_OF_ONE = 'a softmax of one channel is 1 everywhere: the loss is constant and trains nothing'
ALL_PIXELS = (
    'it divides by all pixels, ignored ones too, ours by those that count: smaller by the share of ignored pixels'
)
MIXED = 'of a soft label it takes one power of the expected 1 - p, ours a power of each side: equal for hard labels'
EMPTY_IMAGE = 'an image without a valid pixel counts as a loss of 0, ours leaves it out of the mean'

OLD_CE = Versions('up to 1.1.1', before='1.2')
NEW_CE = Versions('1.2.2', since='1.2.2')
OLD_DICE = Versions('up to 1.0', before='1.1')
NEW_DICE = Versions('from 1.1', since='1.1')


def ignored_label(call: Call) -> int:
    """The label that the head ignores."""
    return IGNORED if call.context.ignore_index is None else call.context.ignore_index


def told_label(call: Call, own: int | None, told: list[str]) -> int | None:
    """The label that ours ignores for a loss with one of its own: the head's, with a sentence where that is another."""
    head = call.context.ignore_index
    if head is None or own == head:
        return own
    told.append(
        f'it ignores {own!r}, its own ignore_index, and not the label {head} that its head hands over: pixels with label '
        f'{head} count in it, ours leaves them out'
    )
    return head


def is_class(call: Call, label: int | None) -> bool:
    """Whether an ignored label is the id of a class; taken for none where the number of classes does not show."""
    classes = call.channels if not call.one else 2
    return label is not None and classes is not None and 0 <= label < classes


def reduction_sentences(call: Call, *means: str) -> list[str]:
    """A sentence where the reduction is not one of ``means``."""
    value = call['reduction']
    return [] if value in (None, 'mean', *means) else [SUMMED.format(value)]


CROSS_ENTROPY = dict(
    use_sigmoid=False,
    use_mask=False,
    reduction='mean',
    class_weight=None,
    loss_weight=1.0,
    loss_name='loss_ce',
    avg_non_ignore=False,
)


def cross_entropy(call: Call, joins: bool) -> Reading:
    """joins: whether class weights join the denominator, as from 1.2 on."""
    if call.truth('use_mask'):
        return call.none(
            'use_mask=True compares masks of matched objects, which is no loss on the pixels of a label map'
        )
    if call.one and not call.truth('use_sigmoid'):
        return call.none(f'{SOFTMAX_OF_ONE}; use_sigmoid=True was meant', bug='one channel goes through a softmax')
    if call.truth('use_sigmoid'):
        return binary_cross_entropy(call)
    weights = call.weights('class_weight', call.channels)
    label, valid_alone = ignored_label(call), call.truth('avg_non_ignore')
    told, bug = reduction_sentences(call), ''
    divisor = 'valid' if valid_alone else 'all'
    if weights is not None and joins:
        divisor = 'valid'
        if not is_class(call, label):
            bug = f'with class_weight a label of {label} raises IndexError: the weights of ignored pixels are looked up'
        elif not valid_alone:
            told.append('the weights of ignored pixels join its denominator, in ours they do not')
    elif weights is not None and valid_alone:
        divisor = 'pixels'
    return call.reading(
        'nearest' if told else 'exact' if weights is not None and not joins else 'float32',
        'WeightedCrossEntropyLoss',
        *told,
        bug=bug,
        loss_weight=call.number('loss_weight', 1.0),
        ignore_index=label,
        class_weight=weights,
        divisor=divisor,
    )


def binary_cross_entropy(call: Call) -> Reading:
    told = reduction_sentences(call)
    weights, factor = call['class_weight'], None
    if weights is not None and call.one and isinstance(weights, (list, tuple)) and len(weights) == 1:
        factor = call.weights('class_weight')
    elif weights is not None:
        told.append(
            'class_weight becomes pos_weight, which PyTorch lines up with the last axis of the picture: it raises, or '
            'weighs columns of pixels; ours is left without weights'
        )
    return call.reading(
        'nearest' if told else 'float32',
        'WeightedCrossEntropyLoss',
        *told,
        activation='sigmoid',
        loss_weight=call.number('loss_weight', 1.0),
        ignore_index=ignored_label(call),
        pos_weight=factor,
        divisor='valid' if call.truth('avg_non_ignore') else 'all',
    )


CE_EXAMPLES = (
    Example(dict(avg_non_ignore=True), HEAD),
    Example(dict(avg_non_ignore=True, loss_weight=0.4), HEAD),
    Example({}, HEAD),
    Example(dict(use_sigmoid=True), ONE),
    Example(dict(use_sigmoid=True, avg_non_ignore=True), ONE),
    Example(dict(use_sigmoid=True, avg_non_ignore=True), HEAD),
    Example(dict(use_sigmoid=True, avg_non_ignore=True, class_weight=[3.0]), ONE),
    Example(dict(use_sigmoid=True, class_weight=[3.0], loss_weight=0.5), ONE),
    Example(dict(use_sigmoid=True), HEAD),
    Example(dict(reduction='sum', avg_non_ignore=True), HEAD),
    Example({}, ONE, 'none'),
)


@row('mmseg', 'CrossEntropyLoss', CROSS_ENTROPY, versions=OLD_CE, examples=(
    Example(dict(class_weight=WEIGHTS), HEAD, 'formula'),
    Example(dict(class_weight=WEIGHTS, avg_non_ignore=True), HEAD, 'formula'),
))  # fmt: skip
def cross_entropy_up_to_1_1(call: Call) -> Reading:
    return cross_entropy(call, joins=False)


@row('mmseg', 'CrossEntropyLoss', CROSS_ENTROPY, versions=NEW_CE, examples=(
    *CE_EXAMPLES,
    Example(dict(class_weight=WEIGHTS), HEAD),
    Example(dict(class_weight=WEIGHTS, avg_non_ignore=True), dict(ignore_index=2, channels=3)),
    Example(dict(class_weight=WEIGHTS), dict(ignore_index=2, channels=3)),
))  # fmt: skip
def cross_entropy_from_1_2(call: Call) -> Reading:
    return cross_entropy(call, joins=True)


@row('mmseg', 'DiceLoss', dict(
    smooth=1, exponent=2, reduction='mean', class_weight=None, loss_weight=1.0, ignore_index=255, loss_name='loss_dice',
), versions=OLD_DICE, examples=(
    Example({}, HEAD, 'formula'),
    Example(dict(exponent=1, smooth=2, class_weight=WEIGHTS), HEAD, 'formula'),
))  # fmt: skip
def dice_up_to_1_0(call: Call) -> Reading:
    if call.one:
        return call.none(SOFTMAX_OF_ONE, bug='one channel goes through a softmax')
    told, label, norm = reduction_sentences(call), call['ignore_index'], call.number('exponent', 2)
    if norm not in (1, 2):
        told.append(f'exponent {norm:g} has no counterpart: ours has norm 1 or 2')
        norm = 2
    ignored = told_label(call, label, told)
    told.append('its denominators count ignored pixels, ours does not; where no pixel is ignored both are equal')
    bug = ''
    if is_class(call, label):
        bug = f'class {label}, the ignored one, is left out of the sum, which is still divided by the number of classes'
    return call.reading(
        'nearest',
        'SoftDiceLoss',
        *told,
        bug=bug,
        norm=int(norm),
        granularity='I',
        classes='all',
        smooth=call.number('smooth', 1) / 2,
        loss_weight=call.number('loss_weight', 1.0),
        class_weight=call.weights('class_weight', call.channels),
        ignore_index=ignored,
    )


BACKGROUND = (
    'its one-channel form trains on inverted labels: it rewards the prediction of the background (1.1 to 1.2.2); ours '
    'learns the foreground, and no parameter of ours learns the background'
)
DROPPED = 'ignore_index {0} removes the channel of class {0}; the pixels with that label stay in the sums of the others'
UNMASKED = (
    'pixels with the ignored label keep their place in its denominators, ours masks them; where no pixel is ignored both '
    'are equal'
)


@row('mmseg', 'DiceLoss', dict(
    use_sigmoid=True, activate=True, reduction='mean', naive_dice=False, loss_weight=1.0, ignore_index=255, eps=1e-3,
    loss_name='loss_dice',
), versions=NEW_DICE, examples=(
    Example(dict(use_sigmoid=False), HEAD),
    Example({}, HEAD),
    Example(dict(use_sigmoid=False, naive_dice=True, eps=2.0, loss_weight=3.0), HEAD),
    Example({}, dict(channels=3, labels='one_hot')),
    Example(dict(use_sigmoid=False, eps=0.0), dict(channels=3, labels='one_hot')),
    Example(dict(naive_dice=True), dict(channels=3, labels='one_hot')),
    Example({}, ONE),
    Example(dict(use_sigmoid=False, naive_dice=True, ignore_index=0), dict(channels=2, ignore_index=0)),
    Example(dict(use_sigmoid=False, naive_dice=True, ignore_index=0), dict(channels=2, ignore_index=0), compat=True),
    Example(dict(use_sigmoid=False, naive_dice=True, ignore_index=0), dict(channels=3, ignore_index=0), compat=True),
))  # fmt: skip
def dice_from_1_1(call: Call) -> Reading:
    told, label, naive = reduction_sentences(call), call['ignore_index'], call.truth('naive_dice')
    sigmoid, eps = call.truth('use_sigmoid', default=True), call.number('eps', 1e-3)
    parameters: dict[str, Any] = dict(
        norm=1 if naive else 2,
        granularity='I',
        smooth=eps / 2 if naive else 0,
        loss_weight=call.number('loss_weight', 1.0),
        activation='sigmoid' if sigmoid or call.one else 'softmax',
        from_logits=call.truth('activate', default=True),
        ignore_index=ignored_label(call),
        classes='all',
    )
    told_label(call, label, told)
    unlike = f'eps {eps:g} stands in its denominators alone, ours has none there: an empty mask costs it 1'
    if call.one:
        told += [unlike] * bool(not naive and eps)
        return call.reading('nearest', 'SoftDiceLoss', *told, bug=BACKGROUND, **parameters)
    bug = ''
    left = call.channels
    if is_class(call, label) and call.channels is not None:
        bug, left = DROPPED.format(label), call.channels - 1
        if call.compat:
            parameters.update(classes=[k for k in range(call.channels) if k != label], ignore_index=None)
            told.append(f'--compat: class {label} is left out as a channel, and its pixels count, as in the peer')
        else:
            parameters.update(classes=[k for k in range(call.channels) if k != label], ignore_index=label)
            told.append(f'ours leaves the pixels of label {label} out; --compat keeps them')
    exact = len(told) == (call.compat and bool(bug))
    if left != 1:
        parameters.update(pooled=True, smooth=eps / 2 if naive else eps)
        unlike = (
            f'eps {eps:g} stands in its denominators alone: {eps:g} / ((|p|^2 + |y|^2) / 2 + {eps:g}) more than ours, at '
            f'most {eps:g} for every two pixels'
        )
    if not naive and eps:
        exact = False
        told.append(unlike)
    if not bug and call.context.labels != 'one_hot':
        exact = False
        told.append(UNMASKED)
    return call.reading('exact' if exact else 'nearest', 'SoftDiceLoss', *told, bug=bug, **parameters)


@row('mmseg', 'LovaszLoss', dict(
    loss_type='multi_class', classes='present', per_image=False, reduction='mean', class_weight=None, loss_weight=1.0,
    loss_name='loss_lovasz',
), examples=(
    Example(dict(reduction='none'), HEAD),
    Example(dict(per_image=True, loss_weight=0.5), HEAD),
    Example(dict(reduction='none', classes='all', class_weight=WEIGHTS), HEAD),
    Example(dict(per_image=True, classes=[1, 2]), HEAD),
    Example(dict(per_image=True, reduction='sum'), HEAD),
    Example(dict(loss_type='binary', reduction='none'), ONE),
    Example(dict(loss_type='binary', per_image=True), ONE),
    Example({}, HEAD, 'none'),
))  # fmt: skip
def lovasz(call: Call) -> Reading:
    per_image, how, classes = call.truth('per_image'), call['reduction'], call['classes']
    told, bug = [], ''
    if how == 'sum' and per_image:
        told.append(SUMMED.format(how))
    elif how != 'none' and not per_image:
        bug = "its constructor raises: per_image=False needs reduction='none', which is not its default"
    parameters: dict[str, Any] = dict(
        per_image=per_image, loss_weight=call.number('loss_weight', 1.0), ignore_index=ignored_label(call)
    )
    verdict: Verdict = 'nearest' if told or bug else 'float32'
    if per_image:
        told.append(EMPTY_IMAGE if call['loss_type'] == 'binary' else 'an image without a valid pixel makes it raise')
    if call['loss_type'] == 'binary':
        if not call.one and call.channels is not None:
            return call.none(f'the Lovasz hinge takes one channel, and the head has {call.channels}')
        if call['class_weight'] is not None:
            told.append('class_weight is not used by its binary form')
        return call.reading(verdict, 'LovaszHingeLoss', *told, bug=bug, **parameters)
    if call.one:
        return call.none(SOFTMAX_OF_ONE, bug='one channel raises, or goes through a softmax')
    return call.reading(
        verdict,
        'LovaszSoftmaxLoss',
        *told,
        bug=bug,
        classes=classes if classes in ('present', 'all') or isinstance(classes, (list, tuple)) else 'present',
        class_weight=call.weights('class_weight', call.channels),
        **parameters,
    )


@row('mmseg', 'TverskyLoss', dict(
    smooth=1, class_weight=None, loss_weight=1.0, ignore_index=255, alpha=0.3, beta=0.7, loss_name='loss_tversky',
), examples=(
    Example({}, HEAD),
    Example(dict(alpha=0.25, beta=0.75, smooth=0.5, class_weight=WEIGHTS, loss_weight=2.0), HEAD),
    Example(dict(ignore_index=2), dict(ignore_index=2, channels=3)),
    Example(dict(ignore_index=2), dict(ignore_index=2, channels=3), compat=True),
    Example(dict(alpha=1.0, beta=1.0), HEAD, 'none'),
    Example({}, ONE, 'none'),
))  # fmt: skip
def tversky(call: Call) -> Reading:
    if call.one:
        return call.none(SOFTMAX_OF_ONE, bug='one channel goes through a softmax')
    alpha, beta, label = call.number('alpha', 0.3), call.number('beta', 0.7), call['ignore_index']
    told: list[str] = []
    bug = ''
    parameters: dict[str, Any] = dict(
        alpha=alpha,
        beta=beta,
        granularity='I',
        classes='all',
        smooth=call.number('smooth', 1),
        class_weight=call.weights('class_weight', call.channels),
        ignore_index=told_label(call, label, told),
    )
    verdict: Verdict = 'nearest' if told else 'float32'
    weight = call.number('loss_weight', 1.0)
    if alpha + beta != 1:
        bug, verdict = 'its constructor raises unless alpha + beta is 1', 'nearest'
    if is_class(call, label) and call.channels is not None:
        bug = (
            f'class {label}, the ignored one, is left out of the sum, which is still divided by {call.channels} classes'
        )
        parameters['classes'] = [k for k in range(call.channels) if k != label]
        if call.compat:
            weight *= (call.channels - 1) / call.channels
        else:
            verdict = 'nearest'
            told.append(f'ours is the mean over {call.channels - 1} classes; --compat puts the factor into loss_weight')
    told.append(EMPTY_IMAGE)
    return call.reading(verdict, 'SoftTverskyLoss', *told, bug=bug, loss_weight=weight, **parameters)


@row('mmseg', 'FocalLoss', dict(
    use_sigmoid=True, gamma=2.0, alpha=0.5, reduction='mean', class_weight=None, loss_weight=1.0, loss_name='loss_focal',
), examples=(
    Example({}, dict(channels=3, labels='one_hot')),
    Example(dict(gamma=5.0, alpha=[0.25, 0.5, 0.9], loss_weight=0.5), dict(channels=3, labels='one_hot')),
    Example({}, dict(channels=3, labels='soft')),
    Example(dict(class_weight=WEIGHTS), dict(channels=3, labels='one_hot')),
    Example({}, HEAD, 'none'),
))  # fmt: skip
def focal(call: Call) -> Reading:
    alpha, ids = call['alpha'], call.context.labels not in ('one_hot', 'soft')
    told = reduction_sentences(call)
    if call.context.labels == 'soft':
        told.append(MIXED)
    if call['class_weight'] is not None:
        told.append(
            'class_weight, a factor on positives and negatives of a class, has no counterpart: alpha has one on each'
        )
    return call.reading(
        'nearest' if told or ids else 'exact',
        'FocalCrossEntropyLoss',
        *told,
        *([ALL_PIXELS] if ids else []),
        bug='on a CPU it raises for labels that are ids (1.2.2)' if ids else '',
        activation='sigmoid',
        gamma=call.number('gamma', 2.0),
        alpha=call.weights('alpha', call.channels) if isinstance(alpha, (list, tuple)) else call.number('alpha', 0.5),
        loss_weight=call.number('loss_weight', 1.0),
        ignore_index=ignored_label(call),
    )


@row('mmseg', 'OhemCrossEntropy', dict(
    ignore_label=255, thres=0.7, min_kept=100000, loss_weight=1.0, class_weight=None, loss_name='loss_ohem',
), examples=(
    Example(dict(thres=0.5, min_kept=4), HEAD),
    Example(dict(thres=0.1, min_kept=7), HEAD),
    Example(dict(thres=0.9, min_kept=4, class_weight=WEIGHTS, loss_weight=0.5), HEAD),
))  # fmt: skip
def ohem(call: Call) -> Reading:
    kept = int(call.number('min_kept', 100000))
    return call.reading(
        'exact',
        'OhemCrossEntropyLoss',
        'its rank counts from 0, so its min_kept is one less than ours; where no more pixels count than ours it leaves out '
        'those of the highest probability above thres, ours none; where it keeps no pixel it is NaN, ours 0',
        thresh=min(call.number('thres', 0.7), 1.0),
        min_kept=kept + 1,
        loss_weight=call.number('loss_weight', 1.0),
        class_weight=call.weights('class_weight', call.channels),
        ignore_index=call['ignore_label'],
    )


@row('mmseg', 'BoundaryLoss', dict(loss_weight=1.0, loss_name='loss_boundary'), examples=(
    Example({}, dict(channels=1)),
))  # fmt: skip
def boundary(call: Call) -> Reading:
    return call.reading(
        'nearest',
        'WeightedCrossEntropyLoss',
        'it is a balanced cross-entropy on a map of boundaries (PIDNet); it takes the shares of positives and negatives '
        'from the batch, ours from each image: equal for one image; the map of boundaries has to come from the data set',
        activation='sigmoid',
        class_weight='balanced',
        loss_weight=call.number('loss_weight', 1.0),
    )


@row('mmseg', 'HuasdorffDisstanceLoss', dict(
    reduction='mean', class_weight=None, loss_weight=1.0, ignore_index=255, loss_name='loss_huasdorff_disstance',
), examples=(Example({}, HEAD, 'none'),))  # fmt: skip
def hausdorff(call: Call) -> Reading:
    return call.reading(
        'not yet',
        None,
        'a loss of distance transforms; none of ours is near',
        bug='it compares each probability with the id of the class and has one distance map for all classes: a perfect '
        'prediction of class 2 has a cost',
    )


def no_loss_of_labels(name: str, signature: dict[str, Any], sentence: str) -> None:
    @row('mmseg', name, signature, examples=(Example({}, HEAD, 'none'),))
    def read(call: Call) -> Reading:
        return call.none(sentence)


no_loss_of_labels(
    'SiLogLoss', dict(reduction='mean', loss_weight=1.0, eps=1e-6, loss_name='loss_silog'), 'it is a loss of depth'
)
no_loss_of_labels(
    'KLDivLoss',
    dict(temperature=1.0, reduction='mean', loss_name='loss_kld'),
    'it compares two networks; MMSegmentation does not export it, and it gives one number for each image',
)
no_loss_of_labels('L1Loss', dict(loss_weight=1.0), 'it is no loss of MMSegmentation on label maps')
no_loss_of_labels('MSELoss', dict(loss_weight=1.0), 'it is no loss of MMSegmentation on label maps')
