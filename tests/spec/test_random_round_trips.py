"""Random valid parameters of every loss and metric come back from each world's spelling as they were."""

import json

import pytest
from hypothesis import given, settings

from shared_spec import METRICS, from_dict
from tests.support.parameters import EVERY, specs, values_of


@pytest.mark.parametrize('name', list(EVERY))
def test_dictionary_mmsegmentation_and_keras(name):
    seen = set()

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(spec=specs(name))
    def each(spec):
        come_back(spec)
        seen.update(k for k, field in spec.parameters().items() if getattr(spec, k) != field.default)

    each()
    # every parameter was off its default at least once, but for what a loss has one value of
    left = set(EVERY[name].parameters()) - seen
    assert left <= ({'from_logits'} if getattr(EVERY[name], 'needs_logits', False) else set())


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
