"""What every parameter of every loss and metric takes: the ends of its range, in it and just beyond it.

Written out here once more, for a range that is read off the spec agrees with whatever the spec says.
"""

import math

import pytest

from shared_spec import LOSSES, METRICS, SpecError

INF = math.inf
SWITCH = ([True, False], [0, 1, 'yes', None])
POSITIVE, NOT_NEGATIVE, SHARE = '(0, inf)', '[0, inf)', '[0, 1]'
FROM_ONE, FROM_TWO = 'integer [1, inf)', 'integer [2, inf)'
A_WEIGHT_EACH = ([None, [0, 1], (2, 3.5), [1]], [[0, 0], [-1e-9, 1], [], 1, ['a']])
CLASSES = (['auto', 'present', 'all', [0], [2, 0]], ['none', [], [-1], [1, 1], [0.5], None])
GRANULARITY = (['D', 'I', 'C', {'D': 1, 'I': 0, 'C': 2}], ['Q', {}, {'I': 0}, {'I': -1e-9, 'C': 1}, {'Q': 1}])


def words(*allowed):
    return list(allowed), ['other', None, list(allowed)]


def names(*allowed):
    """A list of different ones of them, at least one."""
    return [list(allowed), [allowed[-1]]], [[], ['other'], [allowed[0]] * 2, allowed[0], None]


