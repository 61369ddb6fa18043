"""Random valid parameters of every loss and metric come back from each world's spelling as they were."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared_spec import METRICS, from_dict
from tests.support.parameters import EVERY, specs, values_of
from tests.support.selection import wants

PARAMETERS = [
    (name, parameter)
    for name, cls in EVERY.items()
    for parameter in cls.parameters()
    if parameter != 'from_logits' or not getattr(cls, 'needs_logits', False)  # of which there is one value
]


@pytest.mark.parametrize(('name', 'parameter'), PARAMETERS)
@settings(
    max_examples=2 if wants([pytest.mark.slow]) else 1,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.data())
def test_dictionary_mmsegmentation_and_keras(name, parameter, data):
    """Each parameter off its default in turn, and whatever else with it."""
    spec = data.draw(specs(name, off=parameter))
    assert getattr(spec, parameter) != spec.parameters()[parameter].default
    come_back(spec)


def come_back(spec):
    cls = type(spec)
    config = json.loads(json.dumps(spec.to_dict(), allow_nan=False))
    assert from_dict(config) == spec and hash(from_dict(config)) == hash(spec)
    written = dict(json.loads(json.dumps(spec.to_mmseg())))
    assert written.pop('type') == (getattr(cls, 'mmseg_type', '') or cls.__name__)
    if cls.__name__ in METRICS:
        written['num_classes'] = spec.num_classes  # which MMSegmentation's data set tells
        if 'metrics' not in cls.parameters():
            assert written.pop('metrics', ['BoundaryIoU']) == ['BoundaryIoU']  # of an evaluator of several specs
    assert cls(**written) == spec
    for arguments in (spec.to_keras(), spec.keras_arguments()):
        again = cls.from_keras(json.loads(json.dumps(arguments)))
        # a sum without losses is the recipe, which Keras gets written out
        assert again == spec or (again.parts, again.shares, again.loss_weight) == (
            spec.parts,
            spec.shares,
            spec.loss_weight,
        )


def test_a_check_that_nobody_draws_from_is_told():
    with pytest.raises(AssertionError, match='does not know the check int'):
        values_of(3)
