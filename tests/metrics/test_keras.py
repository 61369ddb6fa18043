"""The Keras metrics on every backend, each in a process of its own: the backend is chosen at import."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from segparity.parity.frameworks import FAST_TO_COMPILE

HERE = Path(__file__).parent
QUICKLY = dict(XLA_FLAGS=FAST_TO_COMPILE)  # half of the time; as users compile: -m slow
BACKENDS = {
    'keras_tensorflow': dict(KERAS_BACKEND='tensorflow'),
    'keras_jax': dict(KERAS_BACKEND='jax', **QUICKLY),
    'keras_jax_x64': dict(KERAS_BACKEND='jax', JAX_ENABLE_X64='1', **QUICKLY),
    'keras_torch': dict(KERAS_BACKEND='torch'),
}
SOURCE = '\n'.join(path.read_text() for path in sorted(HERE.glob('keras_*cases.py')))
EVERYWHERE = re.findall(r'^def (case_(?!tensorflow|torch)\w+)', SOURCE, re.MULTILINE)
TENSORFLOW = re.findall(r'^def (case_tensorflow\w+)', SOURCE, re.MULTILINE)
TORCH = re.findall(r'^def (case_torch\w+)', SOURCE, re.MULTILINE)
# what the width of JAX's integers and floats can change; the rest would only repeat keras_jax
X64 = [
    'case_by_hand',
    'case_float64_is_float64',
    'case_kinds_of_input',
    'case_past_2_31_pixels',
    'case_a_carry_in_every_batch',
    'case_sums_do_not_stick_at_2_24_images',
    'case_beyond_max_images',
    'case_mixed_precision_counts_exactly',
    'case_calibration_published_edges',
    'case_calibration_bins_are_exact',
    'case_calibration_past_2_31_pixels',
    'case_boundary_random',
    'case_wrong_pixels_spoil_every_metric',
    'case_bools_and_wide_integers_are_labels',
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
]
CASES = {
    'keras_tensorflow': EVERYWHERE + TENSORFLOW,
    'keras_jax': [case for case in EVERYWHERE if case not in DEAR_ON_JAX],
    'keras_jax_x64': X64,
    'keras_torch': EVERYWHERE + TORCH,
}


@pytest.mark.parametrize('backend', BACKENDS)
def test_cases(backend, tmp_path):
    replay(BACKENDS[backend], CASES[backend], tmp_path)


@pytest.mark.slow
def test_every_case_on_jax_as_users_compile_it(tmp_path):
    replay(dict(KERAS_BACKEND='jax'), EVERYWHERE, tmp_path)


def replay(environment, cases, folder):
    for module in ('keras', environment['KERAS_BACKEND']):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module} is not installed')
    quiet = dict(TF_CPP_MIN_LOG_LEVEL='3', CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, HERE / 'worker.py', 'tests.metrics.keras_worker', 'outcome.json', *cases],
        env={**os.environ, **quiet, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads((folder / 'outcome.json').read_text())
    assert sorted(outcome) == sorted(cases)
    failed = {case: trace for case, trace in outcome.items() if trace}
    assert not failed, '\n'.join(f'{case}\n{trace}' for case, trace in failed.items())
