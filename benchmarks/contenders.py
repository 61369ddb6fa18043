"""The losses that are compared, by name: ours without a prefix, peers with theirs.

Each is a public loss class, called as its users call it. A peer whose name does not say ``ignore_index`` takes ignored
pixels as class 0, which is less work; MMSegmentation's always get the label.
"""

from functools import partial

from benchmarks.batches import IGNORED
from benchmarks.peers import LeftOut, load


def build(name, labels='hard', **more):
    """A function of (logits, target) that returns the loss; LeftOut where it cannot take part."""
    return CONTENDERS[name](labels, **more)


def build_all(names, logits, target):
    """Name -> function, and name -> reason of those left out: missing, made for other labels, or failing on these."""
    labels = 'soft' if target.is_floating_point() else 'hard'
    found, left_out = {}, {}
    for name in names:
        try:
            found[name] = build(name, labels)
        except LeftOut as reason:
            left_out[name] = str(reason)
            continue
        if name.startswith(PEERS):
            try:
                step(found[name], logits, target)
            except Exception as error:
                del found[name]
                left_out[name] = f'fails: {str(error).splitlines()[0]}'
    return found, left_out


def step(loss, logits, target):
    """Forward and backward once."""
    logits.grad = None
    loss(logits, target).backward()


def build_ours(name, labels, mode=None, **parameters):
    """mode: of the fused operators, where it is not that of the process."""
    from mmseg_plugin import losses
    from mmseg_plugin.kernels.overlap import choice
    from shared_spec import LOSSES

    if labels == 'soft' and 'soft' not in LOSSES[name].labels:
        raise LeftOut('takes hard labels only')
    loss = getattr(losses, name)(**ignoring(labels), **parameters)

    def call(logits, target):
        before, choice.MODE = choice.MODE, mode or choice.MODE
        try:
            return loss(logits, target)
        finally:
            choice.MODE = before

    return call


class MapGiven:
    """A loss of distances with its map given, as a data pipeline does; ``prepare`` makes it."""

    def __init__(self, name, labels):
        from mmseg_plugin import losses

        if labels != 'hard':
            raise LeftOut('takes hard labels only')
        self.loss, self.maps = getattr(losses, name)(**ignoring(labels)), {}

    def prepare(self, logits, target):
        from torch import from_numpy, stack

        classes, spec = logits.shape[1], self.loss.spec
        maps = [
            from_numpy(spec.distance_map(image.numpy(), classes, dimensions=image.dim())).to(logits.dtype)
            for image in target
        ]
        self.maps[target.data_ptr()] = stack(maps)

    def __call__(self, logits, target):
        if target.data_ptr() not in self.maps:
            self.prepare(logits, target)
        return self.loss(logits, target, distance_map=self.maps[target.data_ptr()])


