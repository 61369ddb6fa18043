"""Test-time augmentation of heads with one channel: the sigmoid once, as without augmentation."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg_plugin.late_patch import patch_when_defined

SEGMENTORS = 'mmseg.models.segmentors'


def merge_probabilities_once() -> bool:
    """``SegTTAModel`` averages the probabilities of one-channel heads.

    The segmentor stores their sigmoid as ``seg_logits``, and MMSegmentation 1.2 takes the sigmoid of that again: all
    of it is then 0.5 or more, above any usual threshold. Models of several channels are merged as ever.
    """
    if not takes_the_sigmoid('base.py') or not takes_the_sigmoid('seg_tta.py'):
        return False
    from mmengine.model import BaseTTAModel

    patch_when_defined(BaseTTAModel, f'{SEGMENTORS}.seg_tta', 'SegTTAModel', mend)
    return True


def takes_the_sigmoid(file: str) -> bool:
    """Whether a module of the installed segmentors does; read, not imported."""
    package = Path(importlib.util.find_spec('mmseg').origin)  # type: ignore[union-attr,arg-type]  # it is installed
    found = package.parent / 'models' / 'segmentors' / file
    return found.is_file() and '.sigmoid()' in found.read_text(encoding='utf-8')


def mend(cls: Any) -> None:
    merge = cls.merge_preds

    def merge_preds(self: Any, data_samples_list: Sequence[Sequence[Any]]) -> list[Any]:
        if self.module.out_channels > 1:
            return merge(self, data_samples_list)
        return [
            merge_predictions(data_samples, self.module.decode_head.threshold) for data_samples in data_samples_list
        ]

    cls.merge_preds = merge_preds


def merge_predictions(data_samples: Sequence[Any], threshold: float) -> Any:
    """The last sample with the prediction of all, labels and path of the first: what ``merge_preds`` hands on."""
    from mmengine.structures import PixelData

    first, last = data_samples[0], data_samples[-1]
    prob = sum(sample.seg_logits.data for sample in data_samples) / len(data_samples)
    last.set_data({'pred_sem_seg': PixelData(data=(prob > threshold).to(prob))})
    if hasattr(first, 'gt_sem_seg'):
        last.set_data({'gt_sem_seg': first.gt_sem_seg})
    last.set_metainfo({'img_path': first.img_path})
    return last
