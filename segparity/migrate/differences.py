"""NOTES: what else changes when a model moves; each is a section of docs/moving.md, measured by tests/moving."""

from segparity.migrate.note import Argument, Call, Key, Note

STRIDES = ('strides', 'stride')
CONVOLUTIONS = (
    'Conv2D', 'SeparableConv2D', 'DepthwiseConv2D', 'Convolution2D', 'SeparableConvolution2D', 'Conv3D',
)  # fmt: skip
ADAMS = ('Adam', 'AdamW', 'NAdam', 'Nadam', 'RAdam', 'Adamax')
SCHEDULERS = (
    'PolyLR', 'PolynomialLR', 'CosineAnnealingLR', 'StepLR', 'MultiStepLR', 'LinearLR', 'ExponentialLR', 'OneCycleLR',
    'CosineRestartLR', 'CosineAnnealingWarmRestarts', 'LambdaLR', 'ReduceOnPlateauLR',
)  # fmt: skip
KERAS_SCHEDULES = (
    'PolynomialDecay', 'CosineDecay', 'CosineDecayRestarts', 'ExponentialDecay', 'PiecewiseConstantDecay',
    'InverseTimeDecay', 'LearningRateSchedule', 'LearningRateScheduler',
)  # fmt: skip
GIVEN_DECAY = Argument(('weight_decay', 'decay'))

