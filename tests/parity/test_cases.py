"""What a case of the checks says of its inputs, which decides which losses replay it."""

import numpy as np
import pytest

from segparity.parity.cases import Case


@pytest.mark.parametrize(
    ('pred', 'target', 'dtype', 'labels', 'channels', 'axes'),
    [
        ((2, 3, 4, 5), (2, 4, 5), int, 'hard', 'many', 2),
        ((2, 3, 4, 5), (2, 4, 5), float, 'hard', 'many', 2),
        ((2, 3, 4, 5), (2, 3, 4, 5), float, 'soft', 'many', 2),
        ((2, 3, 4, 5), (2, 3, 4, 5), int, 'soft', 'many', 2),
        ((2, 3, 4), (2, 1, 4), int, 'hard', 'many', 1),
        ((2, 1, 4), (2, 4), int, 'hard', 'one', 1),
        ((4, 3), (4,), int, 'hard', 'many', 0),
        ((4, 4), (4, 4), float, 'soft', 'many', 0),
        ((4, 1), (4,), float, 'soft', 'one', 0),
        ((2, 1, 4), (2, 1, 4), int, 'hard', 'one', 1),
        ((2, 1, 4, 5, 6), (2, 1, 4, 5, 6), float, 'soft', 'one', 3),
    ],
)
def test_labels_channels_and_axes(pred, target, dtype, labels, channels, axes):
    case = Case(np.zeros(pred), np.zeros(target, dtype))
    assert (case.labels, case.channels, case.spatial_axes) == (labels, channels, axes)