RANGES = {
    'loss_weight': NOT_NEGATIVE,
    'smooth': NOT_NEGATIVE,
    'presence_threshold': '[0, 1)',
    'activation': words('softmax', 'sigmoid'),
    'from_logits': SWITCH,
    'sync': SWITCH,
    'log_loss': SWITCH,
    'binary': SWITCH,
    'ignore_index': ([None, 0, 255, -100], [0.5, 'void', True]),
    'class_weight': A_WEIGHT_EACH,
    'classes': CLASSES,
    'granularity': GRANULARITY,
    'num_classes': FROM_ONE,
    'window': ([3, 5, 31.0], [1, 2, 4, -3, 3.5, None]),
    'present_in': words('target', 'either'),
    'levels': names('D', 'I', 'C'),
    'norm': FROM_ONE,
    'per_image': SWITCH,
    'ActiveBoundaryLoss label_smoothing': SHARE,
    'ActiveBoundaryLoss max_clip_distance': POSITIVE,
    'ActiveBoundaryLoss max_boundary_ratio': '(0, 1]',
    'ActiveBoundaryLoss detach': SWITCH,
    'ActiveBoundaryLoss budget': words('image', 'batch'),
    'ActiveBoundaryLoss ignored': words('mask', 'boundary'),
    'InverseFormLoss activation': words('sigmoid', 'log_softmax'),
    'InverseFormLoss distance': words('euclidean', 'geodesic'),
    'InverseFormLoss tiles': ([[1, 1], (3, 6)], [[0, 1], [1], [1, 2, 3], 3, None]),
    'InverseFormLoss tile_size': ([32], [1, 2.5, None, 'a']),
    'InverseFormLoss weights': ([None], [1, '', [], {}, {'fc_0_weight': [[1.0]]}]),
    'DistillationKLLoss temperature': POSITIVE,
    'DistillationKLLoss teacher_from_logits': SWITCH,
    'FeatureDistanceLoss distance': words('jaccard', 'dice', 'l1', 'l2', 'cosine'),
    'FocalCrossEntropyLoss alpha': (
        [None, 0, 1.5, [0, 2], [0.25], [0, 0]],
        [-1e-9, math.inf, [-1e-9, 1], [], ['a'], 'balanced'],
    ),
    'FocalCrossEntropyLoss gamma': NOT_NEGATIVE,
    'TopKCrossEntropyLoss k': '(0, 100]',
    'OhemCrossEntropyLoss thresh': SHARE,
    'OhemCrossEntropyLoss min_kept': 'integer [0, 2147483647]',
    'pooled': SWITCH,
    'normalize_class_weight': SWITCH,
    'BoundaryAwareLoss num_bins': FROM_TWO,
    'BoundaryAwareLoss max_distance': FROM_ONE,
    'BoundaryAwareLoss classes': ([None, [0], [2, 0], (255,)], [[], [-1], [1, 1], [0.5], 'all', 1]),
    'BoundaryDoULoss max_alpha': '[-1, 1)',
    'CenterlineDiceLoss alpha': SHARE,
    'CenterlineDiceLoss iterations': 'integer [0, inf)',
    'ActiveBoundaryLoss spacing': ([None, [1e-9, 1]], [[0, 1], [1], [1, 2, 3], [], 1]),
    'spacing': ([None, [1e-9], [1, 2, 3]], [[0], [-1], [1, 0], [], 1]),
    'FocalTverskyLoss alpha': NOT_NEGATIVE,
    'FocalTverskyLoss beta': NOT_NEGATIVE,
    'FocalTverskyLoss gamma': POSITIVE,
    'LogCoshDiceLoss norm': 'integer [1, 2]',
    'SoftDiceLoss norm': 'integer [1, 2]',
    'SoftJaccardLoss norm': 'integer [1, 2]',
    'SoftTverskyLoss alpha': NOT_NEGATIVE,
    'SoftTverskyLoss beta': NOT_NEGATIVE,
    'CompatibleTverskyLoss alpha': NOT_NEGATIVE,
    'CompatibleTverskyLoss beta': NOT_NEGATIVE,
    'CompatibleTverskyLoss gamma': '[1, inf)',
    'DiceSemimetricLoss gamma': '[1, inf)',
    'JaccardMetricLoss gamma': '[1, inf)',
    'ComboLoss alpha': SHARE,
    'ComboLoss beta': SHARE,
    'ExponentialLogarithmicLoss dice_weight': NOT_NEGATIVE,
    'ExponentialLogarithmicLoss ce_weight': NOT_NEGATIVE,
    'ExponentialLogarithmicLoss gamma_dice': POSITIVE,
    'ExponentialLogarithmicLoss gamma_ce': POSITIVE,
    'ExponentialLogarithmicLoss clip': '(0, 0.5)',
    'ExponentialLogarithmicLoss class_weight': (['frequency', *A_WEIGHT_EACH[0]], ['balanced', *A_WEIGHT_EACH[1]]),
    'TopologyAwareFocalLoss gamma': NOT_NEGATIVE,
    'TopologyAwareFocalLoss topology_weight': NOT_NEGATIVE,
    'TopologyAwareFocalLoss dimensions': ([None, [0], [2, 0, 1]], [[], [-1], [3], [1, 1], [0.5], 'all', 1]),
    'UnifiedFocalLoss weight': SHARE,
    'UnifiedFocalLoss delta': SHARE,
    'UnifiedFocalLoss gamma': '[0, 1)',
    'UnifiedFocalLoss asymmetric': SWITCH,
    'GeneralizedDiceLoss classes': (['all', [0], [2, 0]], ['auto', 'present', [], [-1], [1, 1]]),
    'GeneralizedDiceLoss granularity': (['D', 'I', {'D': 1, 'I': 2}], ['C', {'C': 1}, {'I': 0}, {'I': -1}]),
    'GeneralizedDiceLoss absent': words('max', 'drop'),
    'GeneralizedDiceLoss overlap': words('product', 'metric'),
    'GeneralizedDiceLoss weighting': words('square', 'simple', 'uniform'),
    'GeneralizedWassersteinDiceLoss weighting': words('default', 'gdl'),
    'GeneralizedWassersteinDiceLoss background': 'integer [0, inf)',
    'GeneralizedWassersteinDiceLoss distance_matrix': (
        [None, [[0, 1], [2, 0]], [[0, 0], [1e-9, 0]]],
        [[[0, 0], [0, 0]], [[0, -1e-9], [1, 0]], [[1e-9, 1], [1, 0]], [[0, 1]], [[0, 1], [1]], [[0]], 1],
    ),
    'ConditionalBoundaryLoss weight_context': NOT_NEGATIVE,
    'ConditionalBoundaryLoss weight_classify': NOT_NEGATIVE,
    'ConditionalBoundaryLoss weight_a2c': NOT_NEGATIVE,
    'ConditionalBoundaryLoss skip_class': ([None, 0, 254], [-1, 0.5, True]),
    'ConditionalBoundaryLoss ignored': words('mask', 'differ'),
    'ConditionalBoundaryLoss boundary_ratio': '(0, 1]',
    'PixelTripletLoss margin': NOT_NEGATIVE,
    'PixelTripletLoss samples': 'integer [1, 32768]',
    'PixelContrastLoss temperature': POSITIVE,
    'PixelContrastLoss base_temperature': POSITIVE,
    'PixelContrastLoss max_samples': FROM_ONE,
    'PixelContrastLoss max_views': FROM_ONE,
    'PixelContrastLoss sampling': words('segmentation_aware', 'hardest', 'semi_hard'),
    'PixelContrastLoss order': words('random', 'first'),
    'PixelContrastLoss memory_size': 'integer [0, inf)',
    'RegionMutualInformationLoss ce': words('sigmoid', 'softmax'),
    'RegionMutualInformationLoss ce_weight': SHARE,
    'RegionMutualInformationLoss pool': words('max', 'avg', 'interpolate', 'none'),
    'RegionMutualInformationLoss pool_size': FROM_ONE,
    'RegionMutualInformationLoss radius': FROM_ONE,
    'DistanceMapCrossEntropyLoss regions': words('foreground', 'classes'),
    'HausdorffDistanceLoss method': words('distance_transform', 'erosion', 'convolution'),
    'HausdorffDistanceLoss alpha': NOT_NEGATIVE,
    'HausdorffDistanceLoss erosions': FROM_ONE,
    'HausdorffDistanceLoss radii': ([[1], [6, 3]], [[], [0], [1.5], [3, 3], 3, None]),
    'RegionWiseLoss map': words('rectified', 'boundary'),
    'RobustTLoss nu': POSITIVE,
    'RobustTLoss log_precision': '[-80, 80]',
    'RobustTLoss epsilon': NOT_NEGATIVE,
    'RobustTLoss learn_nu': SWITCH,
    'SensitivitySpecificityLoss weight': SHARE,
    'WeightedCrossEntropyLoss label_smoothing': SHARE,
    'WeightedCrossEntropyLoss pos_weight': (
        [None, 0, 2.5, [0, 3], [1.5], [0, 0]],
        [-1e-9, math.inf, [-1e-9, 1], [], ['a'], 'balanced'],
    ),
    'WeightedCrossEntropyLoss divisor': words('valid', 'all', 'pixels'),
    'WeightedCrossEntropyLoss class_weight': (
        ['inverse_frequency', 'balanced', *A_WEIGHT_EACH[0]],
        ['frequency', *A_WEIGHT_EACH[1]],
    ),
    'WeightedSumLoss losses': ([[dict(type='SoftDiceLoss')] * 2], [[], 'SoftDiceLoss', [dict(type='FineGrained')]]),
    'WeightedSumLoss weights': ([None, [0, 2]], [[-1e-9, 1], [1], [1, 1, 1], 1]),
    'FineGrained metrics': names('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'),
    'FineGrained q': ([[], [1], [100], [5, 1]], [[0], [101], [5, 5], [1.5], 5, None]),
    'FineGrained beta': POSITIVE,
    'BoundaryIoU ratio': '(0, 1]',
    'SurfaceDistance levels': (names('I', 'C')[0], [['D'], *names('I', 'C')[1]]),
    'SurfaceDistance metrics': names('HD', 'HD95', 'ASSD'),
    'SurfaceDistance empty': words('inf', 'diagonal'),
    'Calibration num_classes': FROM_TWO,
    'Calibration levels': (names('D', 'I')[0], [['C'], *names('D', 'I')[1]]),
    'Calibration metrics': names('ECE', 'SCE'),
    'Calibration bins': FROM_ONE,
    'Calibration hit': words('label', 'argmax'),
}
SPECS = {**LOSSES, **METRICS}
PARAMETERS = [(name, parameter) for name, cls in SPECS.items() for parameter in cls.parameters()]
BESIDES = {  # what a value needs beside it
    ('WeightedSumLoss', 'weights'): dict(losses=[dict(type='SoftDiceLoss')] * 2),
    ('RegionMutualInformationLoss', 'from_logits'): dict(ce='sigmoid'),
    ('BoundaryAwareLoss', 'num_bins'): dict(max_distance=1000),
    ('BoundaryAwareLoss', 'max_distance'): dict(num_bins=2),
}


