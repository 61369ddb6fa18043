"""What the distributed tests train: configurations of losses, and batches with who gets which images; NumPy alone."""

from typing import NamedTuple

import numpy as np

from shared_spec import LOSSES
from tests.support.losses import OTHERS, PLAIN

IGNORED, SIZE = 255, 12
SLOW = ('compiled', 'sharded')
LOCAL = ('avg_factor', 'none')  # where a rank's value is its own, and DDP's mean that of the joined batch
MODES = ('find_unused', 'static_graph', 'accumulate', 'no_sync', 'twice', 'outside', 'two_heads')


class Case(NamedTuple):
    """A loss on a batch of 'hard' or 'soft' labels; mode: what is done besides to the model or the backward pass.

    'classes': the sum of the unreduced losses of classes, which are those of all ranks.
    'counted': ranks of a Lovasz loss add up counts, however few pixels there are. 'more': a loss that takes more than
    logits and labels, see ``handed_over``.
    """

    config: dict
    batch: str = 'uneven'
    mode: str = ''
    labels: str = 'hard'
    channels: int = 3
    classes: int = 0  # of the labels, where they are not as many as channels


def case(name, example=None, mode='', batch='uneven', labels='hard', **changes):
    """The ``Case`` of an example of a loss's spec, the first unless it is named."""
    about = LOSSES[name].examples[example or next(iter(LOSSES[name].examples))]
    config = dict(about.params, **({about.weights: [1.0, 2.0, 3.0]} if about.weights else {}))
    if 'learn_nu' in LOSSES[name].parameters():
        config['learn_nu'] = True
    many = 'many' in about.channels and 'many' in LOSSES[name].channels
    channels, classes = len(config.get('distance_matrix', 'RGB')) if many else 1, 0
    if LOSSES[name].of_branch and not LOSSES[name].of_image:  # which has more channels than there are classes
        logits, classes = np.zeros((1, channels, 1)), channels
        channels = LOSSES[name](**config).adapt_case(logits, logits[:, 0], np.random.default_rng(0))[0].shape[1]
    return Case(dict(type=name, **config, **changes), batch, mode, labels, channels, classes)


def cases():
    """id -> Case: every example of every loss, then the batches, the modes and the levels."""
    found = {}
    for name, about in PLAIN.items():
        short = name.removesuffix('Loss')
        found[f'{short}-uneven'] = case(name)
        found.update({f'{short}-{example}': case(name, example) for example in list(about.examples)[1:]})
        found.update({f'{short}-{batch}': case(name, batch=batch) for batch in ('nothing_valid', 'no_image')})
        if 'soft' in about.labels:
            found[f'{short}-soft'] = case(name, batch='weighted', labels='soft')
        if 'sync' in about.parameters():
            found[f'{short}-unsynced'] = case(name, mode='unsynced', sync=False)
        found[f'{short}-autocast'] = case(name, mode='autocast')
    for name in OTHERS:
        found.update(of_more_than_logits(name))
    for mode in MODES:
        for name in ('JaccardMetricLoss', 'WeightedCrossEntropyLoss', 'LovaszSoftmaxLoss'):
            found[f'{name.removesuffix("Loss")}-{mode}'] = case(name, mode=mode)
    for example in ('default', 'all_weighted', 'list_sigmoid'):
        found[f'LovaszSoftmax-{example}-counted'] = case('LovaszSoftmaxLoss', example, mode='counted')
    for batch in ('nothing_valid', 'no_image', 'weighted'):
        found[f'LovaszSoftmax-{batch}-counted'] = case('LovaszSoftmaxLoss', batch=batch, mode='counted')
    found['LovaszHinge-batch-counted'] = case('LovaszHingeLoss', 'batch', mode='counted')
    for mode in SLOW:
        for name in ('JaccardMetricLoss', 'WeightedCrossEntropyLoss'):
            found[f'{name.removesuffix("Loss")}-{mode}'] = case(name, mode=mode)
    for batch in ('uneven', 'nothing_valid', 'weighted'):
        for levels in ('I', 'C', {'D': 0.5, 'I': 0.3, 'C': 0.2}):
            key = f'JaccardMetric-{"".join(levels)}-{batch}'
            found[key] = case('JaccardMetricLoss', batch=batch, granularity=levels)
    for mode in ('sum', 'avg_factor', 'none'):
        found[f'WeightedCrossEntropy-{mode}'] = case('WeightedCrossEntropyLoss', 'inverse_frequency', mode=mode)
    for distance in ('l1', 'l2'):
        config = dict(distance=distance, loss_weight=0.5)
        found[f'FeatureDistance-{distance}'] = case('FeatureDistanceLoss', batch='weighted', labels='soft', **config)
    found['JaccardMetric-classes'] = case('JaccardMetricLoss', mode='classes')
    weights = dict(class_weight=[1.0, 2.0, 3.0], normalize_class_weight=True)
    found['JaccardMetric-normalized'] = case('JaccardMetricLoss', granularity={'D': 0.5, 'I': 0.3, 'C': 0.2}, **weights)
    return found


