"""By-hand cases of the boundary metrics, written as formulas, and the golden cases; all implementations replay them."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared_spec.metrics.boundary import DISTANCES, BoundaryIoU, SurfaceDistance

FOLDER = Path(__file__).resolve().parents[1] / 'golden' / 'metrics'
NAN, INF = float('nan'), float('inf')
X = 255  # ignored
BINARY = dict(num_classes=2, ignore_index=X, binary=True)
THREE = dict(num_classes=3, ignore_index=X)


class Rule(NamedTuple):
    """preds and targets are lists of id maps; weights likewise or None; want: name -> value."""

    name: str
    params: dict
    preds: list
    targets: list
    want: dict
    weights: list = None


def image(shape, *boxes, rest=0):
    """An id map: ``rest``, and over it boxes (class, slice for each axis)."""
    ids = np.full(shape, rest)
    for c, *where in boxes:
        ids[tuple(where)] = c
    return ids


def s(low, high):
    return slice(low, high)


MISSED = dict(preds=[image((5, 6))], targets=[image((5, 6), (1, s(1, 4), s(2, 4)))])
INVENTED = dict(preds=MISSED['targets'], targets=MISSED['preds'])

RULES = [
    Rule(
        'two_pixels',  # three down and four across
        BINARY,
        [image((5, 6), (1, 0, 0))],
        [image((5, 6), (1, 3, 4))],
        dict(BoundaryIoUD=0, BoundaryIoUI=0, BoundaryIoUC=0, HDI=5, HD95I=5, ASSDI=5, HDC=5, HD95C=5, ASSDC=5),
    ),
    Rule(
        'two_pixels_spacing_in_axis_order',
        dict(BINARY, spacing=[2, 0.5]),
        [image((5, 6), (1, 0, 0))],
        [image((5, 6), (1, 3, 4))],
        dict(HDI=math.hypot(3 * 2, 4 * 0.5), HD95C=math.hypot(3 * 2, 4 * 0.5), ASSDC=math.hypot(3 * 2, 4 * 0.5)),
    ),
    Rule(
        'two_voxels',
        dict(BINARY, spacing=[3, 1, 0.5]),
        [image((2, 4, 5), (1, 0, 0, 0))],
        [image((2, 4, 5), (1, 1, 2, 4))],
        dict(BoundaryIoUI=0, HDI=math.hypot(1 * 3, 2 * 1, 4 * 0.5), ASSDI=math.hypot(3, 2, 2)),
    ),
    Rule(
        'shifted_square',  # two rings of 8 pixels share 4; on each surface 4 of 8 points are 1 away
        BINARY,
        [image((7, 8), (1, s(1, 4), s(2, 5)))],
        [image((7, 8), (1, s(1, 4), s(1, 4)))],
        dict(BoundaryIoUD=4 / (8 + 8 - 4), BoundaryIoUI=4 / 12, HDI=1, HD95I=1, ASSDI=(4 + 4) / (8 + 8)),
    ),
    Rule(
        'corners_join_the_boundary_not_the_surface',  # 4x4 without a corner: the square sees it, the cross does not
        BINARY,
        [image((8, 8), (1, s(1, 5), s(1, 5)))],
        [image((8, 8), (1, s(1, 5), s(1, 5)), (0, 1, 1))],
        dict(
            BoundaryIoUI=11 / 13,  # target: 12 - 1 of the ring and pixel (2, 2); prediction: the ring of 12
            HDI=1,  # from (1, 1) to (1, 2); both surfaces are else the ring
            HD95I=(0 + 0) + (0.95 * 11 - 10) * 1,  # 11 zeros and a one
            ASSDI=1 / (12 + 11),
        ),
    ),
    Rule(
        'quantile_is_interpolated_and_the_larger_of_two',  # there 0, 1, 2, 3; back 0
        BINARY,
        [image((3, 6), (1, 0, s(0, 4)))],
        [image((3, 6), (1, 0, 0))],
        dict(HDI=3, HD95I=2 + (0.95 * 3 - 2), ASSDI=(0 + 1 + 2 + 3 + 0) / (4 + 1)),
    ),
    Rule(
        'image_border_is_an_edge',
        BINARY,
        [image((5, 5), (1, s(1, 4), s(1, 4)))],
        [image((5, 5), rest=1)],
        dict(BoundaryIoUI=0, HDI=math.sqrt(2), ASSDI=((4 * math.sqrt(2) + 12) + 8) / (16 + 8)),
    ),
    Rule(
        'volume_shifted_cube',  # two shells of 26 voxels overlap in 2 x 3 x 3, less the two centres
        BINARY,
        [image((5, 5, 6), (1, s(1, 4), s(1, 4), s(2, 5)))],
        [image((5, 5, 6), (1, s(1, 4), s(1, 4), s(1, 4)))],
        dict(BoundaryIoUC=16 / (26 + 26 - 16), HDC=1),
    ),
    Rule(
        'perfect',
        THREE,
        [image((6, 7), (1, s(0, 3), s(0, 3)), (2, 5, 5))],
        [image((6, 7), (1, s(0, 3), s(0, 3)), (2, 5, 5))],
        dict(BoundaryIoUD=1, BoundaryIoUI=1, BoundaryIoUC=1, HDI=0, HDC=0, HD95I=0, ASSDC=0),
    ),
    Rule(
        'ignored_pixels_are_outside_both',  # what is predicted there plays no part, and nothing else is wrong
        THREE,
        [image((6, 7), (1, s(0, 3), s(0, 7)), (2, s(0, 2), s(2, 5)))],
        [image((6, 7), (1, s(0, 3), s(0, 7)), (X, s(0, 2), s(2, 5)))],
        dict(BoundaryIoUD=1, BoundaryIoUI=1, BoundaryIoUC=1, HDI=0, HDC=0, HD95I=0, ASSDC=0),
    ),
    Rule(
        'weight_zero_is_ignored',
        THREE,
        [image((6, 7), (1, s(0, 3), s(0, 7)), (2, s(0, 2), s(2, 5)))],
        [image((6, 7), (1, s(0, 3), s(0, 7)))],
        dict(BoundaryIoUD=1, BoundaryIoUI=1, BoundaryIoUC=1, HDI=0, HDC=0, HD95I=0, ASSDC=0),
        [image((6, 7), (0, s(0, 2), s(2, 5)), rest=1) * 0.25],
    ),
    Rule('missed', BINARY, **MISSED, want=dict(BoundaryIoUD=0, HDI=INF, ASSDC=INF, missed=1, HDI_rest=NAN)),
    Rule('invented', BINARY, **INVENTED, want=dict(BoundaryIoUD=0, BoundaryIoUI=0, HDI=INF, HD95I=INF, ASSDC=INF)),
    Rule(
        'missed_diagonal',
        dict(BINARY, empty='diagonal', spacing=[2, 0.5]),
        **MISSED,
        want=dict.fromkeys(('HDI', 'HDC', 'HD95I', 'ASSDC'), math.hypot(5 * 2, 6 * 0.5)),
    ),
    Rule(
        'one_missed_of_four',  # the others: 1 and 0 of class 0, 0 of class 1
        dict(num_classes=2),
        [image((4, 4)), image((4, 4), (1, 0, 0))],
        [image((4, 4), (1, 0, 0)), image((4, 4), (1, 0, 0))],
        dict(
            HDI=INF,
            HDC=INF,
            missed=1 / 4,
            HDI_rest=(1 + (0 + 0) / 2) / 2,
            HD95C_rest=((0.95 * 11 - 10 + 0) / 2 + 0) / 2,  # 11 zeros and a one
            ASSDC_rest=((1 / (12 + 11) + 0) / 2 + 0) / 2,
        ),
    ),
    Rule(
        'only_predicted_does_not_count_for_the_target',  # but D counts it with 0
        THREE,
        [image((5, 6), (2, 4, 5))],
        [image((5, 6))],
        dict(BoundaryIoUD=(17 / 19 + 0) / 2, BoundaryIoUI=17 / 19, BoundaryIoUC=17 / 19, HDI=1, HDC=1),
    ),
    Rule(
        'only_predicted_counts_for_either',
        dict(THREE, present_in='either'),
        [image((5, 6), (2, 4, 5))],
        [image((5, 6))],
        dict(BoundaryIoUI=(17 / 19 + 0) / 2, BoundaryIoUC=(17 / 19 + 0) / 2, HDI=INF, missed=1 / 2, HDC_rest=1),
    ),
    Rule(
        'levels_differ',  # class 0 perfect in both; class 1 is two pixels in one image and missing in the other
        dict(num_classes=2),
        [image((4, 4), (1, 0, s(0, 2))), image((4, 4))],
        [image((4, 4), (1, 0, s(0, 3))), image((4, 4))],
        dict(
            BoundaryIoUD=((11 + 12) / (12 + 12) + 2 / 3) / 2,
            BoundaryIoUI=((11 / 12 + 2 / 3) / 2 + 1) / 2,
            BoundaryIoUC=((11 / 12 + 1) / 2 + 2 / 3) / 2,
            HDI=((1 + 1) / 2 + 0) / 2,
            HDC=((1 + 0) / 2 + 1) / 2,
        ),
    ),
    Rule(
        'binary_nothing_there',  # boundary IoU 1, but no distance
        BINARY,
        [image((4, 4)), image((4, 4), (1, 0, 0))],
        [image((4, 4)), image((4, 4), (1, 0, 1))],
        dict(BoundaryIoUD=0, BoundaryIoUI=(1 + 0) / 2, BoundaryIoUC=(1 + 0) / 2, HDI=1, HD95C=1, ASSDI=1),
    ),
    Rule(
        'all_ignored_image_counts_nowhere',
        BINARY,
        [image((4, 4)), image((4, 4), (1, 0, 0))],
        [image((4, 4), rest=X), image((4, 4), (1, 0, 1))],
        dict(BoundaryIoUD=0, BoundaryIoUI=0, BoundaryIoUC=0, HDI=1, HD95C=1),
    ),
    Rule(
        'all_ignored',
        THREE,
        [image((4, 4))],
        [image((4, 4), rest=X)],
        dict.fromkeys(('BoundaryIoUD', 'BoundaryIoUI', 'BoundaryIoUC', 'HDI', 'HDC', 'HD95I', 'ASSDC'), NAN),
    ),
    Rule(
        'label_out_of_range_belongs_to_no_class',  # but the pixel counts: class 0 is predicted there wrongly
        THREE,
        [image((4, 4))],
        [image((4, 4), (7, 0, 0))],
        dict(BoundaryIoUD=11 / 13, BoundaryIoUI=11 / 13, HDI=1, ASSDC=1 / (12 + 11)),
    ),
]


class Both:
    """BoundaryIoU and SurfaceDistance, or the one of them that ``metrics`` names, under one set of parameters."""

    def __init__(self, metrics=('BoundaryIoU', *DISTANCES), levels=('D', 'I', 'C'), **params):
        of = {
            kind: {k: v for k, v in params.items() if k in kind.parameters()} for kind in (BoundaryIoU, SurfaceDistance)
        }
        distances = [m for m in metrics if m in DISTANCES]
        self.specs = [BoundaryIoU(levels=levels, **of[BoundaryIoU])] if 'BoundaryIoU' in metrics else []
        if distances:
            of_distances = [level for level in levels if level != 'D']
            self.specs.append(SurfaceDistance(levels=of_distances, metrics=distances, **of[SurfaceDistance]))
        self.num_classes, self.ignore_index = (getattr(self.specs[0], k) for k in ('num_classes', 'ignore_index'))

    def names(self):
        return [name for spec in self.specs for name in spec.names()]

    def reference(self, preds, targets, weights=None):
        return {k: v for spec in self.specs for k, v in spec.reference(preds, targets, weights).items()}

    def results(self, state):
        return {k: v for spec in self.specs for k, v in state.results(spec).items()}


def random_pairs(seed, n, num_classes, shape=(9, 11), ignore_index=X):
    """Id maps of boxes, so that there are insides; absent, missed and invented classes, noise and ignored pixels."""
    rng = np.random.default_rng(seed)
    preds, targets = np.zeros((2, n, *shape), int)
    for pred, target in zip(preds, targets):
        for c in rng.permutation(num_classes)[: rng.integers(1, num_classes + 1)]:
            for ids in (pred, target):
                if rng.random() < 0.9:
                    low = rng.integers(0, shape)
                    ids[tuple(slice(a, a + rng.integers(1, size + 1)) for a, size in zip(low, shape))] = c
    preds = np.where(rng.random(preds.shape) < 0.03, rng.integers(0, num_classes, preds.shape), preds)
    if ignore_index is not None:
        targets = np.where(rng.random(targets.shape) < 0.05, ignore_index, targets)
        targets[n // 2] = ignore_index
    return preds, targets


def index(*checks):
    """The golden cases of some checks, id -> entry of the index."""
    return {e['id']: e for e in json.loads((FOLDER / 'index.json').read_text()) if e['check'] in checks}


def arrays(case_id):
    with np.load(FOLDER / f'{case_id}.npz', allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