NOTES: dict[str, Note] = {
    'batch_norm': Note(
        'BatchNorm',
        "BatchNorm's momentum is 0.1 in PyTorch where Keras says 0.9 (its default is 0.99), and its epsilon 1e-5 "
        "where Keras' default is 1e-3: give Keras momentum=0.9, epsilon=1e-5.",
        'normalisation-layers',
        (
            Key('norm_cfg.type', ('BN', 'BN1d', 'BN2d', 'BN3d', 'SyncBN', 'MMSyncBN', 'NaiveSyncBN')),
            Key('norm_eval', (True,)),
            Call(('BatchNormalization', 'BatchNorm1d', 'BatchNorm2d', 'BatchNorm3d', 'SyncBatchNorm', 'BN', 'SyncBN')),
            Call(('SyncBatchNormalization',)),
        ),
    ),
    'layer_norm': Note(
        'LayerNorm and GroupNorm',
        'The epsilon of LayerNorm and GroupNorm is 1e-5 in PyTorch (1e-6 in some transformers) and 1e-3 in Keras,'
        ' where GroupNormalization has 32 groups unless told: give both.',
        'normalisation-layers',
        (
            Key('norm_cfg.type', ('LN', 'LN2d', 'GN')),
            Call(('LayerNormalization', 'LayerNorm', 'GroupNormalization', 'GroupNorm')),
            Key('backbone.type', ('MixVisionTransformer', 'SwinTransformer', 'VisionTransformer', 'ConvNeXt', 'BEiT', 'MAE')),
        ),
    ),
    'padding': Note(
        'Padding at stride 2',
        "Keras' padding='same' at stride 2 pads right and bottom alone where the size is even, PyTorch's "
        'padding=1 both sides, so outputs are half a step apart: in Keras write ZeroPadding2D(1) and '
        "padding='valid'.",
        'padding-and-pooling',
        (
            Call(CONVOLUTIONS, (Argument((*STRIDES, '2'), (2,)), Argument(('padding', '3'), ('same', 'SAME')))),
            Call(('MaxPooling2D', 'MaxPool2D', 'AveragePooling2D'), (Argument(('padding', '2'), ('same', 'SAME')),)),
            Call(('Conv2d', 'Conv3d'), (Argument(('stride', '3'), (2,)),)),
            Call(('MaxPool2d', 'AvgPool2d'), (Argument(('padding', '2')),)),
            Key('backbone.type'),
        ),
    ),
    'resize': Note(
        'Resizing',
        'Bilinear resizing agrees where both use half pixels and no antialias; align_corners=True does not exist '
        'in Keras, and nearest and bicubic take other pixels and weights.',
        'resizing',
        (
            Key('align_corners'),
            Key('resize_mode'),
            Call(('UpSampling2D', 'Resizing', 'resize', 'resize_images', 'resize_bilinear', 'interpolate', 'Upsample')),
            Call(('random_crop_and_resize', 'crop_and_resize', 'RandomZoom', 'smart_resize')),
        ),
    ),
    'transposed_convolution': Note(
        'Transposed convolution',
        "Conv2DTranspose(3, strides=2, padding='same') crops at the other end than ConvTranspose2d(3, stride=2, "
        "padding=1, output_padding=1): in Keras write padding='valid' and Cropping2D(((1, 0), (1, 0))); kernels "
        'of 2 and 4 agree.',
        'transposed-convolution',
        (
            Call(('Conv2DTranspose', 'Conv3DTranspose', 'Convolution2DTranspose', 'Deconvolution2D')),
            Call(('ConvTranspose2d', 'ConvTranspose3d', 'DeconvModule')),
            Key('upsample_cfg.type', ('deconv', 'DeconvModule')),
        ),
    ),
    'flattening': Note(
        'Order of flattening',
        'Flattened features come channels first in PyTorch and channels last in Keras: put Permute((3, 1, 2)) '
        'before Flatten(), or permute the next kernel.',
        'kernels-and-flattening',
        (Call(('Flatten', 'flatten')),),
    ),
    'gelu': Note(
        'GELU',
        "GELU is exact in PyTorch and in Keras' activation 'gelu', but keras.ops.gelu approximates it unless "
        'approximate=False.',
        'activations',
        (Key('act_cfg.type', ('GELU',)), Call(('gelu', 'GELU')), Call(('*',), (Argument(('activation', '0'), ('gelu',)),))),
    ),
    'leaky_relu': Note(
        'LeakyReLU',
        "LeakyReLU's slope is 0.01 in PyTorch and 0.3 in Keras: give negative_slope.",
        'activations',
        (
            Key('act_cfg.type', ('LeakyReLU',)),
            Call(('LeakyReLU', 'leaky_relu')),
            Call(('*',), (Argument(('activation', '0'), ('leaky_relu',)),)),
        ),
    ),
    'initialisation': Note(
        'First weights',
        "Untrained layers start smaller in PyTorch than under Keras' glorot_uniform, and MMSegmentation's "
        'classifiers at a deviation of 0.01: give kernel_initializer where training starts from nothing.',
        'first-weights',
        (
            Key('init_cfg', last=False),
            Key('pretrained', (None,)),
            Call(('*',), (Argument(('kernel_initializer',)),)),
            Call(('kaiming_normal_', 'kaiming_uniform_', 'xavier_uniform_', 'xavier_normal_', 'trunc_normal_')),
        ),
    ),
    'dropout': Note(
        'Dropout',
        "MMSegmentation's heads drop whole channels, which is SpatialDropout2D in Keras and not Dropout; and a "
        'model that is called infers in Keras, but trains in PyTorch until eval().',
        'training-and-inference',
        (
            Key('dropout_ratio'),
            Key('drop_rate'),
            Call(('Dropout', 'SpatialDropout2D', 'Dropout2d', 'AlphaDropout', 'GaussianDropout')),
        ),
    ),
    'normalisation': Note(
        'Normalisation and order of channels',
        "MMSegmentation subtracts ImageNet's mean (123.675 of red) after swapping BGR to RGB, Keras sources "
        'mostly divide RGB by 255: weights fit the one with which they were trained.',
        'images',
        (
            Key('data_preprocessor.mean', last=False),
            Key('data_preprocessor.bgr_to_rgb'),
            Key('img_norm_cfg', last=False),
            Key('to_rgb'),
            Key('type', ('Normalize',)),
            Call(('SegDataPreProcessor', 'Normalize', 'Normalization', 'preprocess_input', 'get_preprocessing')),
            Call(('Rescaling',)),
            Call(('/', '/=', 'divide'), (Argument(('1',), (255, 255.0)),)),
            Call(('*', '*='), (Argument(('1', '0'), (1 / 255,)),)),
            Call(('ImageDataGenerator',), (Argument(('rescale',)),)),
            Call(('imread', 'cvtColor')),
        ),
    ),
    'labels': Note(
        'Labels moved by reduce_zero_label',
        'reduce_zero_label makes label 0 ignored (255) and lowers the others by one, and 255 stays: in Keras '
        'write np.where((ids == 0) | (ids == 255), 255, ids - 1), and count the classes without it.',
        'labels',
        (
            Key('reduce_zero_label', (True,)),
            Call(('*',), (Argument(('reduce_zero_label',), (True,)),)),
        ),
    ),
    'one_hot': Note(
        'One-hot labels',
        'An ignored label has no one-hot code: its pixels then count in the mean, or are an error: keep ids and '
        'an ignored class, or give those pixels weight 0.',
        'labels',
        (
            Call(('to_categorical', 'one_hot', 'CategoricalCrossentropy', 'categorical_crossentropy', 'CategoryEncoding')),
            Call(('*',), (Argument(('loss', '1'), ('categorical_crossentropy',)),)),
        ),
    ),
    'weight_decay': Note(
        'Weight decay',
        "PyTorch's SGD and Adam add weight decay to the gradient (L2), Keras' weight_decay is decoupled in every "
        "optimizer, and AdamW's defaults differ (0.01 against 0.004): use AdamW in both, or regularizers L2(w / "
        '2) in Keras.',
        'weight-decay',
        (
            Key('optimizer.weight_decay'),
            Key('optimizer.type', ('AdamW',)),
            Call(('AdamW', 'LAMB', 'Lamb')),
            Call(('SGD', 'RMSprop', *ADAMS), (GIVEN_DECAY,)),
            Call(('L2', 'l2', 'L1L2', 'l1_l2')),
        ),
    ),
    'momentum': Note(
        'Momentum and epsilon of optimizers',
        "PyTorch's momentum holds gradients, Keras' holds steps, so they part while the rate falls; Adam's "
        'epsilon is 1e-8 and 1e-7, added at another place.',
        'optimizers',
        (
            Key('optimizer.momentum'),
            Key('optimizer.type', (*ADAMS, 'SGD')),
            Call(('SGD',), (Argument(('momentum', '1')),)),
            Call(ADAMS),
            Call(('compile',), (Argument(('optimizer', '0'), ('adam', 'Adam', 'adamw', 'nadam', 'sgd', 'SGD')),)),
        ),
    ),
    'clipping': Note(
        'Clipping of gradients',
        "MMEngine's clip_grad and PyTorch's clip_grad_norm_ clip all gradients together, Keras' clipnorm each "
        'variable: global_clipnorm is the same.',
        'optimizers',
        (
            Key('clip_grad', last=False),
            Key('grad_clip', last=False),
            Call(('clip_grad_norm_', 'clip_by_global_norm', 'clip_by_norm')),
            Call(('*',), (Argument(('clipnorm',)),)),
            Call(('*',), (Argument(('global_clipnorm',)),)),
            Call(('*',), (Argument(('clip_grad',)),)),
        ),
    ),
    'schedule': Note(
        'Schedule of the learning rate',
        "Keras' schedules count steps; MMEngine's count epochs unless by_epoch=False, reach the end one step "
        'earlier (decay_steps=T - 1), and have powers and minima of their own.',
        'schedules',
        (
            Key('param_scheduler', last=False),
            Key('lr_config', last=False),
            Call(SCHEDULERS),
            Call(KERAS_SCHEDULES),
            Call(('ReduceLROnPlateau',)),
        ),
    ),
    'mixed_precision': Note(
        'Half precision',
        "PyTorch's cross_entropy runs in float32 under autocast; in Keras the last layer has to be told "
        "dtype='float32', and loss scales start at other values.",
        'half-precision',
        (
            Key('optim_wrapper.type', ('AmpOptimWrapper',)),
            Key('fp16', last=False),
            Key('loss_scale', last=False),
            Key('optimizer_config.type', ('Fp16OptimizerHook', 'GradientCumulativeFp16OptimizerHook')),
            Call(('AmpOptimWrapper', 'Fp16OptimizerHook', 'autocast', 'GradScaler')),
            Call(('set_global_policy', 'set_dtype_policy', 'set_policy', 'LossScaleOptimizer', 'DTypePolicy')),
            Call(('*',), (Argument(('dtype',), ('mixed_float16', 'mixed_bfloat16', 'float16', 'bfloat16')),)),
        ),
    ),
    'data_parallel': Note(
        'Several devices',
        "DDP and TensorFlow's replicas average the devices' own losses and batch statistics, which are not those "
        'of the whole batch where pixels are ignored or the loss is no mean over pixels.',
        'several-devices',
        (
            Key('norm_cfg.type', ('SyncBN', 'MMSyncBN', 'NaiveSyncBN')),
            Key('model_wrapper_cfg', last=False),
            Key('launcher', ('pytorch', 'slurm', 'mpi')),
            Call(('DistributedDataParallel', 'MMDistributedDataParallel', 'DataParallel', 'init_process_group')),
            Call(('MirroredStrategy', 'MultiWorkerMirroredStrategy', 'TPUStrategy', 'multi_gpu_model', 'ModelParallel')),
            Call(('BatchNormalization',), (Argument(('synchronized',), (True,)),)),
            Call(('SyncBatchNorm', 'SyncBatchNormalization', 'convert_sync_batchnorm', 'distribute_dataset')),
        ),
    ),
    'logits_resized': Note(
        'Where the loss is taken',
        "MMSegmentation's heads enlarge their logits to the labels' size before the loss: in Keras put "
        "UpSampling2D(..., interpolation='bilinear') before the softmax.",
        'where-the-loss-is-taken',
        (
            Key('decode_head', last=False),
            Key('auxiliary_head', last=False),
        ),
    ),
}  # fmt: skip
