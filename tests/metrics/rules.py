"""By-hand cases of the rules: small images of six pixels and what their results are, written as formulas.

Every implementation replays them. They share one number of classes and one number of pixels, so that a compiled one
is compiled once for each set of parameters.
"""

from typing import NamedTuple

import numpy as np

NAN = float('nan')
X = 255  # ignored
ALL = dict(num_classes=3, ignore_index=X, q=(50,), metrics=('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'), beta=2.0)
EITHER = dict(ALL, present_in='either')
BINARY = dict(ALL, num_classes=2, binary=True)


class Rule(NamedTuple):
    """preds and targets are lists of six ids; weights likewise or None; want: name -> fraction."""

    name: str
    params: dict
    preds: list
    targets: list
    want: dict
    weights: list = None

    def arrays(self):
        return tuple(None if a is None else np.array(a) for a in (self.preds, self.targets, self.weights))


RULES = [
    Rule(
        'perfect',
        ALL,
        [[0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]],
        [[0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]],
        dict(aAcc=1, FWIoU=1, mIoUD=1, mDiceI=1, mAccC=1, mPrecisionIQ=1, mFscoreC50=1),
    ),
    Rule(
        'disjoint',
        ALL,
        [[1, 1, 1, 0, 0, 0]],
        [[0, 0, 0, 1, 1, 1]],
        dict(aAcc=0, FWIoU=0, mIoUD=0, mDiceI=0, mAccC=0, mPrecisionD=0, mFscoreIQ=0),
    ),
    Rule(
        'one_image',
        ALL,
        [[0, 0, 0, 1, 1, 1]],
        [[0, 0, 0, 0, 1, 1]],
        dict(
            aAcc=5 / 6,
            FWIoU=(4 * (3 / 4) + 2 * (2 / 3)) / 6,
            mAccD=(3 / 4 + 2 / 2) / 2,
            mIoUD=(3 / 4 + 2 / 3) / 2,
            mDiceD=(6 / 7 + 4 / 5) / 2,
            mPrecisionD=(3 / 3 + 2 / 3) / 2,
            mFscoreD=(5 * 3 / (5 * 3 + 4 * 1) + 5 * 2 / (5 * 2 + 1)) / 2,
            mIoUI=(3 / 4 + 2 / 3) / 2,
            mIoUC=(3 / 4 + 2 / 3) / 2,
            mIoUI50=(3 / 4 + 2 / 3) / 2,
            mFscoreC=(5 * 3 / (5 * 3 + 4 * 1) + 5 * 2 / (5 * 2 + 1)) / 2,
        ),
    ),
    Rule(
        'levels_differ',
        ALL,
        [[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1]],
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]],
        dict(
            mIoUD=(7 / 9 + 3 / 5) / 2,
            mIoUI=(1 + (1 / 3 + 3 / 5) / 2) / 2,
            mIoUI50=(1 / 3 + 3 / 5) / 2,
            mIoUIQ=(9 * (1 / 3 + 3 / 5) / 2 + (1 + (1 / 3 + 3 / 5) / 2) / 2) / 10,
            mIoUC=((1 + 1 / 3) / 2 + 3 / 5) / 2,
            mIoUC50=(1 / 3 + 3 / 5) / 2,
            mIoUCQ=(9 * (1 / 3 + 3 / 5) / 2 + ((1 + 1 / 3) / 2 + 3 / 5) / 2) / 10,
        ),
    ),
    Rule(
        'only_predicted',  # class 2 is nowhere in the ground truth: IoU 0 counts in D, recall is undefined
        ALL,
        [[0, 0, 0, 1, 1, 2]],
        [[0, 0, 0, 1, 1, 1]],
        dict(
            mIoUD=(1 + 2 / 3 + 0) / 3,
            mAccD=(1 + 2 / 3) / 2,
            mPrecisionD=(1 + 1 + 0) / 3,
            mIoUI=(1 + 2 / 3) / 2,
            mIoUC=(1 + 2 / 3) / 2,
            mAccI=(1 + 2 / 3) / 2,
        ),
    ),
    Rule(
        'only_predicted_present_in_either',
        EITHER,
        [[0, 0, 0, 1, 1, 2]],
        [[0, 0, 0, 1, 1, 1]],
        dict(
            mIoUD=(1 + 2 / 3 + 0) / 3,
            mIoUI=(1 + 2 / 3 + 0) / 3,
            mIoUC=(1 + 2 / 3 + 0) / 3,
            mAccI=(1 + 2 / 3) / 2,
            mAccC=(1 + 2 / 3) / 2,
            mPrecisionI=(1 + 1 + 0) / 3,
            mFscoreI=(1 + 5 * 2 / (5 * 2 + 4 * 1) + 0) / 3,
        ),
    ),
    Rule(
        'missed_object',  # class 2 is never predicted: no precision over the data set, 0 in its image
        ALL,
        [[0, 0, 0, 0, 1, 1]],
        [[0, 0, 0, 2, 1, 1]],
        dict(
            mPrecisionD=(3 / 4 + 1) / 2,
            mPrecisionI=(3 / 4 + 1 + 0) / 3,
            mPrecisionC=(3 / 4 + 1 + 0) / 3,
            mFscoreD=(5 * 3 / (5 * 3 + 1) + 1 + 0) / 3,
            mDiceD=(6 / 7 + 1 + 0) / 3,
        ),
    ),
    Rule(
        'ignored_border',  # what is predicted on ignored pixels plays no part
        ALL,
        [[2, 0, 0, 1, 1, 2]],
        [[X, 0, 0, 1, 0, X]],
        dict(aAcc=3 / 4, mIoUD=(2 / 3 + 1 / 2) / 2, mIoUI=(2 / 3 + 1 / 2) / 2, mAccC=(2 / 3 + 1) / 2),
    ),
    Rule(
        'weight_zero',  # the same pixels as ignored_border, by weight; other weights are only above 0
        ALL,
        [[2, 0, 0, 1, 1, 2]],
        [[1, 0, 0, 1, 0, 1]],
        dict(aAcc=3 / 4, mIoUD=(2 / 3 + 1 / 2) / 2, mIoUI=(2 / 3 + 1 / 2) / 2, mAccC=(2 / 3 + 1) / 2),
        [[0.0, 0.25, 3.0, 1.0, 1.0, 0.0]],
    ),
    Rule(
        'all_ignored_image',  # the second image counts nowhere, not in the n of a worst case either
        ALL,
        [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 1, 1], [X, X, X, X, X, X], [0, 0, 0, 0, 0, 0]],
        dict(
            aAcc=11 / 12,
            mIoUI=((3 / 4 + 2 / 3) / 2 + 1) / 2,
            mIoUI50=(3 / 4 + 2 / 3) / 2,
            mIoUC=((3 / 4 + 1) / 2 + 2 / 3) / 2,
            mIoUC50=(3 / 4 + 2 / 3) / 2,
        ),
    ),
    Rule(
        'all_ignored',
        ALL,
        [[0, 0, 1, 1, 2, 2]],
        [[X, X, X, X, X, X]],
        dict(aAcc=NAN, FWIoU=NAN, mIoUD=NAN, mAccI=NAN, mDiceC=NAN, mPrecisionI50=NAN, mFscoreCQ=NAN),
    ),
    Rule(
        'label_out_of_range',  # 7 is no class: its prediction is a false positive, the label is nobody's
        ALL,
        [[0, 0, 0, 1, 1, 1]],
        [[0, 0, 0, 1, 1, 7]],
        dict(aAcc=5 / 5, FWIoU=(3 * 1 + 2 * (2 / 3)) / 5, mIoUD=(1 + 2 / 3) / 2, mAccD=1, mPrecisionI=(1 + 2 / 3) / 2),
    ),
    Rule(
        'only_labels_out_of_range',  # valid pixels, but no class is present: no image for I
        ALL,
        [[1, 1, 1, 1, 1, 1]],
        [[7, 7, 7, 7, 7, 7]],
        dict(aAcc=NAN, FWIoU=NAN, mIoUD=0, mPrecisionD=0, mAccD=NAN, mIoUI=NAN, mIoUC=NAN),
    ),
    Rule(
        'binary_partial',
        BINARY,
        [[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 0]],
        [[0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]],
        dict(
            aAcc=10 / 12,
            FWIoU=(4 * (3 / 5) + 8 * (7 / 9)) / 12,
            mIoUD=7 / 9,
            mAccD=7 / 8,
            mIoUI=(2 / 3 + 5 / 6) / 2,
            mIoUC=(2 / 3 + 5 / 6) / 2,
            mIoUI50=2 / 3,
            mAccC=(2 / 2 + 5 / 6) / 2,
        ),
    ),
    Rule(
        'binary_empty',  # no foreground in either: the image scores 1, but the data set has no foreground
        BINARY,
        [[0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 0]],
        dict(aAcc=1, mIoUD=NAN, mIoUI=1, mAccI=1, mDiceC=1, mPrecisionI=1, mFscoreCQ=1, mIoUC50=1),
    ),
    Rule(
        'binary_false_positive',  # foreground only predicted: IoU 0, no recall
        BINARY,
        [[0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 1, 1]],
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]],
        dict(
            mIoUI=(0 + 2 / 3) / 2,
            mIoUI50=0,
            mAccI=1,
            mAccC=1,
            mAccI50=1,
            mPrecisionI=(0 + 2 / 3) / 2,
            mIoUD=2 / 4,
            mAccD=1,
            mDiceC50=0,
        ),
    ),
    Rule(
        'binary_missed',
        BINARY,
        [[0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 1]],
        dict(aAcc=5 / 6, mIoUI=0, mAccI=0, mPrecisionI=0, mPrecisionC=0, mPrecisionD=NAN, mIoUD=0),
    ),
    Rule(
        'binary_all_ignored',
        BINARY,
        [[0, 0, 0, 0, 0, 0]],
        [[X, X, X, X, X, X]],
        dict(aAcc=NAN, mIoUD=NAN, mIoUI=NAN, mDiceC=NAN),
    ),
]


def staircase(n):
    """n images of 100 pixels, each all class 0; image i has i pixels right, so its IoU is i / 100. Needs n <= 101."""
    preds = (np.arange(100)[None] >= np.arange(n)[:, None]).astype(np.int64)
    return preds, np.zeros_like(preds)


def random_images(seed, n, num_classes, shape=(8, 6), ignore_index=255):
    """Images whose classes come and go, with wrong and ignored pixels and one wholly ignored image."""
    rng = np.random.default_rng(seed)
    targets = np.stack(
        [rng.choice(rng.permutation(num_classes)[: rng.integers(1, num_classes + 1)], shape) for _ in range(n)]
    )
    preds = np.where(rng.random(targets.shape) < 0.6, targets, rng.integers(0, num_classes, targets.shape))
    if ignore_index is not None:
        targets = np.where(rng.random(targets.shape) < 0.1, ignore_index, targets)
        targets[n // 2] = ignore_index
    return preds, targets
