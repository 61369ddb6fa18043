"""Image weights in the means over images, and 0/0, by hand: on the reference and on each framework."""

import numpy as np
import pytest

from segparity.parity.check import side
from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

# two images of two pixels, the first of class 0 alone, the second of both: probabilities (N, C, P)
PRED = np.array([[[0.75, 0.25], [0.25, 0.75]], [[0.5, 0.25], [0.5, 0.75]]])
LABEL = np.array([[0, 0], [0, 1]])
WEIGHT = np.array([0.5, 2.0], np.float32)
# 1 - tp / (tp + fp + fn): class 0 of both images, class 1 of the second
FIRST, SECOND = 1 - 1.0 / (1.0 + 0.0 + 1.0), 1 - 0.5 / (0.5 + 0.25 + 0.5)
OTHER = 1 - 0.75 / (0.75 + 0.5 + 0.25)
OF_CLASSES = ((0.5 * FIRST + 2 * SECOND) / 2.5 + OTHER) / 2
OF_IMAGES = (0.5 * FIRST + 2 * (SECOND + OTHER) / 2) / 2.5
EMPTY = (
    np.array([[[0.75, 0.75], [0.0, 0.0]]]),
    np.array([[0, 0]]),
)  # nothing predicts or has class 1: 0/0 is a score of 1
PERFECT = 1.0
# the second class has a fifth of every pixel: nowhere more than 0.3, though 0.8 of a pixel together
FAINT = (
    np.array([[[1.0, 1, 1, 1], [0, 0, 0, 0]]]),
    np.array([[[0.8, 0.8, 0.8, 0.8], [0.2, 0.2, 0.2, 0.2]]]),
)
WANTED = {
    'C_weighs_images': (dict(granularity='C'), PRED, LABEL, WEIGHT, OF_CLASSES),
    'I_weighs_images': (dict(granularity='I'), PRED, LABEL, WEIGHT, OF_IMAGES),
    'a_class_that_is_faint_everywhere_is_absent': (
        dict(classes='present', presence_threshold=0.3), *FAINT, None, 1 - 3.2 / (3.2 + 0.8)
    ),
    'no_mass_at_all': (dict(classes='all'), *EMPTY, None, ((1 - 1.5 / (1.5 + 0.5)) + (1 - PERFECT)) / 2),
    'no_mass_at_all_in_an_image': (
        dict(classes='all', granularity='I'), *EMPTY, None, ((1 - 1.5 / (1.5 + 0.5)) + (1 - PERFECT)) / 2
    ),
}  # fmt: skip
CASES = pytest.mark.parametrize('case', WANTED)
NAMES = pytest.mark.parametrize('name', ['SoftJaccardLoss', 'JaccardMetricLoss'])


@CASES
@NAMES
def test_reference(name, case):
    params, pred, target, weight, want = WANTED[case]
    assert_same(LOSSES[name](from_logits=False, smooth=0, **params).reference(pred, target, weight), want, 'float64')


@CASES
@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_framework(case, framework, worker):
    params, pred, target, weight, want = WANTED[case]
    loss = LOSSES['SoftJaccardLoss'](from_logits=False, smooth=0, **params).to_dict()
    for way in ('plain', 'fused') if framework == 'torch' else (None,):
        dtype = FRAMEWORKS[framework]['precisions'][-1]
        _, got = worker.call(
            f'{side(framework)}:value_and_gradient',
            dict(pred=pred, target=target, weight=weight),
            loss=loss,
            dtype=dtype,
            way=way,
        )
        assert_same(got['value'], want, dtype, f'{case}, {framework}, {way}')
