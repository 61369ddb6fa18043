"""PITFALLS: what moved models most often get wrong without a word, where the source shows that it may; as NOTES."""

from segparity.migrate.differences import NOTES
from segparity.migrate.note import Argument, Call, Key, Note

ONE_CHANNEL = Argument(('filters', '0', 'units'), (1,))
CONVOLUTIONS = ('Conv2D', 'Convolution2D', 'Conv2DTranspose', 'Dense', 'SeparableConv2D', 'Conv3D')
IGNORED = ('ignore_index', 'ignore_class', 'ignore_label', 'seg_pad_val', 'void_class', 'ignore_indices')
REGION_LOSSES = (
    'DiceLoss', 'Dice', 'JaccardLoss', 'TverskyLoss', 'Tversky', 'SoftDiceLoss', 'DiceCELoss', 'GeneralizedDiceLoss',
    'LovaszLoss', 'dice_loss', 'dice_coef_loss', 'bce_dice_loss', 'jaccard_loss', 'iou_loss', 'tversky_loss',
)  # fmt: skip
BILINEAR = ('bilinear', 'bicubic', 'area', 'lanczos3', 'lanczos5', 'gaussian', 'mitchellcubic')
INTERPOLATION = Argument(('interpolation', 'method'), BILINEAR, default=True)

PITFALLS: dict[str, Note] = {
    'masks_of_255': Note(
        'Masks of 0 and 255',
        'Foreground masks are often stored as 0 and 255, and 255 is the ignored label: the whole foreground then '
        'counts nowhere and the loss falls towards 0; labels have to be 0 and 1.',
        'labels',
        (
            Key('num_classes', (1, 2)),
            Key('decode_head.out_channels', (1,)),
            Call(CONVOLUTIONS, (ONE_CHANNEL,)),
            Call(('BinaryCrossentropy', 'binary_crossentropy', 'BinaryFocalCrossentropy', 'BCEWithLogitsLoss', 'BCELoss')),
            Call(('compile',), (Argument(('loss', '1'), ('binary_crossentropy', 'BinaryCrossentropy')),)),
        ),
    ),
    'one_channel': Note(
        'One class or one channel',
        'num_classes=1 leaves the evaluator one class, and a softmax over one channel is 1 everywhere: foreground'
        ' against background is two classes, with two channels or with one channel and a sigmoid.',
        'labels',
        (
            Key('num_classes', (1,)),
            Call(CONVOLUTIONS, (ONE_CHANNEL, Argument(('activation',), ('softmax',)))),
            Call(('*',), (Argument(('num_classes', 'classes'), (1,)), Argument(('activation',), ('softmax',)))),
            Call(('MeanIoU', 'OneHotMeanIoU'), (Argument(('num_classes', '0'), (1,)),)),
        ),
    ),
    'reduce_zero_label': NOTES['labels'],
    'ignored_label': Note(
        'Ignored label',
        'The ignored label is said in four places, head, loss, data set or padding, and evaluator; one that '
        "differs trains on other pixels than it reports, and MMSegmentation's cross-entropy divides by the "
        'ignored ones too.',
        'labels',
        (
            *(Key(name) for name in IGNORED),
            Key('avg_non_ignore'),
            *(Call(('*',), (Argument((name,)),)) for name in (*IGNORED, 'avg_non_ignore')),
        ),
    ),
    'class_order': Note(
        'Order of classes',
        'Class k is the k-th name of the source that trained the weights: check the order of names, palette and '
        'label map on a picture before scores are compared.',
        'labels',
        (
            Key('metainfo', last=False),
            Key('METAINFO', last=False),
            *(Key(name) for name in ('classes', 'CLASSES', 'class_names', 'palette', 'PALETTE')),
            Key('label_map', last=False),
            Call(('*',), (Argument(('class_names',)),)),
            Call(('image_dataset_from_directory', 'flow_from_directory', 'LabelEncoder', 'StringLookup')),
        ),
    ),
    'batch_or_image': Note(
        'Of the batch or of the image',
        'A Dice or Jaccard loss over the whole batch, over each image and over each class are three losses: D, I '
        'and C of granularity.',
        'where-the-mean-is-taken',
        (
            Key('loss_decode.type', ('DiceLoss', 'TverskyLoss', 'LovaszLoss')),
            Key('per_image'),
            Call(REGION_LOSSES),
            Call(('*',), (Argument(('per_image',)),)),
            Call(('compile',), (Argument(('loss', '1'), ('dice', 'tversky', *REGION_LOSSES)),)),
        ),
    ),
    'mean_iou_of_probabilities': Note(
        'MeanIoU of probabilities',
        "Keras' MeanIoU takes ids: of probabilities it cuts the integer part, 0, and reports the background's "
        "half; give it sparse_y_pred=False, a threshold before it, or keras_plugin's MeanIoU.",
        'where-the-mean-is-taken',
        (
            Call(
                ('MeanIoU', 'IoU'),
                (Argument(('sparse_y_pred',), (True,), default=True), Argument(('from_logits', 'level'), absent=True)),
            ),
            Call(('compile',), (Argument(('metrics', '2'), ('mean_io_u', 'MeanIoU')),)),
        ),
    ),
    'scores_of_batches': Note(
        'Scores averaged over batches',
        'IOUScore, FScore and every function in metrics report the mean of the batches, which moves with the '
        "batch size: compare scores that count over the data set, as keras_plugin's MeanIoU does.",
        'where-the-mean-is-taken',
        (
            Call(('IOUScore', 'FScore', 'iou_score', 'f1_score', 'f2_score')),
            Call(('dice_coef', 'dice_coefficient', 'dice', 'iou', 'iou_coef', 'mean_iou', 'jaccard_coef', 'jaccard')),
        ),
    ),
    'masks_resized': Note(
        'Masks resized bilinearly',
        'Masks are ids, and a mean of two ids is a third class: resize them by the nearest pixel, which is no '
        'default of Resizing, resize and image_dataset_from_directory.',
        'resizing',
        (
            Call(('Resizing', 'resize', 'smart_resize', 'image_dataset_from_directory'), (INTERPOLATION,)),
            Call(('load_img',), (Argument(('interpolation',), BILINEAR),)),
            Call(('RandomRotation', 'RandomZoom', 'RandomTranslation'), (Argument(('interpolation',), BILINEAR, default=True),)),
            Call(('ImageDataGenerator',), (Argument(('rotation_range', 'zoom_range', 'shear_range', 'width_shift_range')),)),
        ),
    ),
    'logits_resized': NOTES['logits_resized'],
}  # fmt: skip
