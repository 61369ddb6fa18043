"""The calibration errors in PyTorch."""

import torch

from mmseg_plugin.metrics.base import Metric, in_float32
from mmseg_plugin.metrics.device_cells import tensor_cells
from shared_spec.metrics.calibration import Calibration as Spec
from shared_spec.metrics.calibration_state import CalibrationState


class Calibration(Metric):
    """``ECED``, ``ECEI``, ``SCED``, ``SCEI`` as fractions; what they mean: ``segparity show Calibration``.

    Probabilities are the softmax of logits, of one channel the sigmoid.
    """

    spec_class = Spec

    def __init__(
        self, num_classes, *, ignore_index=255, levels=('D', 'I'), metrics=('ECE', 'SCE'), bins=10, hit='label',
        binary=False, from_logits=True, sync=True,
    ):  # fmt: skip
        super().__init__(locals())

    def new_state(self):
        return CalibrationState(self.spec.num_classes, self.spec.ignore_index, self.spec.bins)

    def prepared(self, pred, target):
        prob = in_float32(pred)
        if self.logits:
            prob = prob.softmax(0) if len(prob) > 1 else torch.sigmoid(prob)
        return prob.nan_to_num(posinf=0.0)  # counted as no number: the results are NaN

    def row(self, pred, target):
        return (tensor_cells(pred, target, self.spec.num_classes, self.spec.bins, self.spec.ignore_index),)
