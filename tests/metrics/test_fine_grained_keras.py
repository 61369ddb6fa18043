"""The Keras metrics on every backend, each in a process of its own: the backend is chosen at import."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BACKENDS = {
    'keras_tensorflow': dict(KERAS_BACKEND='tensorflow'),
    'keras_jax': dict(KERAS_BACKEND='jax'),
    'keras_jax_x64': dict(KERAS_BACKEND='jax', JAX_ENABLE_X64='1'),
    'keras_torch': dict(KERAS_BACKEND='torch'),
}
SOURCE = (HERE / 'keras_cases.py').read_text() + (HERE / 'keras_model_cases.py').read_text()
EVERYWHERE = re.findall(r'^def (case_(?!tensorflow)\w+)', SOURCE, re.M)
TENSORFLOW = ['case_tensorflow_traces_unknown_sizes', 'case_tensorflow_replicas']
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
]
CASES = {
    'keras_tensorflow': EVERYWHERE + TENSORFLOW,
    'keras_jax': EVERYWHERE,
    'keras_jax_x64': X64,
    'keras_torch': EVERYWHERE,
}


@pytest.mark.parametrize('backend', BACKENDS)
def test_cases(backend, tmp_path):
    environment = BACKENDS[backend]
    for module in ('keras', environment['KERAS_BACKEND']):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module} is not installed')
    quiet = dict(TF_CPP_MIN_LOG_LEVEL='3', CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, HERE / 'worker.py', 'tests.metrics.keras_worker', 'outcome.json', *CASES[backend]],
        env={**os.environ, **quiet, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads((tmp_path / 'outcome.json').read_text())
    assert sorted(outcome) == sorted(CASES[backend])
    failed = {case: trace for case, trace in outcome.items() if trace}
    assert not failed, f'{backend}: ' + '\n'.join(f'{case}\n{trace}' for case, trace in failed.items())
