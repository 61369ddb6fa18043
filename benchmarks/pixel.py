"""Time and peak memory of pixel losses and compounds in PyTorch on the CPU: ``python -m benchmarks.pixel [--soft]``.

Every loss of ours that is no region loss, and the recipe (a quarter of cross-entropy, three quarters of
JaccardMetricLoss) as one module and as two losses, beside PyTorch's cross-entropy with the same weights and smoothing,
MONAI's Dice, compounds and Wasserstein. Labels, turns, medians and memory: as for region losses (overlap.py).
"""

import math

from benchmarks import area, results

SHAPES = ((2, 19, 512, 1024), (4, 150, 256, 256), (8, 2, 512, 512), (1, 4, 160, 160, 96), (2, 4, 128, 128))
QUICK = ((2, 3, 16, 32), (1, 3, 8, 8, 8))
REFERENCE, MONAI = 'torch cross_entropy', 'MONAI DiceLoss'
PIXEL = {  # ours -> PyTorch's own
    'WeightedCrossEntropyLoss': REFERENCE,
    'WeightedCrossEntropyLoss, class weights': 'torch cross_entropy, class weights',
    'WeightedCrossEntropyLoss, smoothing': 'torch cross_entropy, smoothing',
    'WeightedCrossEntropyLoss, sigmoid': REFERENCE,
    'FocalCrossEntropyLoss': REFERENCE,
    'FocalCrossEntropyLoss, gamma=5': REFERENCE,
    'TopKCrossEntropyLoss': REFERENCE,
    'OhemCrossEntropyLoss': REFERENCE,
    'DistillationKLLoss': REFERENCE,
    'DistillationKLLoss, temperature=4': REFERENCE,
    'PixelContrastLoss, embedding at an eighth': REFERENCE,
    'SemanticEncodingLoss, mean of the logits': REFERENCE,
    'BoundaryAwareLoss, bins given': REFERENCE,
    'InverseFormLoss, of one channel': REFERENCE,
    'TopologyAwareFocalLoss, one class': REFERENCE,
    'PixelTripletLoss, embedding at an eighth': REFERENCE,
    'ConditionalBoundaryLoss, embedding at an eighth': REFERENCE,
    'FeatureDistanceLoss, of pixels': REFERENCE,
    'RobustTLoss': REFERENCE,
}
HARD = (  # labels alone
    'PixelContrastLoss, embedding at an eighth', 'SemanticEncodingLoss, mean of the logits', 'BoundaryAwareLoss, bins given',
    'InverseFormLoss, of one channel', 'PixelTripletLoss, embedding at an eighth',
    'ConditionalBoundaryLoss, embedding at an eighth',
)  # fmt: skip
FEATURES = 'FeatureDistanceLoss, of pixels'  # soft labels alone
ON_THE_HOST = 'TopologyAwareFocalLoss, one class'
FEW_PIXELS = 2**14  # of an image, for a loss of seconds on a large one
RECIPE, TWO = 'WeightedSumLoss, the recipe', 'the recipe as two losses'
COMPOUND = 'ComboLoss', 'ExponentialLogarithmicLoss', 'UnifiedFocalLoss', 'SensitivitySpecificityLoss'
WASSERSTEIN, RMI = 'GeneralizedWassersteinDiceLoss', 'RegionMutualInformationLoss'
OF_PICTURES = RMI, 'ConditionalBoundaryLoss, embedding at an eighth', 'InverseFormLoss, of one channel'
PEERS = (
    *dict.fromkeys(PIXEL.values()), 'torch binary_cross_entropy, one_hot', MONAI, 'MONAI DiceCELoss',
    'MONAI DiceFocalLoss', f'MONAI {WASSERSTEIN}',
)  # fmt: skip
NAMES = (*PIXEL, RECIPE, TWO, *COMPOUND, WASSERSTEIN, RMI, *PEERS)
MEASURABLE = 2**24  # bytes of logits below which the memory of a process says little


def title(labels):
    return f'Pixel losses and compounds, {labels} labels, float32'


def names_for(shape):
    """Those that take as many axes, and as many pixels."""
    left_out = set(OF_PICTURES) if len(shape) != 4 else set()
    left_out |= {ON_THE_HOST} if math.prod(shape[2:]) > FEW_PIXELS else set()
    return [name for name in NAMES if name not in left_out]


def measure(options):
    from benchmarks import overlap

    labels, cases = 'soft' if options.soft else 'hard', {}
    for shape in QUICK if options.quick else SHAPES:
        if overlap.unit_bytes(shape) < MEASURABLE:
            area.say(f'{shape} {labels}')
            seconds, left_out = overlap.time_contenders(names_for(shape), shape, labels, rounds=options.rounds)
            cases[str(shape)] = results.case(seconds, left_out=left_out)
        else:
            cases[str(shape)] = overlap.compare(names_for(shape), shape, labels, rounds=options.rounds)
    yield results.comparison(title(labels), cases, REFERENCE)


def main():
    parser = area.parser(__doc__)
    parser.add_argument('--soft', action='store_true', help='soft labels')
    area.run(measure, parser.parse_args())


if __name__ == '__main__':
    main()
