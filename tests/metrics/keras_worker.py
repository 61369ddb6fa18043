"""Runs a case of the Keras metrics in the worker of a backend, which has loaded nothing of it before."""

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

if BACKEND == 'tensorflow':  # two devices, for the cases of strategies
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices('CPU')[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


def run(arrays, case):
    """None, or what went wrong."""
    try:
        CASES[case]()
    except Exception:
        return traceback.format_exc(limit=-3), {}
    return None, {}
