"""Metrics for ``model.compile(metrics=[...])``; importing this package registers them for saving."""

from keras_plugin.metrics.callback import CheckMetrics
from keras_plugin.metrics.means import MeanAccuracy, MeanDice, MeanFscore, MeanIoU, MeanPrecision, PixelAccuracy
from keras_plugin.metrics.report import SegmentationReport

__all__ = [
    'CheckMetrics',
    'MeanAccuracy',
    'MeanDice',
    'MeanFscore',
    'MeanIoU',
    'MeanPrecision',
    'PixelAccuracy',
    'SegmentationReport',
]
