"""CalibrationMetric: the calibration errors ECE and SCE as an evaluator of MMSegmentation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmseg.registry import METRICS

from mmseg_plugin.evaluation.base import ImageMetric
from mmseg_plugin.metrics.base import in_float32
from mmseg_plugin.metrics.calibration import logit_cells, tensor_cells
from mmseg_plugin.metrics.label_maps import to_integers
from mmseg_plugin.metrics.soundness import augmentations, can_come_from, valid_pixels
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.calibration.state import CalibrationState, check_shape

MERGED = (
    'calibration needs the seg_logits of the prediction itself, which test-time augmentation does not hand on: '
    'evaluate without it'
)


@METRICS.register_module()
class CalibrationMetric(ImageMetric):
    """Logs ``ECED``, ``ECEI``, ``SCED``, ``SCEI`` in per cent (JDTLosses: SCE in per mille); parameters of ``Calibration``.

    Probabilities are the softmax of a sample's ``seg_logits``; of a head with one channel MMSegmentation has already
    taken the sigmoid there, and its threshold plays no part. Test-time augmentation is refused: it merges predictions,
    but hands on the ``seg_logits`` of one of them. Lower is better. How images are told apart, and what the files hold:
    see ``ImageMetric``.
    """

    def __init__(
        self,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('D', 'I'),
        metrics: Sequence[str] = ('ECE', 'SCE'),
        bins: int = 10,
        hit: str = 'label',
        binary: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        output_dir: str | None = None,
        format_only: bool = False,
        keep_results: bool = False,
        per_image_file: str | None = None,
    ) -> None:
        self._arguments = dict(
            ignore_index=ignore_index, levels=levels, metrics=metrics, bins=bins, hit=hit, binary=binary
        )
        super().__init__(collect_device, prefix, output_dir, format_only, per_image_file)

    def specs_for(self, num_classes: int) -> list[Calibration]:
        return [self.specs_of(Calibration, num_classes=num_classes, **self._arguments)]

    def new_state(self) -> CalibrationState:
        (spec,) = self.specs
        return CalibrationState(spec.num_classes, spec.ignore_index, spec.bins)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        merged = augmentations(data_batch)
        if merged > 1 and not self.format_only:
            raise ValueError(f'{type(self).__name__}: {MERGED}, got a batch of {merged} augmentations')
        super().process(data_batch, data_samples)

    def row(self, sample: Mapping[str, Any]) -> tuple[np.ndarray]:
        owner, (spec,) = type(self).__name__, self.specs
        if 'seg_logits' not in sample:
            raise ValueError(f"{owner}: every data sample must have 'seg_logits', got {sorted(sample)}")
        logits, target = sample['seg_logits']['data'], to_integers(sample['gt_sem_seg']['data'])
        target = target.reshape(target.shape[-2:])
        check_shape(tuple(logits.shape), tuple(target.shape), spec.num_classes)
        pred, valid = sample.get('pred_sem_seg'), valid_pixels(target, spec.ignore_index)
        if pred is not None and not can_come_from(logits, pred['data'], valid):
            raise ValueError(f'{owner}: {MERGED}, got a pred_sem_seg that is not predicted from seg_logits')
        about = target, spec.num_classes, spec.bins, spec.ignore_index
        if len(logits) > 1:
            return (logit_cells(logits, *about),)
        # probabilities already; what is no number is counted as not finite: the results are NaN
        return (tensor_cells(in_float32(logits).nan_to_num(posinf=0.0), *about),)