class EmbeddingGiven:
    """A loss of embeddings, of ``DEPTH`` numbers at every eighth pixel; ``prepare`` makes them, and a classifier on them."""

    def __init__(self, name, labels, **parameters):
        from mmseg_plugin import losses

        if labels != 'hard':
            raise LeftOut('takes hard labels only')
        self.loss, self.extras = getattr(losses, name)(**ignoring(labels), **parameters), {}

    def prepare(self, logits, target):
        from torch import randn
        from torch.nn import Conv2d

        size = len(logits), DEPTH, *(-(-side // STRIDE) for side in logits.shape[2:])
        embedding = randn(size, device=logits.device, dtype=logits.dtype) / DEPTH**0.5
        extras = dict(embedding=embedding.requires_grad_())
        if 'classifier' in self.loss.spec.needs:
            layer = Conv2d(DEPTH, logits.shape[1], 1, device=logits.device, dtype=logits.dtype)
            extras['classifier'] = layer.weight, layer.bias
        self.extras[target.data_ptr()] = extras

    def __call__(self, logits, target):
        if target.data_ptr() not in self.extras:
            self.prepare(logits, target)
        extras = self.extras[target.data_ptr()]
        extras['embedding'].grad = None
        return self.loss(logits, target, **extras)


class BinsGiven:
    """The loss of a distance branch, of so many channels of the logits as one class has bins; ``prepare`` makes the bins."""

    def __init__(self, labels):
        if labels != 'hard':
            raise LeftOut('takes hard labels only')
        self.losses, self.bins = {}, {}

    def prepare(self, logits, target):
        from torch import from_numpy, stack

        from mmseg_plugin.losses import BoundaryAwareLoss

        count = min(logits.shape[1], MOST_BINS)
        self.losses[count] = BoundaryAwareLoss(num_bins=count, classes=[1], **ignoring('hard'))
        bins = [
            from_numpy(self.losses[count].spec.distance_bins(image.numpy(), dimensions=image.dim())).short()
            for image in target
        ]
        self.bins[target.data_ptr()] = stack(bins)

    def __call__(self, logits, target):
        if target.data_ptr() not in self.bins:
            self.prepare(logits, target)
        count = min(logits.shape[1], MOST_BINS)
        return self.losses[count](logits[:, :count], target, distance_bins=self.bins[target.data_ptr()])


class EdgesGiven:
    """The loss of an edge branch, of the first channel of the logits; it makes the boundaries of class ids itself."""

    def __init__(self, labels):
        from mmseg_plugin.losses import InverseFormLoss

        if labels != 'hard':
            raise LeftOut('takes maps of boundaries, or class ids')
        self.loss = InverseFormLoss(**ignoring(labels))

    def __call__(self, logits, target):
        return self.loss(logits[:, :1], target)


def of_images(name, labels):
    """A loss of a branch for the image as a whole, of the means of the logits."""
    loss = build_ours(name, labels)
    return lambda logits, target: loss(logits.flatten(2).mean(2), target)


def between_features(labels):
    """The distance between features of pixels, of the logits above 0, and soft labels in place of a teacher's."""
    from mmseg_plugin.losses import FeatureDistanceLoss

    if labels != 'soft':
        raise LeftOut('takes features in place of labels')
    loss = FeatureDistanceLoss()
    return lambda logits, target: loss(logits.relu(), target)


def ignoring(labels):
    """What tells a loss of ours, or of PyTorch, which label to ignore."""
    return dict(ignore_index=IGNORED) if labels == 'hard' else {}


def weights_of(classes):
    """A weight for each class, none like another."""
    return [0.5 + k / classes for k in range(classes)]


def weighed(labels):
    """Cross-entropy with class weights, whose number the logits say."""
    losses = {}

    def call(logits, target):
        size = logits.shape[1]
        if size not in losses:
            losses[size] = build_ours('WeightedCrossEntropyLoss', labels, class_weight=weights_of(size))
        return losses[size](logits, target)

    return call


def recipe(labels):
    """0.25 * cross-entropy + 0.75 * JaccardMetricLoss as one module."""
    from mmseg_plugin import losses

    parts = [dict(type=name, **ignoring(labels)) for name in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')]
    return losses.WeightedSumLoss(parts, weights=[0.25, 0.75])


def recipe_of_two(labels):
    """The same as two losses, as a list in ``loss_decode`` calls them."""
    first, second = (build_ours(name, labels) for name in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss'))
    return lambda logits, target: 0.25 * first(logits, target) + 0.75 * second(logits, target)


def one_hot(logits, target):
    """Labels as maps of 0 and 1 (N, C, *space), and which pixels count, the plain way."""
    from torch.nn import functional

    if target.is_floating_point():
        return target, 1.0
    kept = target != IGNORED
    maps = functional.one_hot(target * kept, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    return maps, kept[:, None].to(logits.dtype)


def plain_cross_entropy(labels):
    def call(logits, target):
        maps, kept = one_hot(logits, target)
        return -(maps * kept * logits.log_softmax(1)).sum() / (maps * kept).sum()

    return call


def plain_jaccard(labels):
    def call(logits, target):
        maps, kept = one_hot(logits, target)
        prediction, axes = logits.softmax(1) * kept, [0, *range(2, logits.ndim)]
        both = (prediction * maps).sum(axes)
        return 1 - ((both + 1e-3) / (prediction.sum(axes) + (maps * kept).sum(axes) - both + 1e-3)).mean()

    return call


def binary_cross_entropy(labels):
    """Of every class by itself, as ``activation='sigmoid'`` takes them."""
    from torch.nn import functional

    def call(logits, target):
        maps, kept = one_hot(logits, target)
        return functional.binary_cross_entropy_with_logits(logits, maps, kept if labels == 'hard' else None)

    return call


def wasserstein(package, labels):
    """Every mistake costs 1. MONAI keeps the matrix as float32."""
    import numpy as np

    if labels != 'hard':
        raise LeftOut('takes hard labels only')
    name, losses = 'GeneralizedWassersteinDiceLoss', {}
    peer = getattr(load('MONAI', 'losses'), name) if package == 'MONAI' else None

    def call(logits, target):
        size = logits.shape[1]
        if size not in losses:
            matrix = 1.0 - np.eye(size)
            losses[size] = peer(matrix) if peer else build_ours(name, labels, distance_matrix=matrix.tolist())
        return losses[size](logits, (target * (target != IGNORED))[:, None] if peer else target)

    return call


def monai(name, labels, **parameters):
    loss = getattr(load('MONAI', 'losses'), name)(softmax=True, to_onehot_y=labels == 'hard', **parameters)
    if labels == 'soft':
        return loss
    if 'ignore_index' in parameters:
        return lambda logits, target: loss(logits, target[:, None])
    return lambda logits, target: loss(logits, (target * (target != IGNORED))[:, None])


def smp(name, labels, **parameters):
    peer = getattr(load('SMP', 'losses'), name)
    if name == 'LovaszLoss':
        if labels != 'hard':
            raise LeftOut('takes hard labels only')
        return peer(**{'mode': 'multiclass', **parameters}, ignore_index=IGNORED)
    if labels == 'soft':
        loss = peer('multilabel', from_logits=False, **parameters)
        return lambda logits, target: loss(logits.softmax(1), target)
    loss = peer('multiclass', **parameters)
    if 'ignore_index' in parameters:
        return loss
    return lambda logits, target: loss(logits, target * (target != IGNORED))


def mmseg(name, labels, **parameters):
    if labels != 'hard':
        raise LeftOut('takes hard labels only')
    load('mmseg', 'models.losses')
    from mmseg.registry import MODELS

    if name != 'LovaszLoss':
        return MODELS.build(dict(type=name, ignore_index=IGNORED, **parameters))
    reduction = 'mean' if parameters.get('per_image') else 'none'
    loss = MODELS.build(dict(type=name, reduction=reduction, **parameters))
    binary = parameters.get('loss_type') == 'binary'
    return lambda logits, target: loss(logits[:, 0] if binary else logits, target, ignore_index=IGNORED)


def cross_entropy(labels, has_weights=False, **parameters):
    from torch import tensor
    from torch.nn import functional

    weights = {}

    def call(logits, target):
        more = ignoring(labels) | parameters
        if has_weights:
            key = logits.shape[1], logits.device
            if key not in weights:
                weights[key] = tensor(weights_of(logits.shape[1]), device=logits.device)
            more['weight'] = weights[key]
        return functional.cross_entropy(logits, target, **more)

    return call


def with_ignored_label(peer, name, labels, **parameters):
    """A peer's loss with the label that it ignores: with hard labels only."""
    if labels != 'hard':
        raise LeftOut('nothing is ignored in soft labels')
    return peer(name, labels, ignore_index=IGNORED, **parameters)


DEPTH, STRIDE = 64, 8  # of embeddings
MOST_BINS = 5
EMBEDDED = ('PixelContrastLoss', 'PixelTripletLoss', 'ConditionalBoundaryLoss')
PEERS = ('MONAI ', 'SMP ', 'mmseg ')
I_AND_C = {'granularity': {'I': 0.5, 'C': 0.5}}
OURS = (
    'JaccardMetricLoss', 'DiceSemimetricLoss', 'CompatibleTverskyLoss', 'SoftJaccardLoss', 'SoftDiceLoss',
    'SoftTverskyLoss', 'FocalTverskyLoss', 'LogCoshDiceLoss', 'SensitivitySpecificityLoss', 'GeneralizedDiceLoss',
    'LovaszSoftmaxLoss', 'RegionMutualInformationLoss', 'ComboLoss', 'ExponentialLogarithmicLoss',
    'UnifiedFocalLoss', 'WeightedCrossEntropyLoss', 'FocalCrossEntropyLoss', 'DistillationKLLoss', 'RobustTLoss',
    'TopKCrossEntropyLoss', 'OhemCrossEntropyLoss',
)  # fmt: skip
MAPPED = (
    'SurfaceLoss', 'RegionWiseLoss', 'DistanceMapCrossEntropyLoss', 'HausdorffDistanceLoss', 'ActiveBoundaryLoss',
)  # fmt: skip
CONTENDERS = {
    **{name: partial(build_ours, name) for name in OURS},
    'JaccardMetricLoss, I + C': partial(build_ours, 'JaccardMetricLoss', **I_AND_C),
    'JaccardMetricLoss (plain)': partial(build_ours, 'JaccardMetricLoss', mode='plain'),
    'SoftDiceLoss, norm=2': partial(build_ours, 'SoftDiceLoss', norm=2),
    'BoundaryDoULoss': partial(build_ours, 'BoundaryDoULoss'),
    'CenterlineDiceLoss, 3 iterations': partial(build_ours, 'CenterlineDiceLoss', iterations=3),
    'SoftDiceLoss, pooled': partial(build_ours, 'SoftDiceLoss', pooled=True),
    'SoftDiceLoss, pooled, norm=2, I': partial(build_ours, 'SoftDiceLoss', pooled=True, norm=2, granularity='I'),
    **{f'{name}, map given': partial(MapGiven, name) for name in MAPPED},
    'BoundaryAwareLoss, bins given': BinsGiven,
    'InverseFormLoss, of one channel': EdgesGiven,
    'TopologyAwareFocalLoss, one class': partial(build_ours, 'TopologyAwareFocalLoss', classes=[1]),
    **{f'{name}, embedding at an eighth': partial(EmbeddingGiven, name) for name in EMBEDDED},
    'SemanticEncodingLoss, mean of the logits': partial(of_images, 'SemanticEncodingLoss'),
    'FeatureDistanceLoss, of pixels': between_features,
    'FocalCrossEntropyLoss, gamma=5': partial(build_ours, 'FocalCrossEntropyLoss', gamma=5.0),
    'DistillationKLLoss, temperature=4': partial(build_ours, 'DistillationKLLoss', temperature=4.0),
    'WeightedCrossEntropyLoss, class weights': weighed,
    'WeightedCrossEntropyLoss, smoothing': partial(build_ours, 'WeightedCrossEntropyLoss', label_smoothing=0.1),
    'WeightedCrossEntropyLoss, sigmoid': partial(build_ours, 'WeightedCrossEntropyLoss', activation='sigmoid'),
    'WeightedSumLoss, the recipe': recipe,
    'the recipe as two losses': recipe_of_two,
    'GeneralizedWassersteinDiceLoss': partial(wasserstein, 'segparity'),
    "LovaszSoftmaxLoss, classes='all'": partial(build_ours, 'LovaszSoftmaxLoss', classes='all'),
    'LovaszSoftmaxLoss, per image': partial(build_ours, 'LovaszSoftmaxLoss', per_image=True),
    'LovaszHingeLoss': partial(build_ours, 'LovaszHingeLoss', per_image=False),
    'LovaszHingeLoss, per image': partial(build_ours, 'LovaszHingeLoss', per_image=True),
    'MONAI DiceLoss': partial(monai, 'DiceLoss'),
    'MONAI DiceLoss, jaccard': partial(monai, 'DiceLoss', jaccard=True),
    'MONAI DiceLoss, ignore_index': partial(with_ignored_label, monai, 'DiceLoss'),
    'MONAI DiceCELoss': partial(monai, 'DiceCELoss'),
    'MONAI DiceFocalLoss': partial(monai, 'DiceFocalLoss'),
    'MONAI GeneralizedDiceLoss': partial(monai, 'GeneralizedDiceLoss'),
    'MONAI TverskyLoss': partial(monai, 'TverskyLoss'),
    'MONAI SoftDiceclDiceLoss': partial(monai, 'SoftDiceclDiceLoss'),
    'MONAI GeneralizedWassersteinDiceLoss': partial(wasserstein, 'MONAI'),
    'SMP JaccardLoss': partial(smp, 'JaccardLoss'),
    'SMP JaccardLoss, ignore_index': partial(with_ignored_label, smp, 'JaccardLoss'),
    'SMP DiceLoss': partial(smp, 'DiceLoss'),
    'SMP TverskyLoss': partial(smp, 'TverskyLoss'),
    'SMP LovaszLoss': partial(smp, 'LovaszLoss'),
    'SMP LovaszLoss, per image': partial(smp, 'LovaszLoss', per_image=True),
    'SMP LovaszLoss, binary': partial(smp, 'LovaszLoss', mode='binary'),
    'SMP LovaszLoss, binary, per image': partial(smp, 'LovaszLoss', mode='binary', per_image=True),
    'mmseg DiceLoss': partial(mmseg, 'DiceLoss'),
    'mmseg TverskyLoss': partial(mmseg, 'TverskyLoss'),
    'mmseg LovaszLoss': partial(mmseg, 'LovaszLoss'),
    'mmseg LovaszLoss, per image': partial(mmseg, 'LovaszLoss', per_image=True),
    'mmseg LovaszLoss, binary': partial(mmseg, 'LovaszLoss', loss_type='binary'),
    'mmseg LovaszLoss, binary, per image': partial(mmseg, 'LovaszLoss', loss_type='binary', per_image=True),
    'torch cross_entropy': cross_entropy,
    'torch cross_entropy, class weights': partial(cross_entropy, has_weights=True),
    'torch cross_entropy, smoothing': partial(cross_entropy, label_smoothing=0.1),
    'torch binary_cross_entropy, one_hot': binary_cross_entropy,
    'torch one_hot, cross-entropy': plain_cross_entropy,
    'torch one_hot, Jaccard': plain_jaccard,
}  # fmt: skip
