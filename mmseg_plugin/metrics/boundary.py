"""Boundary IoU and surface distances in PyTorch."""

from mmseg_plugin.metrics.base import Metric
from mmseg_plugin.metrics.label_maps import whole
from shared_spec.metrics import boundary as specs


class OfMasks(Metric):
    """What the two share."""

    def new_state(self):
        return specs.BoundaryState.for_specs(self.spec)

    def row(self, pred, target):
        return self.state.row(whole(pred).cpu().numpy(), target.cpu().numpy())


class BoundaryIoU(OfMasks):
    """``BoundaryIoUD``, ``BoundaryIoUI``, ``BoundaryIoUC`` as fractions; what they mean: ``segparity show BoundaryIoU``."""

    spec_class = specs.BoundaryIoU

    def __init__(
        self, num_classes, *, ignore_index=255, levels=('D', 'I', 'C'), ratio=0.02, present_in='target', binary=False,
        from_logits=True, sync=True,
    ):  # fmt: skip
        super().__init__(locals())


class SurfaceDistance(OfMasks):
    """``HDI``, ``HD95C``, ``ASSDI``, ... in units of ``spacing``; what they mean: ``segparity show SurfaceDistance``. SciPy."""

    spec_class = specs.SurfaceDistance

    def __init__(
        self, num_classes, *, ignore_index=255, levels=('I', 'C'), metrics=('HD', 'HD95', 'ASSD'), spacing=None,
        empty='inf', present_in='target', binary=False, from_logits=True, sync=True,
    ):  # fmt: skip
        super().__init__(locals())
