"""The published numbers, on the reference and on every framework."""

import pathlib
import shutil

import numpy as np
import pytest

from segparity.parity import golden
from segparity.parity.frameworks import FRAMEWORKS, WorkerError
from shared_spec import LOSSES
from tests.support.frameworks import axis

FOLDER = pathlib.Path(__file__).parents[1] / 'golden'
CASES = [case for name in ('region', 'pixel_boundary') for case in golden.load(FOLDER / name)]
OURS, NOT_OURS = [c for c in CASES if c.ours], [c for c in CASES if not c.ours]


def test_every_loss_with_published_numbers_has_cases():
    assert len(OURS) >= 150 and len(NOT_OURS) >= 8
    covered = {type(case.spec).__name__ for case in OURS}
    unpublished = {  # whose peer, or library, is asked in their own tests
        'CenterlineDiceLoss',
        'FeatureDistanceLoss',  # laws in its own tests
        'PixelTripletLoss',
        'TopologyAwareFocalLoss',
    }
    assert covered == set(LOSSES) - {'WeightedSumLoss'} - unpublished


@pytest.mark.parametrize('name', ['index.json', f'{OURS[0].id}.npz'])
def test_damaged_vectors_are_one_sentence(tmp_path, name):
    shutil.copytree(FOLDER / 'region', tmp_path / 'g')
    (tmp_path / 'g' / name).write_bytes(b'PK\3\4 damaged')
    with pytest.raises(ValueError, match='g holds no golden vectors: .+$'):
        golden.load(tmp_path / 'g')


@pytest.mark.parametrize('case', OURS, ids=lambda c: c.id)
def test_reference(case):
    got = case.reference()
    assert golden.is_close(got, case.loss, case.rtol, case.atol), (got, case.loss, case.source)


@pytest.mark.parametrize('case', NOT_OURS, ids=lambda c: c.id)
def test_reference_differs_where_the_spec_says_so(case):
    try:
        got = case.reference()
    except ValueError:
        return  # a label outside [0, C) is refused
    assert not golden.is_close(got, case.loss, 1e-4, 0), case.why_not


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize(
    ('case', 'framework'),
    [pytest.param(case, *f.values, id=f'{case.id}-{f.values[0]}', marks=f.marks) for f in axis() for case in OURS],
)
def test_framework(case, framework, worker):
    for dtype in FRAMEWORKS[framework]['precisions']:
        agrees, error = golden.replay(case, worker, dtype)
        assert agrees, (case.id, framework, dtype)
        assert error is None or error <= golden.gradient_tolerance(case, dtype), (case.id, framework, dtype, error)


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax_x64', 'keras_torch'))
@pytest.mark.parametrize('case', [c for c in OURS if type(c.spec).__name__ == 'RobustTLoss'], ids=lambda c: c.id)
def test_gradient_of_log_nu(case, framework, worker):
    with np.load(FOLDER / 'region' / f'{case.id}.npz', allow_pickle=False) as data:
        want = float(data['grad_log_nu'])
    got, _ = worker.call('tests.parity.learnt_nu:log_nu', case.arrays, loss=case.spec.to_dict())
    assert golden.is_close(got, want, case.rtol, case.atol), (got, want)


@pytest.mark.parametrize('framework', axis('torch', 'keras_jax'))
@pytest.mark.parametrize('case', NOT_OURS, ids=lambda c: c.id)
def test_framework_differs_where_the_spec_says_so(case, framework, worker):
    try:
        agrees, error = golden.replay(case, worker, FRAMEWORKS[framework]['precisions'][-1])
    except WorkerError as refusal:
        assert 'labels must be below' in str(refusal)
        return
    assert not agrees and error is None, case.why_not
