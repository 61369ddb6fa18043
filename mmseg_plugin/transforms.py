"""``GenerateDistanceMap`` and its packing, in the pipeline of an MMSegmentation config."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS

from shared_spec import LOSSES, SpecError
from shared_spec.distance import Mapped

PREFIX = 'gt_distance_map'
OF_HOST = ('loss_name', 'reduction')


@TRANSFORMS.register_module()
class GenerateDistanceMap:
    """Makes the map of distances that a loss multiplies with, from ``gt_seg_map``: after geometric augmentation.

    loss: the configuration of the loss, or its name; num_classes: the channels of the head's logits (1 with
    ``out_channels=1``); ignore_index: the head's. Adds (K, H, W) float32 under the name that the loss asks for, which
    ``PackSegInputsWithDistanceMap`` packs. What moves or cuts pixels must come before.
    """

    def __init__(self, loss: Mapping[str, Any] | str, num_classes: int, ignore_index: int | None = 255) -> None:
        given = dict(type=loss) if isinstance(loss, str) else dict(loss)
        kind = given.pop('type', None)
        kind = getattr(kind, '__name__', kind)
        if kind not in LOSSES or not issubclass(LOSSES[kind], Mapped):
            known = sorted(name for name, spec in LOSSES.items() if issubclass(spec, Mapped))
            raise SpecError(
                f'must be one of {", ".join(known)}, got {kind!r}', owner='GenerateDistanceMap', parameter='loss'
            )
        self.spec: Any = LOSSES[kind](**{name: value for name, value in given.items() if name not in OF_HOST})
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise SpecError(
                owner='GenerateDistanceMap', parameter='num_classes', given=num_classes, allowed='an integer >= 1'
            )
        self.num_classes, self.ignore_index = num_classes, ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The results with the map. ValueError without a ``gt_seg_map`` (H, W)."""
        labels: Any = results.get('gt_seg_map')
        if np.ndim(labels) != 2:
            got = 'none' if labels is None else f'shape {np.shape(labels)}'
            raise ValueError(
                f'GenerateDistanceMap: needs gt_seg_map (H, W), got {got}; it stands after LoadAnnotations and before packing'
            )
        ignored = None if self.ignore_index == self.spec.ignore_index else self.ignore_index
        results[self.spec.map_field] = self.spec.distance_map(labels, self.num_classes, ignored)
        return results

    __call__ = transform

    def __repr__(self) -> str:
        return f'GenerateDistanceMap(loss={self.spec.to_mmseg()}, num_classes={self.num_classes})'


@TRANSFORMS.register_module()
class PackSegInputsWithDistanceMap:
    """``PackSegInputs`` of MMSegmentation, whose data sample also has what ``GenerateDistanceMap`` has made."""

    def __init__(self, meta_keys: Sequence[str] | None = None) -> None:
        from mmseg.datasets.transforms import PackSegInputs  # and the data sets: seconds that others need not wait

        self.pack = PackSegInputs() if meta_keys is None else PackSegInputs(meta_keys=meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        packed = self.pack.transform(results)
        for name, value in results.items():
            if name.startswith(PREFIX):
                packed['data_samples'].set_field(PixelData(data=torch.from_numpy(value)), name)
        return packed

    __call__ = transform

    def __repr__(self) -> str:
        return f'PackSegInputsWithDistanceMap(meta_keys={self.pack.meta_keys})'
