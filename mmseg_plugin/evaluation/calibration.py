"""CalibrationMetric: the calibration errors ECE and SCE as an evaluator of MMSegmentation."""

import torch
from mmseg.registry import METRICS

from mmseg_plugin.evaluation.base import ImageMetric
from mmseg_plugin.evaluation.device_cells import tensor_cells
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.calibration_state import CalibrationState


@METRICS.register_module()
class CalibrationMetric(ImageMetric):
    """Logs ``ECED``, ``ECEI``, ``SCED``, ``SCEI`` in per cent (JDTLosses: SCE in per mille); parameters of ``Calibration``.

    Probabilities are the softmax of a sample's ``seg_logits``; of a head with one channel MMSegmentation has already
    taken the sigmoid there, and its threshold plays no part. Test-time augmentation leaves no ``seg_logits``. Lower is
    better. How images are told apart, and what the files hold: see ``ImageMetric``.
    """

    def __init__(
        self,
        *,
        ignore_index=255,
        levels=('D', 'I'),
        metrics=('ECE', 'SCE'),
        bins=10,
        hit='label',
        binary=False,
        collect_device='cpu',
        prefix=None,
        output_dir=None,
        format_only=False,
        per_image_file=None,
    ):
        self._arguments = dict(
            ignore_index=ignore_index, levels=levels, metrics=metrics, bins=bins, hit=hit, binary=binary
        )
        super().__init__(collect_device, prefix, output_dir, format_only, per_image_file)

    def specs_for(self, num_classes):
        return [self.specs_of(Calibration, num_classes=num_classes, **self._arguments)]

    def new_state(self):
        (spec,) = self.specs
        return CalibrationState(spec.num_classes, spec.ignore_index, spec.bins)

    def row(self, sample):
        (spec,) = self.specs
        if 'seg_logits' not in sample:
            raise ValueError(
                f"{type(self).__name__}: every data sample must have 'seg_logits' (test-time augmentation drops "
                f'them), got {sorted(sample)}'
            )
        prob = probabilities(sample['seg_logits']['data'])
        target = sample['gt_sem_seg']['data'].reshape(sample['gt_sem_seg']['data'].shape[-2:])
        return (tensor_cells(prob, target, spec.num_classes, spec.bins, spec.ignore_index),)


def probabilities(seg_logits):
    """Softmax over the channels (C, H, W) in float32 or wider; one channel holds probabilities already."""
    seg_logits = seg_logits.detach().to(torch.promote_types(seg_logits.dtype, torch.float32))
    return seg_logits.softmax(0) if len(seg_logits) > 1 else seg_logits
