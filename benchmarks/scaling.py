"""How the cost of a loss grows with pixels, classes, batch and a third dimension: ``python -m benchmarks.scaling``.

Forward and backward on float32 logits and hard labels, medians. The slope is b of cost = a * size ** b, fitted to the
three largest sizes: 1 where the cost is proportional, less where what every call costs still counts.
"""

from benchmarks import area, results
from benchmarks.overlap import compare, time_contenders

NAMES = (
    'JaccardMetricLoss', 'JaccardMetricLoss (plain)', 'SoftDiceLoss', 'WeightedCrossEntropyLoss',
    'GeneralizedWassersteinDiceLoss', 'LovaszSoftmaxLoss', 'MONAI DiceLoss',
)  # fmt: skip
VOLUMES = (
    'JaccardMetricLoss', 'JaccardMetricLoss (plain)', 'SoftDiceLoss', 'GeneralizedDiceLoss', 'LovaszSoftmaxLoss',
    'MONAI DiceLoss', 'MONAI GeneralizedDiceLoss', 'torch cross_entropy',
)  # fmt: skip
PIXELS, CLASSES, BATCH = (128, 256, 512, 1024, 2048), (2, 4, 19, 64, 150, 400, 1000), (1, 2, 4, 8, 16, 32)
VOLUME = 160, 160, 96


def along(title, axis, points, shape_of, rounds):
    """The section of one axis; shape_of: point -> shape of the logits."""
    columns, left_out = [], {}
    for point in points:
        area.say(f'{axis}: {point}')
        seconds, missing = time_contenders(NAMES, shape_of(point), rounds=rounds)
        columns.append(seconds)
        left_out |= missing
    names = [name for name in NAMES if any(name in column for column in columns)]
    seconds = {name: [column.get(name) for column in columns] for name in names}
    return results.scaling(title, axis, points, seconds, left_out=left_out)


def measure(options):
    rounds = options.rounds
    sides, classes, batch = ((16, 32), (2, 3), (1, 2)) if options.quick else (PIXELS, CLASSES, BATCH)
    side, volume = (32, (16, 16, 16)) if options.quick else (128, VOLUME)
    by_side = {s * s: s for s in sides}
    yield along(
        'Cost against pixels, (1, 19, side, side)',
        'pixels', list(by_side), lambda p: (1, 19, by_side[p], by_side[p]), rounds,
    )  # fmt: skip
    yield along(
        f'Cost against classes, (4, C, {side}, {side})', 'classes', classes, lambda c: (4, c, side, side), rounds
    )
    yield along(
        f'Cost against the batch, (N, 19, {side}, {side})', 'images', batch, lambda n: (n, 19, side, side), rounds
    )
    cases = {str(s): compare(VOLUMES, s, rounds=rounds) for s in ((1, 4, *volume), (2, 4, *volume))}
    yield results.comparison('Volumes of 4 classes', cases, 'MONAI DiceLoss')


if __name__ == '__main__':
    area.run(measure, area.parser(__doc__).parse_args())
