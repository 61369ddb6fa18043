"""What the calibration tests replay: golden cases, by-hand rules and random images."""

from typing import NamedTuple

import numpy as np

from shared_spec.metrics.calibration import Calibration
from tests.metrics.golden import FOLDER, index

NAN = float('nan')
X = 255  # ignored
UNITS = 1e-9  # the state rounds every confidence to 2^-30
GOLDEN = [entry['id'] for entry in index() if 'ECED' in entry['expected']]


class Golden:
    """One case: ``probs`` and ``targets`` (lists), the ``spec`` closest to JDTLosses, ``published`` fractions."""

    def __init__(self, case_id):
        entry = next(entry for entry in index() if entry['id'] == case_id)
        params, arrays = entry['params'], np.load(FOLDER / f'{case_id}.npz')
        if params['list']:
            images = range(params['num_images'])
            self.probs, self.targets = ([arrays[f'{kind}_{i}'] for i in images] for kind in ('prob', 'label'))
        else:
            self.probs, self.targets = list(arrays['prob']), list(arrays['label'])
        self.spec = Calibration(
            num_classes=params['num_classes'],
            ignore_index=params['ignore_index'],
            bins=params['num_bins'],
            hit='argmax',
            binary=params['num_classes'] == 2,  # SCE there is that of class 1 wherever there are two
        )
        self.not_ours = [name for name in entry.get('not_ours', []) if name in self.spec.names()]
        unit = {'ECE': 100, 'SCE': 1000}  # per cent, per mille
        self.published = {name: entry['expected'][name] / unit[name[:3]] for name in self.spec.names()}

    def followed(self):
        return {name: value for name, value in self.published.items() if name not in self.not_ours}


class Rule(NamedTuple):
    """probs: per image a list over classes of values of its pixels; want: name -> fraction."""

    name: str
    params: dict
    probs: list
    targets: list
    want: dict
    weights: list = None

    def arrays(self):
        weights = None if self.weights is None else [np.array(w, float) for w in self.weights]
        return [np.array(p, float) for p in self.probs], [np.array(t) for t in self.targets], weights


TWO, THREE = dict(num_classes=2), dict(num_classes=3)

