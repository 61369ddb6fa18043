"""The fine-grained overlap metrics in PyTorch."""

from mmseg_plugin.metrics.base import Metric
from mmseg_plugin.metrics.device_counts import tensor_counts
from shared_spec.metrics.counts import FineGrainedState
from shared_spec.metrics.fine_grained import FineGrained as Spec


class FineGrained(Metric):
    """``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUI5``, ``mDiceCQ``, ... as fractions; what they mean: ``segparity show FineGrained``.

    Class ids are taken as they are, of scores the largest, of one channel those above 0 (probabilities: 0.5).
    """

    spec_class = Spec

    def __init__(
        self, num_classes, *, ignore_index=255, levels=('D', 'I', 'C'), q=(1, 5), metrics=('mAcc', 'mIoU', 'mDice'),
        beta=1.0, present_in='target', binary=False, from_logits=True, sync=True,
    ):  # fmt: skip
        super().__init__(locals())

    def new_state(self):
        return FineGrainedState(self.spec.num_classes, self.spec.ignore_index)

    def row(self, pred, target):
        return (tensor_counts(pred, target, self.spec.num_classes, self.spec.ignore_index),)
