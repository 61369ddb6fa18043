"""Calibration errors: the spec with its reference, and the state that merges."""

from shared_spec.metrics.calibration.spec import Calibration
from shared_spec.metrics.calibration.state import CalibrationState

__all__ = ['Calibration', 'CalibrationState']
