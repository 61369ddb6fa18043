"""The Keras metrics on every backend: each case is a function of a ``keras_*cases.py``, run in the backend's process."""

import ast
from pathlib import Path

import pytest

from segparity.parity.frameworks import FAST_TO_COMPILE, Worker
from tests.support.frameworks import need

HERE = Path(__file__).parent
FUNCTIONS = [
    node.name
    for path in sorted(HERE.glob('keras_*cases.py'))  # read, for importing them would choose a backend here
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith('case_')
]
TENSORFLOW = [name for name in FUNCTIONS if name.startswith('case_tensorflow')]
TORCH = [name for name in FUNCTIONS if name.startswith('case_torch')]
EVERYWHERE = [name for name in FUNCTIONS if name not in (*TENSORFLOW, *TORCH)]
# what the width of JAX's integers and floats can change; the rest would only repeat keras_jax
X64 = [
    'case_by_hand',
    'case_float64_is_float64',
    'case_past_2_31_pixels',
    'case_a_carry_in_every_batch',
    'case_sums_do_not_stick_at_2_24_images',
    'case_beyond_max_images',
    'case_mixed_precision_counts_exactly',
    'case_calibration_published_edges',
    'case_calibration_bins_are_exact',
    'case_calibration_past_2_31_pixels',
    'case_boundary_random',
]
DEAR_ON_X64 = [
    'case_bools_and_wide_integers_are_labels',
    'case_kinds_of_input',
    'case_wrong_pixels_make_every_metric_nan',
]
# JAX compiles each operation of each shape; these cases say of it what others say already
DEAR_ON_JAX = [
    'case_calibration_kinds_of_input',
    'case_calibration_scalars_are_the_same_numbers',
    'case_calibration_sums_in_parts',
    'case_calibration_published_edges',
    'case_calibration_config_round_trip',
    'case_boundary_by_hand',
    'case_boundary_published',
    'case_boundary_published_means',
    'case_boundary_of_ids_with_a_last_axis',
    'case_worst_every',
    'case_per_class_results_are_those_of_the_state',
    'case_empty_batches_and_pictures',
    'case_what_a_label_is_likely_meant_to_be',
    'case_wrong_probabilities',
    'case_floatx_changes_no_number',
    'case_calibration_of_logits_taken_for_probabilities',
    'case_boundary_config_round_trip',
    'case_check_metrics_names_what_is_wrong',
    'case_check_metrics_of_losses_and_several_outputs',
    'case_boundary_refuses_what_has_no_meaning',
    'case_check_metrics_refuses_losses_that_keras_drops',
    'case_boundary_random',  # which keras_jax_x64 has
    'case_worst_cases_once_an_epoch',
    'case_calibration_published',
    'case_host_metrics_leave_the_training_alone',
]
# models of many metrics, and metrics compiled one by one; JAX has the first
DEAR_ON_TENSORFLOW = [
    'case_boundary_published_means',
    'case_host_metrics_leave_the_training_alone',
    'case_model_of_every_metric_and_level',
    'case_worst_cases_once_an_epoch',
    'case_boundary_by_hand',
    'case_boundary_published',
    'case_published',
    'case_calibration_published',
]
# by default, where metrics are compiled: numbers by hand and exact counts beyond 2^31; a model that is fitted, evaluated
# and saved where it is compiled fastest
QUICK = {
    'keras_tensorflow': {'case_by_hand', 'case_past_2_31_pixels', 'case_model_fit_evaluate_save', *TENSORFLOW},
    'keras_jax': set(),
    'keras_jax_x64': set(),
    'keras_torch': {*EVERYWHERE, *TORCH} - {'case_torch_metrics_of_tensors_without_values'},
}
CASES = {
    'keras_tensorflow': [case for case in EVERYWHERE + TENSORFLOW if case not in DEAR_ON_TENSORFLOW],
    'keras_jax': [case for case in EVERYWHERE if case not in DEAR_ON_JAX],
    'keras_jax_x64': X64,
    'keras_torch': EVERYWHERE + TORCH,
}
QUICKLY = dict(XLA_FLAGS=FAST_TO_COMPILE)  # XLA takes half of the time; as users compile: -m slow


def together(framework, case, group='metrics'):
    """A parameter; the cases of a framework run in one process."""
    name = case.removeprefix('case_')
    marks = [pytest.mark.xdist_group(f'{group} {framework}')]
    marks.append(pytest.mark.quick_on(framework) if case in QUICK[framework] else pytest.mark.slow)
    return pytest.param(framework, case, id=f'{name}-{framework}', marks=marks)


@pytest.fixture(scope='module')
def processes():
    """(framework, environment) -> the worker that lives; another one ends it."""
    living = {}
    yield living
    for process in living.values():
        process.close()


def replay(processes, framework, case, **environment):
    need(framework)
    key = framework, *environment.items()
    if key not in processes or processes[key].process.poll() is not None:
        for other in list(processes):
            processes.pop(other).close()
        processes[key] = Worker(framework, **environment)
    trace, _ = processes[key].call('tests.metrics.keras_worker:run', case=case)
    assert trace is None, trace


@pytest.mark.parametrize(
    ('framework', 'case'), [together(framework, case) for framework, cases in CASES.items() for case in cases]
)
def test_case(framework, case, processes):
    replay(processes, framework, case, **(QUICKLY if framework in ('keras_jax', 'keras_tensorflow') else {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('framework', 'case'),
    [
        *(together('keras_jax', case, 'compiled metrics') for case in EVERYWHERE),
        *(together('keras_tensorflow', case, 'compiled metrics') for case in EVERYWHERE + TENSORFLOW),
        *(together('keras_jax_x64', case, 'compiled metrics') for case in DEAR_ON_X64),
    ],
)
def test_case_as_users_compile_it(framework, case, processes):
    replay(processes, framework, case)


def test_every_list_names_cases():
    assert {*X64, *DEAR_ON_X64, *DEAR_ON_JAX, *DEAR_ON_TENSORFLOW} <= set(EVERYWHERE) and len(FUNCTIONS) == len(
        set(FUNCTIONS)
    ) > 50
