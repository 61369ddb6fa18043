"""Every loss inside compiled models: XLA on JAX and TensorFlow, and a whole graph of torch.compile on PyTorch.

One model has an output for each loss, which compiles in half the time of a model each. By default JAX compiles every
loss and TensorFlow, on which that takes a minute, a few whose operations differ most.
"""

import functools

import pytest

from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.expected import assert_expected_gradient, expected_result, first_example
from tests.support.frameworks import KERAS, axis, worker_of
from tests.support.losses import PLAIN

CASE = 'ignored_border'


def of_images_and_classes(name):
    """The name of an example whose granularity is a mixture, I + C where the loss has both; None without."""
    examples = {k: e.params.get('granularity') for k, e in LOSSES[name].examples.items()}
    mixed = [k for k, levels in examples.items() if isinstance(levels, dict)]
    return next((k for k in mixed if set(examples[k]) == {'I', 'C'}), mixed[0] if mixed else None)


GROUPS = {
    'first': {name: first_example(name) for name in PLAIN if 'many' in LOSSES[name].channels},
    'images_and_classes': {name: of_images_and_classes(name) for name in PLAIN if of_images_and_classes(name)},
}
FEW = ('WeightedCrossEntropyLoss', 'LovaszSoftmaxLoss', 'RegionMutualInformationLoss')


def test_the_groups_have_every_loss():
    alone = {name for name in PLAIN if LOSSES[name].channels == ('one',)}  # go alone in tests/parity/test_losses.py
    assert set(PLAIN) - set(GROUPS['first']) == alone
    granular = {name for name in PLAIN if 'granularity' in LOSSES[name].parameters()}
    assert set(GROUPS['images_and_classes']) == granular


def ask(framework, function, examples, **options):
    """What a worker says of the losses in ``examples`` (name -> example) on the case."""
    specs = {name: expected_result(name, example, CASE)[0] for name, example in examples.items()}
    _, case, *_ = expected_result(*next(iter(examples.items())), CASE)
    losses = {name: spec.to_dict() for name, spec in specs.items()}
    options |= dict(losses=losses) if function == 'fit_together' else dict(loss=losses.popitem()[1])
    return worker_of(framework).call(
        f'tests.losses.keras_calls:{function}',
        dict(pred=case.pred, target=case.target),
        ignore_index=case.call_ignore_index,
        **options,
    )


@functools.lru_cache(maxsize=2)
def fit_together(framework, group, names=None):
    """name -> value, name -> gradient, of all losses of a group that XLA takes there, or of some."""
    names = names or [name for name in GROUPS[group] if not stays_graph(framework, name)]
    examples = {name: GROUPS[group][name] for name in names}
    jit = framework != 'keras_torch' and not any(stays_graph(framework, name) for name in names)
    return ask(framework, 'fit_together', examples, jit=jit)


def stays_graph(framework, name):
    """Whether XLA cannot go where a loss is computed."""
    return framework == 'keras_tensorflow' and LOSSES[name].on_host


def check(value, gradient, name, example, label):
    *_, want, slopes = expected_result(name, example, CASE)
    assert_same(value, want, 'float32', label)
    assert_expected_gradient(gradient, slopes, 'float32_gradient', label)


@pytest.mark.parametrize('framework', axis(*(f for f in KERAS if f != 'keras_jax_x64')))
@pytest.mark.parametrize(
    ('group', 'name'),
    [(group, name) for group in GROUPS for name in GROUPS[group]],
)
@pytest.mark.slow_on('keras_tensorflow')
def test_compiled_fit(group, name, framework, worker):
    values, gradients = fit_together(framework, group, (name,) if stays_graph(framework, name) else None)
    check(values[name], gradients[name], name, GROUPS[group][name], f'{name}, {group}, {framework}')


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
@pytest.mark.parametrize('name', FEW)
def test_compiled_fit_of_a_few(name, framework, worker):
    values, gradients = fit_together(framework, 'first', FEW)
    check(values[name], gradients[name], name, GROUPS['first'][name], f'{name}, {framework}')


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_torch'))
@pytest.mark.parametrize('compiler', ['aot_eager', pytest.param('inductor', marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    'name',
    [
        'JaccardMetricLoss',
        'WeightedCrossEntropyLoss',
        *(pytest.param(name, marks=pytest.mark.slow) for name in ('TopKCrossEntropyLoss', 'OhemCrossEntropyLoss')),
    ],
)
def test_whole_graph_of_torch_compile(name, compiler, framework, worker):
    example = first_example(name)
    value, got = ask(framework, 'whole_graph', {name: example}, compiler=compiler)
    check(value, got['gradient'], name, example, f'{name}, torch.compile')
