"""Metrics for ``model.compile(metrics=[...])``; importing this package registers them for saving."""

from keras_plugin.metrics import direction  # noqa: F401
from keras_plugin.metrics.boundary import BoundaryIoU
from keras_plugin.metrics.calibration import CalibrationError
from keras_plugin.metrics.callback import CheckMetrics, WorstCaseResults
from keras_plugin.metrics.fine_grained import MeanAccuracy, MeanDice, MeanFscore, MeanIoU, MeanPrecision, PixelAccuracy
from keras_plugin.metrics.host import HostMetrics
from keras_plugin.metrics.report import SegmentationReport

__all__ = [
    'BoundaryIoU',
    'CalibrationError',
    'CheckMetrics',
    'HostMetrics',
    'MeanAccuracy',
    'MeanDice',
    'MeanFscore',
    'MeanIoU',
    'MeanPrecision',
    'PixelAccuracy',
    'SegmentationReport',
    'WorstCaseResults',
]
