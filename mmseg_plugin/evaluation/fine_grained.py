"""FineGrainedMetric: the fine-grained overlap metrics as an evaluator of MMSegmentation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmseg.registry import METRICS

from mmseg_plugin.evaluation.base import ImageMetric
from mmseg_plugin.metrics.fine_grained import tensor_counts
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState

# IoUMetric's mFscore is another: it leaves out classes that are never right
OF_IOU_METRIC = ('mAcc', 'mIoU', 'mDice', 'mPrecision')


@METRICS.register_module()
class FineGrainedMetric(ImageMetric):
    """Logs ``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUI5``, ``mDiceCQ``, ... in per cent; parameters as in ``FineGrained``.

    The D results that ``IoUMetric`` has too are logged under its names as well: ``mIoU`` is ``mIoUD``, and so on. The
    number of classes is that of ``dataset_meta['classes']``. An image is one small row of counts. How images are told apart, and what ``output_dir``,
    ``format_only`` and ``per_image_file`` write: see ``ImageMetric``.
    """

    def __init__(
        self,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('D', 'I', 'C'),
        q: Sequence[int] = (1, 5),
        metrics: Sequence[str] = ('mAcc', 'mIoU', 'mDice'),
        beta: float = 1.0,
        present_in: str = 'target',
        binary: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        output_dir: str | None = None,
        format_only: bool = False,
        keep_results: bool = False,
        per_image_file: str | None = None,
    ) -> None:
        self._arguments = dict(
            ignore_index=ignore_index,
            levels=levels,
            q=q,
            metrics=metrics,
            beta=beta,
            present_in=present_in,
            binary=binary,
        )
        super().__init__(collect_device, prefix, output_dir, format_only, per_image_file)

    def specs_for(self, num_classes: int) -> list[FineGrained]:
        return [self.specs_of(FineGrained, num_classes=num_classes, **self._arguments)]

    def new_state(self) -> FineGrainedState:
        (spec,) = self.specs
        return FineGrainedState(spec.num_classes, spec.ignore_index)

    def row(self, sample: Mapping[str, Any]) -> tuple[np.ndarray]:
        (spec,) = self.specs
        return (tensor_counts(*self.maps(sample), spec.num_classes, spec.ignore_index),)

    def aliases(self, found: Mapping[str, float]) -> dict[str, float]:
        return {name: found[name + 'D'] for name in OF_IOU_METRIC if name + 'D' in found}