def of_more_than_logits(name):
    """id -> Case of a loss that takes more than logits and labels, of the examples in which nothing is random."""
    short, about = name.removesuffix('Loss'), LOSSES[name]
    examples = [e for e, example in about.examples.items() if getattr(about(**example.params), 'order', '') != 'random']
    found = {
        f'{short}-{example}-uneven': case(name, example, mode='more', labels=about.examples[example].labels[0])
        for example in examples
    }
    for batch in ('weighted', 'nothing_valid', 'no_image'):
        found[f'{short}-{batch}'] = case(name, examples[0], mode='more', batch=batch)
    found[f'{short}-unsynced'] = case(name, examples[0], mode='unsynced', sync=False)
    return found


def rare_names():
    """The names of the cases of PyTorch that are slow: compiled and sharded models, and what most losses say alike."""
    found = cases()
    shorts = {name.removesuffix('Loss'): list(about.examples)[1:] for name, about in PLAIN.items()}
    alike = {f'{short}-{example}' for short, examples in shorts.items() for example in examples}
    alike |= {f'{short}-autocast' for short in list(shorts)[::2]}
    alike |= {f'{short}-no_image' for short in list(shorts)[1::2]} - set(few_names(found))
    return [name for name in found if found[name].mode in SLOW or name in alike]


def handed_over(config, z, mean, tensor=lambda array: array):
    """(pred, extras) of a loss on logits z: these are the embedding too, and their ``mean`` over pixels is what
    a branch says of images.

    tensor: what makes tensors of arrays, where a loss takes no arrays.
    """
    about = LOSSES[config['type']]
    extras, channels = dict.fromkeys(about.needs, z), mean(z).shape[-1]
    if 'classifier' in extras:
        extras['classifier'] = tensor(np.eye(channels)), tensor(np.arange(channels) / 4)
    return mean(z) if about.of_image else z, extras


def names_for_three():
    """The names of the cases that three processes run: all but what is only another parameter of a loss."""
    besides = [name for name, case in cases().items() if case.mode not in ('', 'unsynced', 'autocast', *SLOW)]
    return [*few_names(cases()), *besides]


def few_names(names):
    """Of the cases' names those for where a process or a framework is slow: a batch of each loss, and empty shares."""
    empty = ('GeneralizedDice', 'JaccardMetric', 'LovaszSoftmax', 'RegionMutualInformation')
    return [name for name in names if name.endswith('-uneven') or name in {f'{loss}-no_image' for loss in empty}]


def shares(batch, world):
    """Which of the images each rank has: unevenly many, or none for the last one."""
    if world == 1:
        sizes = [4]
    elif batch == 'no_image':
        sizes = [2] * (world - 1) + [0]
    else:
        sizes = [3, 1] if world == 2 else [2, 1, 3]
    ends = np.cumsum(sizes)
    return [slice(int(end - size), int(end)) for size, end in zip(sizes, ends)]


def data(about, world):
    """x (N, 3, 12, 12), labels and pixel weights or None of the joined batch, float64.

    The first image is half ignored and the last one has no class 2; 'nothing_valid': the last rank's are ignored.
    """
    rng = np.random.default_rng(0)
    parts = shares(about.batch, world)
    n = parts[-1].stop
    x = rng.normal(0, 1, (n, 3, SIZE, SIZE))
    y = rng.integers(0, about.classes or max(about.channels, 2), (n, SIZE, SIZE))
    if LOSSES[about.config['type']].needs_areas:
        y = y[:, ::6, ::4].repeat(6, 1).repeat(4, 2)
    y[0, : SIZE // 2] = IGNORED
    y[-1][y[-1] == 2] = 0
    if about.batch == 'nothing_valid':
        y[parts[-1]] = IGNORED
    weight = rng.uniform(0, 1, y.shape).round(1) if about.batch == 'weighted' else None
    if about.labels == 'soft':
        y = rng.dirichlet([0.3] * about.channels, y.shape) if about.channels > 1 else rng.uniform(0, 1, (*y.shape, 1))
        y = np.moveaxis(y, -1, 1)
    return x, y, weight
