"""What float32 costs in accuracy: ``python -m benchmarks.accuracy``.

Each loss in the inputs' precision against the same loss on the same numbers in float64: the error of the value, and the
largest error of the gradient over its largest entry. Ours in float64 is the plain path, not the fused operator.
"""

from benchmarks import area, results
from benchmarks.batches import batch
from benchmarks.contenders import build, build_all

SHAPES = ((2, 19, 512, 1024),)
QUICK = ((2, 3, 32, 32),)
OURS = (
    'JaccardMetricLoss', 'JaccardMetricLoss, I + C', 'SoftDiceLoss', 'GeneralizedDiceLoss', 'FocalTverskyLoss',
    'LovaszSoftmaxLoss',
)  # fmt: skip
PEERS = (
    'MONAI DiceLoss', 'MONAI GeneralizedDiceLoss', 'MONAI TverskyLoss', 'SMP JaccardLoss', 'SMP LovaszLoss',
    'mmseg DiceLoss', 'mmseg LovaszLoss', 'torch cross_entropy',
)  # fmt: skip


def errors(names, shape, labels, dtype):
    """Name -> [error of the value, error of the gradient], and who was left out."""
    logits, target = batch(shape, labels, dtype)
    few = [x[:1, ..., :16, :16].detach().contiguous() for x in (logits, target)]
    losses, left_out = build_all(names, few[0].requires_grad_(), few[1])
    exact, without = build_all(losses, few[0].detach().double().requires_grad_(), few[1])
    found = {}
    for name in exact:
        area.say(f'{shape} {labels} {dtype} {name}')
        value, gradient = outcome(losses[name], logits, target)
        loss = build(name, labels, mode='plain') if name in OURS else exact[name]
        want, slope = outcome(loss, logits.detach().double().requires_grad_(), target)
        found[name] = [abs(value - want), ((gradient.double() - slope).abs().max() / slope.abs().max()).item()]
    return found, left_out | without


def outcome(loss, logits, target):
    """The value and the gradient."""
    logits.grad = None
    value = loss(logits, target)
    value.backward()
    return value.item(), logits.grad


def measure(options):
    for labels, dtype in (('hard', 'float32'), ('soft', 'float32'), ('hard', 'bfloat16')):
        cases, left_out = {}, {}
        for shape in QUICK if options.quick else SHAPES:
            cases[str(shape)], missing = errors(OURS + PEERS, shape, labels, dtype)
            left_out |= missing
        yield results.accuracy(f'Accuracy, {labels} labels, {dtype}', cases, left_out=left_out)


if __name__ == '__main__':
    area.run(measure, area.parser(__doc__).parse_args())