RULES = [
    Rule(
        'perfect',
        THREE,
        [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]],
        [[0, 1, 2]],
        dict(ECED=0, ECEI=0, SCED=0, SCEI=0),
    ),
    Rule('sure_and_wrong', TWO, [[[1, 1], [0, 0]]], [[1, 1]], dict(ECED=1, ECEI=1, SCED=1, SCEI=1)),
    Rule(
        'sure_and_wrong_hit_argmax',  # of class 1, the only one labelled, nothing is expected and nothing is hit
        dict(TWO, hit='argmax'),
        [[[1, 1], [0, 0]]],
        [[1, 1]],
        dict(ECED=1, ECEI=1, SCED=0, SCEI=0),
    ),
    Rule(
        'three_of_four_at_three_quarters',
        TWO,
        [[[0.75, 0.75, 0.75, 0.75], [0.25, 0.25, 0.25, 0.25]]],
        [[0, 0, 0, 1]],
        dict(ECED=0, ECEI=0, SCED=0, SCEI=0),
    ),
    Rule(
        'hit_argmax_misses_the_second_class',
        dict(TWO, hit='argmax'),
        [[[0.75, 0.75, 0.75, 0.75], [0.25, 0.25, 0.25, 0.25]]],
        [[0, 0, 0, 1]],
        dict(ECED=0, SCED=(0 + 0.25) / 2, SCEI=(0 + 0.25) / 2),
    ),
    Rule(
        'levels_differ',  # too modest in one image, too sure in the other
        TWO,
        [[[0.75], [0.25]], [[0.75], [0.25]]],
        [[0], [1]],
        dict(ECED=(1.5 - 1) / 2, ECEI=(0.25 + 0.75) / 2, SCED=0.25, SCEI=(0.25 + 0.75) / 2),
    ),
    Rule(
        'bins_part_what_would_cancel',
        TWO,
        [[[0.75, 1.0], [0.25, 0.0]]],
        [[0, 1]],
        dict(ECED=(0.25 + 1) / 2, SCED=(0.25 + 1) / 2),
    ),
    Rule(
        'one_is_in_the_last_bin_which_its_left_edge_opens',
        dict(TWO, bins=4),
        [[[0.75, 1.0], [0.25, 0.0]]],
        [[0, 1]],
        dict(ECED=(0.75 + 1 - 1) / 2),
    ),
    Rule(
        'just_below_an_edge_is_in_the_bin_before',
        dict(TWO, bins=4),
        [[[0.7499, 1.0], [0.2501, 0.0]]],
        [[0, 1]],
        dict(ECED=((1 - 0.7499) + 1) / 2),
    ),
    Rule('one_bin', dict(TWO, bins=1), [[[0.75, 1.0], [0.25, 0.0]]], [[0, 1]], dict(ECED=(0.75 + 1 - 1) / 2)),
    Rule(
        'classes_without_a_label_count_not',
        THREE,
        [[[0.5, 0.5], [0.25, 0.25], [0.25, 0.25]]],
        [[0, 0]],
        dict(ECED=0.5, SCED=0.5, SCEI=0.5),
    ),
    Rule(
        'labelled_in_the_data_set_but_not_in_the_image',
        THREE,
        [[[0.75], [0.25], [0.0]], [[0.25], [0.5], [0.25]]],
        [[0], [1]],
        dict(
            # D, class 0: bins of 0.75 (hit) and 0.25; class 1: 0.25 and 0.5 (hit); class 2 is nowhere
            SCED=((0.25 + 0.25) / 2 + (0.25 + 0.5) / 2) / 2,
            SCEI=(0.25 + 0.5) / 2,
        ),
    ),
    Rule(
        'first_of_equal_probabilities_is_the_argmax',
        dict(num_classes=4),
        [[[0.25], [0.25], [0.25], [0.25]], [[0.25], [0.25], [0.25], [0.25]]],
        [[0], [3]],
        dict(ECEI=(0.75 + 0.25) / 2, ECED=(1 - 0.5) / 2),
    ),
    Rule(
        'ignored_and_weightless_pixels_are_absent',
        TWO,
        [[[0.75, 0.1, 1.0], [0.25, 0.9, 0.0]]],
        [[0, X, 1]],
        dict(ECED=0.25, ECEI=0.25, SCED=0.25, SCEI=0.25),
        [[1, 1, 0]],
    ),
    Rule(
        'an_image_without_a_valid_pixel_counts_nowhere',
        TWO,
        [[[0.75], [0.25]], [[0.5], [0.5]], [[0.5], [0.5]]],
        [[0], [X], [1]],
        dict(ECED=0.25, ECEI=0.25, SCED=0.25, SCEI=0.25),
        [[0.5], [1], [0]],
    ),
    Rule('everything_is_ignored', TWO, [[[0.75], [0.25]]], [[X]], dict(ECED=NAN, ECEI=NAN, SCED=NAN, SCEI=NAN)),
    Rule(
        'a_label_that_is_no_class_is_never_hit',
        TWO,
        [[[0.75], [0.25]], [[0.75], [0.25]]],
        [[9], [0]],
        dict(ECEI=(0.75 + 0.25) / 2, ECED=(1.5 - 1) / 2, SCEI=0.25, SCED=(1.5 - 1) / 2),
    ),
    Rule('only_labels_that_are_no_class', TWO, [[[0.75], [0.25]]], [[9]], dict(ECED=0.75, SCED=NAN, SCEI=NAN)),
    Rule(
        'nothing_is_ignored',
        dict(TWO, ignore_index=None),
        [[[0.75], [0.25]]],
        [[X]],
        dict(ECED=0.75, ECEI=0.75, SCED=NAN, SCEI=NAN),
    ),
    Rule(
        'binary_counts_the_foreground_alone',
        dict(TWO, binary=True, hit='argmax'),
        [[[0.75, 0.75, 0.75, 0.75], [0.25, 0.25, 0.25, 0.25]], [[0.5], [0.5]]],
        [[0, 0, 0, 1], [0]],
        dict(SCED=(0.25 * 4 + 0.5) / 5, SCEI=(0.25 + 0.5) / 2),  # class 0 would have 0 and 0.5
    ),
    Rule(
        'one_channel_is_the_foreground',
        TWO,
        [[0.25, 0.75], [[0.25, 1.0]]],
        [[0, 1], [0, 0]],
        dict(ECEI=(0.25 + (0.25 + 1) / 2) / 2, SCEI=(0.25 + (0.25 + 1) / 2) / 2),
    ),
]


def random_images(seed, n, num_classes, shape=(6, 5), ignore_index=X, sharpness=2.0):
    """n probability maps (n, C, *shape), right more often than not, and labels (n, *shape) with some ignored."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes, (n, *shape))
    logits = sharpness * (rng.normal(size=(n, num_classes, *shape)) + np.moveaxis(np.eye(num_classes)[target], -1, 1))
    prob = np.exp(logits)
    if ignore_index is not None:
        target[rng.random(target.shape) < 0.15] = ignore_index
    return prob / prob.sum(1, keepdims=True), target
