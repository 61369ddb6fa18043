"""Boundary IoU and surface distances in PyTorch."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg_plugin.metrics.base import Metric
from mmseg_plugin.metrics.label_maps import to_integers
from shared_spec.metrics import boundary as specs


class MaskMetric(Metric):
    """What the two share."""

    def new_state(self) -> specs.BoundaryState:
        return specs.BoundaryState.for_specs(self.spec)

    def row(self, pred: Tensor, target: Tensor) -> tuple[Any, ...]:
        return self.state.row(to_integers(pred).cpu().numpy(), target.cpu().numpy())


class BoundaryIoU(MaskMetric):
    """``BoundaryIoUD``, ``BoundaryIoUI``, ``BoundaryIoUC`` as fractions; what they mean: ``segparity show BoundaryIoU``."""

    spec_class = specs.BoundaryIoU

    def __init__(
        self,
        num_classes: int,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('D', 'I', 'C'),
        ratio: float = 0.02,
        present_in: str = 'target',
        binary: bool = False,
        from_logits: bool = True,
        sync: bool = True,
    ) -> None:
        super().__init__(locals())


class SurfaceDistance(MaskMetric):
    """``HDI``, ``HD95C``, ``ASSDI``, ... in units of ``spacing``; what they mean: ``segparity show SurfaceDistance``. SciPy."""

    spec_class = specs.SurfaceDistance

    def __init__(
        self,
        num_classes: int,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('I', 'C'),
        metrics: Sequence[str] = ('HD', 'HD95', 'ASSD'),
        spacing: Sequence[float] | None = None,
        empty: str = 'inf',
        present_in: str = 'target',
        binary: bool = False,
        from_logits: bool = True,
        sync: bool = True,
    ) -> None:
        super().__init__(locals())