def range_of(name, parameter):
    return RANGES.get(f'{name} {parameter}', RANGES.get(parameter))


def ends(interval):
    """Values that '(0, 1]' and the like take, and values that they do not."""
    integer = interval.startswith('integer ')
    interval = interval.removeprefix('integer ')
    accepted, refused = [], ['a', None, math.nan, True] + [0.5] * integer
    for text, bracket, beyond in zip(interval[1:-1].split(', '), (interval[0], interval[-1]), (-1, 1)):
        end = float(text)
        inside, outside = (end - beyond, end + beyond) if integer else (next_to(end, -beyond), next_to(end, beyond))
        if end == INF:
            accepted.append(1000 if integer else 1e9)
            refused.append(INF)
        elif bracket in '[]':
            accepted.append(end)
            refused.append(outside)
        else:
            accepted.append(inside)
            refused.append(end)
    return accepted, refused


def next_to(end, towards):
    return math.nextafter(end, towards * INF)


def test_the_ends_of_an_interval():
    assert ends('(0, 0.5]')[0] == [5e-324, 0.5] and ends('(0, 0.5]')[1][-2:] == [0.0, math.nextafter(0.5, 1)]
    assert ends('integer [1, inf)') == ([1, 1000], ['a', None, pytest.approx(math.nan, nan_ok=True), True, 0.5, 0, INF])


def test_every_range_is_one_of_a_parameter_and_every_parameter_has_one():
    assert not [each for each in PARAMETERS if range_of(*each) is None]
    used = {f'{n} {p}' if f'{n} {p}' in RANGES else p for n, p in PARAMETERS}
    assert used == set(RANGES)


@pytest.mark.parametrize(('name', 'parameter'), PARAMETERS)
def test_ends_of_the_range(name, parameter):
    allowed = range_of(name, parameter)
    accepted, refused = ends(allowed) if isinstance(allowed, str) else allowed
    besides = BESIDES.get((name, parameter), {})
    if name in METRICS and parameter != 'num_classes':
        besides = dict(num_classes=2)
    for value in accepted:
        if parameter == 'from_logits' and not value and SPECS[name].needs_logits:
            continue
        spec = SPECS[name](**besides, **{parameter: value})
        assert type(spec).from_dict(spec.to_dict()) == spec
    for value in refused:
        with pytest.raises(SpecError, match=f'^{name}: {parameter} must'):
            SPECS[name](**besides, **{parameter: value})
            pytest.fail(f'{name} takes {parameter}={value!r}')
