"""The metrics of a host beside the reference, as ``segparity check`` compares them."""

import numpy as np
import pytest

from segparity.parity.check import side
from segparity.parity.metrics import IGNORE, label_maps, metric_error, metric_jobs
from segparity.parity.tolerances import VALUE
from shared_spec import METRICS
from tests.support.frameworks import axis

JOBS = [(name, *job) for name in METRICS for job in metric_jobs(name)]


def test_the_label_maps_are_what_they_say():
    pred, target = label_maps(4)
    assert pred.shape == target.shape == (7, 9, 11) and set(np.unique(pred)) == set(range(4))
    assert (np.delete(target, 4, 0)[:, 0] == IGNORE).all() and (target[2] == IGNORE).all()
    counts = target != IGNORE
    assert (pred[1] == target[1])[counts[1]].all() and not (pred[0] == target[0])[counts[0]].all()
    assert 3 not in target[3] and not target[4].any() and not pred[5].any()


def test_predictions_are_what_the_metric_takes():
    for name, label, spec, pred, target, expected in JOBS:
        assert set(expected) == set(spec.names()), (name, label)
        logits = spec.takes == 'probabilities'
        assert pred.shape == (7, spec.num_classes, 9, 11) if logits else pred.shape == target.shape
        assert pred.dtype == np.float32 if logits else pred.dtype.kind == 'i'


@pytest.mark.parametrize('framework', axis('torch', 'keras_torch'))
@pytest.mark.parametrize('job', JOBS, ids=lambda job: f'{job[0]}-{job[1]}')
def test_results_are_those_of_the_reference(job, framework, worker):
    error, said = metric_error(worker, side(framework), *job[2:])
    assert not said and error <= VALUE['float32'], job[:2]
    if framework == 'torch' and METRICS[job[0]].takes == 'ids':
        assert error <= VALUE['float64']
