"""What is registered and needs a parameter says so in one sentence, where a configuration has none."""

import inspect

import pytest
from mmseg.registry import DATA_SAMPLERS, HOOKS, METRICS, MODELS, TRANSFORMS

import mmseg_plugin  # noqa: F401
from mmseg_plugin.heads.branches import Branch
from shared_spec.parameters import SpecError


def required():
    """(registry, name, parameter) of the first parameter without a default; branches get theirs of a ``BranchedHead``."""
    for registry in (HOOKS, TRANSFORMS, DATA_SAMPLERS, METRICS, MODELS):
        for name, module in registry.module_dict.items():
            if not module.__module__.startswith('mmseg_plugin') or (
                inspect.isclass(module) and issubclass(module, Branch)
            ):
                continue
            for parameter in inspect.signature(module).parameters.values():
                if parameter.default is parameter.empty and parameter.kind not in (
                    parameter.VAR_POSITIONAL,
                    parameter.VAR_KEYWORD,
                ):
                    yield pytest.param(registry, name, parameter.name, id=name)
                    break


def test_they_are_found():
    found = {case.id for case in required()}
    assert {
        'LabelSmoothingHook',
        'GenerateDistanceMap',
        'SemiSupervisedSampler',
        'DistilledSegmentor',
        'MeanTeacherSegmentor',
    } <= found


@pytest.mark.parametrize(('registry', 'name', 'parameter'), list(required()))
def test_a_parameter_that_is_not_given(registry, name, parameter):
    with pytest.raises(SpecError) as caught:
        registry.build(dict(type=name))
    assert str(caught.value) == f'{name}: {parameter} must be given'
