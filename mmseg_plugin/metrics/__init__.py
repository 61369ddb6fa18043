"""Metrics with PyTorch alone: ``update`` with batches, ``compute``, ``reset``, ``merge``; exact over the ranks of a job."""

from mmseg_plugin.metrics.boundary import BoundaryIoU, SurfaceDistance
from mmseg_plugin.metrics.calibration import Calibration
from mmseg_plugin.metrics.fine_grained import FineGrained

__all__ = ['BoundaryIoU', 'Calibration', 'FineGrained', 'SurfaceDistance']
