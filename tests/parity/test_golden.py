"""The published numbers, on the reference and on every framework."""

import pathlib

import pytest

from segparity.parity import golden
from segparity.parity.frameworks import FRAMEWORKS, WorkerError
from shared_spec import LOSSES
from tests.support.frameworks import axis

FOLDER = pathlib.Path(__file__).parents[1] / 'golden'
CASES = [case for name in ('region', 'pixel_boundary') for case in golden.load(FOLDER / name)]
OURS, NOT_OURS = [c for c in CASES if c.ours], [c for c in CASES if not c.ours]


def test_every_loss_with_published_numbers_has_cases():
    assert len(OURS) >= 88 and len(NOT_OURS) >= 3
    covered = {type(case.spec).__name__ for case in OURS}
    assert covered >= {name for name in LOSSES if LOSSES[name].family in ('region', 'pixel')}


@pytest.mark.parametrize('case', OURS, ids=lambda c: c.id)
def test_reference(case):
    got = case.spec.reference(case.arrays['pred'], case.arrays['target'], case.arrays['weight'])
    assert golden.close(got, case.loss, case.rtol, case.atol), (got, case.loss, case.source)


@pytest.mark.parametrize('case', NOT_OURS, ids=lambda c: c.id)
def test_reference_differs_where_the_spec_says_so(case):
    try:
        got = case.spec.reference(case.arrays['pred'], case.arrays['target'], case.arrays['weight'])
    except ValueError:
        return  # a label outside [0, C) is refused
    assert not golden.close(got, case.loss, 1e-4, 0), case.why_not


@pytest.mark.parametrize('framework', axis())
@pytest.mark.parametrize('case', OURS, ids=lambda c: c.id)
def test_framework(case, framework, worker):
    for dtype in FRAMEWORKS[framework]['precisions']:
        agrees, error = golden.replay(case, worker, dtype)
        assert agrees, (case.id, framework, dtype)
        assert error is None or error <= golden.gradient_tolerance(case, dtype), (case.id, framework, dtype, error)


@pytest.mark.parametrize('framework', axis('torch'))
@pytest.mark.parametrize('case', NOT_OURS, ids=lambda c: c.id)
def test_torch_differs_where_the_spec_says_so(case, framework, worker):
    try:
        agrees, _ = golden.replay(case, worker, 'float64')
    except WorkerError as error:
        assert 'labels must be below' in str(error)
        return
    assert not agrees, case.why_not
