"""Time and memory of heads whose logits are smaller than the labels: ``python -m benchmarks.resize``.

``loss_by_feat`` of a decode head of MMSegmentation, accuracy included, forward and backward from float32 logits at an
eighth and a quarter of the side: its own way (``host``: resize, then the losses) and with ``FusedResizeHook``. Then a
training step of two real heads, from their features to the gradients of their parameters. Memory is in multiples of
full-size logits, in a fresh process.
"""

from benchmarks import area, results
from benchmarks.batches import BLOCK, IGNORED, spread
from benchmarks.memory import free_unused, peak_bytes
from benchmarks.overlap import unit_bytes
from benchmarks.timing import time_in_turns

CROSS_ENTROPY, JACCARD = dict(type='WeightedCrossEntropyLoss'), dict(type='JaccardMetricLoss')
RECIPE = 'cross-entropy + Jaccard'
LOSSES = {
    'WeightedCrossEntropyLoss': [CROSS_ENTROPY],
    'JaccardMetricLoss': [JACCARD],
    RECIPE: [CROSS_ENTROPY | dict(loss_weight=0.25), JACCARD | dict(loss_weight=0.75)],
    'UnifiedFocalLoss': [dict(type='UnifiedFocalLoss')],
}
THEIRS = 'mmseg CrossEntropyLoss, host'
HOST = ', host'
CASES = (
    ((2, 150, 512, 512), 8),
    ((2, 150, 512, 512), 4),
    ((2, 19, 512, 1024), 8),
    ((2, 19, 512, 1024), 4),
)
QUICK = (((2, 5, 64, 64), 4),)
TITLE, STEP = 'Heads that resize', 'A training step of a head'
BATCH_NORM = dict(type='BN')
HEADS = {
    'SegformerHead': (
        dict(type='mmseg.SegformerHead', in_channels=[32, 64, 160, 256], in_index=[0, 1, 2, 3], channels=256),
        ((32, 4), (64, 8), (160, 16), (256, 32)),
    ),
    'ASPPHead': (
        dict(type='mmseg.ASPPHead', in_channels=512, in_index=0, channels=128, dilations=(1, 12, 24, 36)),
        ((512, 8),),
    ),
}


def case_name(shape, scale):
    return f'{shape}, logits at 1/{scale}'


def names():
    return [THEIRS, *(name + way for name in LOSSES for way in ('', HOST))]


def build_head(name, classes, config=None):
    """A head with the losses of a contender, and the hook's way unless it is the host's."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

    # isort: split
    from mmseg.registry import MODELS

    from mmseg_plugin.heads.swap import fuse_resize

    losses = [dict(type='CrossEntropyLoss')] if name == THEIRS else LOSSES[name.removesuffix(HOST)]
    config = config or dict(type='mmseg.FCNHead', in_channels=1, channels=1, num_convs=0, concat_input=False)
    head = MODELS.build(dict(config, num_classes=classes, norm_cfg=BATCH_NORM, loss_decode=losses))
    if not name.endswith(HOST):
        fuse_resize(head)
    return head


def samples(shape):
    """Labels of a batch as heads take them: blocks of 16 pixels, 5 % of the pixels ignored."""
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(0)
    n, c, *space = shape
    coarse = torch.randint(c, (n, *(-(-size // BLOCK) for size in space)), generator=generator)
    ids = spread(coarse, space)
    ids[torch.rand(ids.shape, generator=generator) < 0.05] = IGNORED
    return [SegDataSample(gt_sem_seg=PixelData(data=y[None])) for y in ids]


def logits_step(name, shape, scale):
    """``loss_by_feat`` forward and backward, from logits."""
    import torch

    n, c, height, width = shape
    head, labels = build_head(name, c), samples(shape)
    logits = torch.randn(n, c, height // scale, width // scale, requires_grad=True)
    return lambda: step(head.loss_by_feat(logits, labels), [logits])


def head_step(name, shape, kind):
    """A head's forward and backward, from features."""
    import torch

    config, features = HEADS[kind]
    head, labels = build_head(name, shape[1], config), samples(shape)
    made = [torch.randn(shape[0], c, shape[2] // scale, shape[3] // scale) for c, scale in features]
    return lambda: step(head.loss(made, labels, {}), head.parameters())


def step(losses, leaves):
    for leaf in leaves:
        leaf.grad = None
    sum(value for name, value in losses.items() if 'loss' in name).backward()


def prepare(make, name, shape, where):
    """A step for ``peak_bytes``, after one on a small batch that takes the same ways."""
    make(name, (*shape[:2], *(x // 2 for x in shape[2:])), where)()
    call = make(name, shape, where)
    free_unused()
    return call


def compare(make, contenders, shape, where, rounds):
    seconds = time_in_turns({name: make(name, shape, where) for name in contenders}, rounds)
    peaks = {name: peak_bytes(prepare, make, name, shape, where) for name in contenders}
    return results.case(seconds, {k: v for k, v in peaks.items() if v is not None}, unit_bytes(shape))


def measure(options):
    contenders, heads = (names()[:3], list(HEADS)[1:]) if options.quick else (names(), list(HEADS))
    cases = {}
    for shape, scale in QUICK if options.quick else CASES:
        area.say(f'resize: {shape} {scale}')
        cases[case_name(shape, scale)] = compare(logits_step, contenders, shape, scale, options.rounds)
    yield results.comparison(TITLE, cases, next(iter(LOSSES)), unit='full-size logits')
    steps = {}
    for kind in heads:
        area.say(f'resize: {kind}')
        shape = QUICK[0][0] if options.quick else CASES[0][0]
        steps[f'{kind}, {shape}'] = compare(head_step, (RECIPE, RECIPE + HOST, THEIRS), shape, kind, options.rounds)
    yield results.comparison(STEP, steps, RECIPE, unit='full-size logits')


if __name__ == '__main__':
    area.run(measure, area.parser(__doc__).parse_args())
