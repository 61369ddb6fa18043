"""What other libraries call a parameter, and what it is here: the end of the sentence that refuses it.

A word has answers in their order: one for owners that have the parameter named first, or, under None, for the rest. A
word without an answer for an owner is refused as a misspelling is.
"""

from collections.abc import Collection

Answers = list[tuple[str | None, str]]

EACH = ('losses', 'give it to each of the losses')
OF_EDGES = ('tiles', "here activation='sigmoid', or 'log_softmax' as in the official code")
FIXED = ('loss_weight', 'the activation of this loss is fixed')
SIGMOID: Answers = [
    EACH,
    OF_EDGES,
    ('activation', "here activation='sigmoid' for True and 'softmax' for False"),
    ('ce', "here ce='sigmoid' for True and 'softmax' for False"),
    FIXED,
]
HALVED = ('smooth', 'here smooth, in pixels; half of it for a Dice (2 tp + eps) / (2 tp + fp + fn + eps)')
SUMMED = (None, 'here the loss_weight of each loss in a list, or weights of WeightedSumLoss')
LEFT_OUT = 'leave it out'
HARD = 'here OhemCrossEntropyLoss chooses hard pixels, and the sampler OHEMPixelSampler of a head does so for any loss'

OTHER_WORDS: dict[str, Answers] = {
    # MMSegmentation's losses and evaluators
    'use_sigmoid': SIGMOID,
    'use_mask': [(None, 'it belongs to heads that predict masks, which take their own losses')],
    'activate': [('from_logits', 'here from_logits=True, or False where pred holds probabilities')],
    'naive_dice': [
        (
            'norm',
            'here norm=1 for True and norm=2 for False; its one score of all classes is pooled=True of SoftDiceLoss',
        ),
    ],
    'reduction': [
        (
            'granularity',
            "a mean is always taken, and granularity says over what: 'D' the batch, 'I' images, 'C' classes",
        ),
        ('loss_weight', 'a mean is always taken'),
    ],
    'eps': [HALVED],
    'avg_non_ignore': [
        ('divisor', "here divisor='valid' for True and 'all' for False"),
        (None, f'ignored pixels never count, as with avg_non_ignore=True: {LEFT_OUT}'),
    ],
    **{word: [EACH] for word in ('ignore_index', 'ignore_class', 'activation', 'from_logits', 'granularity', 'smooth')},
    'class_weight': [EACH, ('loss_weight', 'this loss takes no weights of classes')],
    'ignore_label': [('ignore_index', 'here ignore_index'), ('ignore_class', 'here ignore_class')],
    'per_image': [('granularity', "here granularity='I' for True and 'D' for False")],
    'loss_type': [(None, "here LovaszSoftmaxLoss for 'multi_class' and LovaszHingeLoss for 'binary'")],
    'nan_to_num': [('per_image_file', f'what is undefined is NaN, and means leave it out: {LEFT_OUT}')],
    'iou_metrics': [('metrics', "here metrics, such as ['mAcc', 'mIoU', 'mDice']")],
    # MMSegmentation's OhemCrossEntropy, nnU-Net's TopKLoss
    **{word: [('loss_weight', HARD)] for word in ('thresh', 'min_kept')},
    'thres': [('thresh', 'here thresh'), ('loss_weight', HARD)],
    'k': [('loss_weight', 'here TopKCrossEntropyLoss is the loss of the hardest pixels')],
    # MONAI
    'sigmoid': SIGMOID,
    'softmax': [EACH, OF_EDGES, ('activation', "here activation='softmax' for True and 'sigmoid' for False"), FIXED],
    'other_act': [('from_logits', 'apply it before the loss, and say from_logits=False')],
    'to_onehot_y': [(None, f'class ids and one-hot labels are both taken: {LEFT_OUT}')],
    'soft_label': [(None, f'soft labels are told by their shape: {LEFT_OUT}')],
    'include_background': [('classes', "here classes='all' for True and the other ids, [1, 2, ...], for False")],
    'smooth_nr': [HALVED],
    'smooth_dr': [HALVED],
    'squared_pred': [('norm', 'here norm=2 for True and norm=1 for False')],
    'jaccard': [(None, 'here SoftJaccardLoss or JaccardMetricLoss for True')],
    'batch': [('granularity', "here granularity='D' for True and 'I' for False")],
    'w_type': [('weighting', 'here weighting')],
    'lambda_dice': [SUMMED],
    'lambda_ce': [SUMMED],
    'lambda_focal': [SUMMED],
    # SMP
    'mode': [
        ('activation', "here one channel is binary, several are classes, and activation='sigmoid' is 'multilabel'")
    ],
    'classes': [
        EACH,
        ('class_weight', 'here class_weight, with 0 for a class that is not to count'),
        ('loss_weight', 'this loss takes no choice of classes'),
    ],
    'log_loss': [
        ('loss_weight', 'it is a parameter of JaccardMetricLoss, DiceSemimetricLoss and CompatibleTverskyLoss')
    ],
    'smooth_factor': [('label_smoothing', 'here label_smoothing')],
    # Kornia
    'average': [('pooled', "here pooled=True for 'micro' and False for 'macro'")],
    # Keras, PyTorch, torchmetrics
    'axis': [
        (
            'pooled',
            "here granularity says over what sums are taken: 'D' the batch, 'I' images; pooled=True adds up classes too",
        ),
        ('granularity', "here granularity says over what sums are taken: 'D' the batch, 'I' images, 'C' classes"),
        ('loss_weight', 'the axis of the classes is fixed: the last in Keras, the second in PyTorch'),
    ],
    'gamma': [
        ('gamma_dice', 'here gamma_dice and gamma_ce'),
        ('loss_weight', 'FocalCrossEntropyLoss, FocalTverskyLoss and UnifiedFocalLoss are the focal losses here'),
    ],
    'label_smoothing': [('loss_weight', "smooth the labels, with label_smoothing of the plugin's soft_labels")],
    'pos_weight': [('class_weight', 'here class_weight, of one channel as [background, foreground]')],
    'weight': [('class_weight', 'here class_weight')],
    'num_classes': [
        ('per_image_file', "it is that of the data set's classes"),
        ('loss_weight', f'it is the number of channels of pred: {LEFT_OUT}'),
    ],
}

FILES = ('.npy', '.pkl', '.json', '.yaml', '.yml')


def explain_parameter(word: str, known: Collection[str]) -> str | None:
    """What a parameter of another library is for an owner that takes ``known``, or None."""
    return next((text for needs, text in OTHER_WORDS.get(word, ()) if needs is None or needs in known), None)


def explain_value(name: str, value: object) -> str | None:
    """What a value that another library takes is here, or None."""
    if name == 'class_weight' and isinstance(value, str) and value.endswith(FILES):
        return 'give the numbers that the file holds'
    return None
