"""Every loss by its name, with PyTorch alone: ``mmseg_plugin.losses.JaccardMetricLoss``, and the rest of the spec's."""

import sys

from mmseg_plugin.registry import LOSSES
from shared_spec._discover import import_all

import_all(sys.modules[__name__])
globals().update(LOSSES)
__all__ = sorted(LOSSES)
