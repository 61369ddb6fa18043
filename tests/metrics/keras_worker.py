"""Runs cases of the Keras metrics: ``KERAS_BACKEND=... python worker.py tests.metrics.keras_worker OUT [case ...]``.

Writes {case: None, or what went wrong} as JSON to OUT; without names it runs them all.
"""

import json
import sys
import traceback

from tests.metrics import (
    keras_boundary_cases,
    keras_calibration_cases,
    keras_callback_cases,
    keras_cases,
    keras_check_cases,
    keras_host_cases,
    keras_model_cases,
    keras_wrong_cases,
)
from tests.metrics.keras_run import BACKEND

MODULES = (
    keras_cases,
    keras_calibration_cases,
    keras_boundary_cases,
    keras_model_cases,
    keras_callback_cases,
    keras_host_cases,
    keras_wrong_cases,
    keras_check_cases,
)
CASES = {name: case for module in MODULES for name, case in vars(module).items() if name.startswith('case_')}


def main(out, *names):
    if BACKEND == 'tensorflow':
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices('CPU')[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    outcome = {}
    for name in names or CASES:
        try:
            CASES[name]()
            outcome[name] = None
        except Exception:
            outcome[name] = traceback.format_exc(limit=-3)
    with open(out, 'w') as file:
        json.dump(outcome, file)


if __name__ == '__main__':
    main(*sys.argv[1:])
