"""Random valid parameters through Keras: constructor, get_config, and a .keras file that a fresh process reads."""

import functools

import pytest
from hypothesis import given, settings

from segparity.parity.frameworks import Worker
from shared_spec import LOSSES, METRICS, from_dict
from tests.support.frameworks import axis
from tests.support.parameters import specs

EACH = 5  # specs of a loss or metric
CALLBACKS = ('SurfaceDistance',)  # no metric of Keras


@functools.cache
def drawn(name):
    """The ``to_dict`` of some random specs."""
    found = []

    @settings(max_examples=EACH, deadline=None, derandomize=True, database=None)
    @given(spec=specs(name))
    def keep(spec):
        found.append(spec.to_dict())

    keep()
    return found


def written_out(config):
    """As Keras has it: a sum without losses is its recipe."""
    spec = from_dict(config)
    if config['type'] != 'WeightedSumLoss':
        return config
    return {**config, 'losses': [part.to_dict() for part in spec.parts], 'weights': list(spec.shares)}


def ask(worker, function, **arguments):
    return worker.call(f'tests.spec.keras_round_trips:{function}', **arguments)[0]


@pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow'))
def test_losses_by_their_configuration(framework, worker):
    given_ = [config for name in LOSSES for config in drawn(name)]
    for config, found in zip(given_, ask(worker, 'configured', specs=given_), strict=True):
        assert found == [written_out(config)] * 2


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_metrics_by_their_configuration(framework, worker):
    given_ = [config for name in METRICS if name not in CALLBACKS for config in drawn(name)]
    for config, (before, after) in zip(given_, ask(worker, 'metrics_configured', specs=given_), strict=True):
        assert before == after and before
        for found in before:
            same = set(found) - ({'levels', 'metrics'} if config['type'] != 'FineGrained' else set())
            assert {k: found[k] for k in same} == {k: config[k] for k in same}


@pytest.mark.slow  # a hundred outputs; one model for each loss: tests/losses/test_keras.py
@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_a_saved_model_in_a_fresh_process(framework, worker, tmp_path):
    given_ = [config for name in LOSSES for config in drawn(name)]
    path = str(tmp_path / 'model.keras')
    ask(worker, 'save', specs=given_, path=path)
    with Worker(framework) as other:
        assert ask(other, 'load', path=path) == [written_out(config) for config in given_]
