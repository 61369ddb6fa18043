"""``segparity spec``: every configuration is an instance of its schema, and what a spec refuses the schema refuses."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segparity.cli import main
from segparity.schema import schema_of, schema_of_all
from shared_spec import LOSSES, METRICS, SpecError, from_dict
from tests.spec.test_ranges import BESIDES, PARAMETERS, ends, range_of
from tests.support.json_schema import valid
from tests.support.parameters import EVERY, WRONG, specs

ALL = schema_of_all()
SCHEMAS = {name: schema_of(name) for name in EVERY}
# what JSON Schema cannot say: a square of zeros, as many weights as losses, parts that agree, layers that follow each other
BEYOND = {
    ('ActiveBoundaryLoss', 'spacing'),  # as many numbers as the pictures of this loss have axes
    ('GeneralizedWassersteinDiceLoss', 'distance_matrix'),
    ('InverseFormLoss', 'tile_size'),  # that of the weights
    ('InverseFormLoss', 'weights'),
    ('WeightedSumLoss', 'losses'),
    ('WeightedSumLoss', 'weights'),
}


@pytest.mark.parametrize('name', list(EVERY))
def test_examples_and_defaults_are_instances(name):
    schema = SCHEMAS[name]
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema
    examples = ALL['$defs'][name]['examples']
    assert len(examples) == len(EVERY[name].examples)
    for config in examples:
        assert valid(config, schema) and valid(config, ALL)
        assert from_dict(config).to_dict() == config
    for parameter, about in ALL['$defs'][name]['properties'].items():
        if 'default' in about:
            assert valid(about['default'], about, ALL), parameter
            assert all(valid(value, about, ALL) for value in about['x-segparity']['defaults'].values())


def test_what_a_schema_says_beside_the_ranges():
    assert set(ALL['$defs']) == set(LOSSES) | set(METRICS) and len(ALL['oneOf']) == len(EVERY)
    for name, cls in EVERY.items():
        about = ALL['$defs'][name]
        extra = about['x-segparity']
        assert (extra['formula'], extra['source'], extra['remarks']) == (cls.formula, cls.source, cls.remarks)
        assert extra['kind'] == ('loss' if name in LOSSES else 'metric') and about['properties']['type'] == {
            'const': name
        }
        assert list(about['properties']) == ['type', *cls.parameters()]
        for parameter, field in cls.parameters().items():
            assert about['properties'][parameter]['description'].startswith(field.metadata['meaning'])
    dice = ALL['$defs']['SoftDiceLoss']['properties']
    assert dice['ignore_index']['x-segparity'] == dict(defaults=dict(mmseg=None, keras=None), keras_name='ignore_class')
    assert dice['from_logits']['x-segparity']['defaults'] == dict(mmseg=True, keras=False)
    assert ALL['$defs']['FineGrained']['required'] == ['type', 'num_classes']


@pytest.mark.parametrize(('name', 'parameter'), PARAMETERS)
def test_ends_of_ranges_are_those_of_the_schema(name, parameter):
    allowed = range_of(name, parameter)
    accepted, refused = ends(allowed) if isinstance(allowed, str) else allowed
    config = {**EVERY[name].examples[next(iter(EVERY[name].examples))].params, **BESIDES.get((name, parameter), {})}

    def instance(value):
        value = list(value) if isinstance(value, tuple) else value
        return valid({'type': name, **config, parameter: value}, SCHEMAS[name])

    only_logits = parameter == 'from_logits' and getattr(EVERY[name], 'needs_logits', False)
    assert [value for value in accepted if not instance(value)] == ([False] if only_logits else [])
    if (name, parameter) not in BEYOND:
        assert not [value for value in refused if in_json(value) and instance(value)]


def in_json(value):
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize('name', list(EVERY))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data())
def test_random_specs_are_instances_and_random_nonsense_is_judged_alike(name, data):
    spec = data.draw(specs(name))
    config = spec.to_dict()
    assert valid(config, SCHEMAS[name])
    parameter = data.draw(st.sampled_from(sorted(EVERY[name].parameters())))
    value = data.draw(WRONG)
    changed = {**config, parameter: value}
    try:
        EVERY[name](**{parameter: value}, **needed(name, parameter))
    except SpecError as error:
        if (name, parameter) not in BEYOND and ' must be ' in str(error):
            assert not valid(changed, SCHEMAS[name]), changed
    else:
        assert valid(changed, SCHEMAS[name]), changed
    assert not valid({**config, 'no_such_parameter': 1}, SCHEMAS[name])
    assert not valid({**config, 'type': 'Other'}, SCHEMAS[name])
    assert not valid({k: v for k, v in config.items() if k != 'type'}, SCHEMAS[name])


def needed(name, parameter):
    return dict(num_classes=2) if name in METRICS and parameter != 'num_classes' else {}


def test_the_command(capsys):
    for words, want in (
        (['SoftDiceLoss', '--json'], SCHEMAS['SoftDiceLoss']),
        (['--json'], ALL),
        (['WeightedSumLoss'], SCHEMAS['WeightedSumLoss']),
    ):
        assert main(['spec', *words]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out) == want and not err
    assert main(['spec', 'SoftDise']) == 2
    assert "did you mean 'SoftDiceLoss'?" in capsys.readouterr().err


def test_the_checker_itself_can_say_no():
    schema = SCHEMAS['SoftDiceLoss']
    config = LOSSES['SoftDiceLoss']().to_dict()
    for wrong in (dict(smooth=-1), dict(smooth=True), dict(norm=1.5), dict(sync=1), dict(classes=[1, 1]), dict(classes=[]),
                  dict(granularity={'D': 0}), dict(granularity={'d': 1}), dict(class_weight=[0.0, 0]), dict(activation=None)):  # fmt: skip
        assert not valid({**config, **wrong}, schema), wrong
    assert valid({**config, 'norm': 2.0, 'granularity': {'D': 0, 'I': 0.5}, 'class_weight': [0, 1]}, schema)
    with pytest.raises(AssertionError, match='unknown word'):
        valid('a', {'pattern': 'a'})
