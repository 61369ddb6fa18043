"""``GenerateDistanceMap`` and its packing, in the pipeline of an MMSegmentation config."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS

from shared_spec import LOSSES, SpecError
from shared_spec.checks import Integer, Optional
from shared_spec.distance import Mapped, check_num_classes
from shared_spec.parameters import NamedParameters, check_parameter

PREFIX = 'gt_distance_map'
MADE_OF = 'labels_of_distance_maps'  # in the results: field -> checksum
OF_HOST = ('loss_name', 'reduction')


@TRANSFORMS.register_module()
class GenerateDistanceMap(metaclass=NamedParameters):
    """Makes the map of distances that a loss multiplies with, from ``gt_seg_map``: after geometric augmentation.

    loss: the configuration of the loss, or its name; num_classes: the channels of the head's logits (1 with
    ``out_channels=1``); ignore_index: the head's. Adds (K, H, W) float32 under the name that the loss asks for, which
    ``PackSegInputsWithDistanceMap`` packs. What moves or cuts pixels must come before.
    """

    def __init__(self, loss: Mapping[str, Any] | str, num_classes: int, ignore_index: int | None = 255) -> None:
        owner = 'GenerateDistanceMap'
        if not isinstance(loss, (str, Mapping)):
            rule = f'must be the configuration of one loss, or its name, got a {type(loss).__name__}; each map has a transform'
            raise SpecError(rule, owner=owner, parameter='loss', given=loss)
        given = dict(type=loss) if isinstance(loss, str) else dict(loss)
        kind = given.pop('type', None)
        kind = getattr(kind, '__name__', kind)
        if kind not in LOSSES or not issubclass(LOSSES[kind], Mapped):
            known = sorted(name for name, spec in LOSSES.items() if issubclass(spec, Mapped))
            raise SpecError(f'must be one of {", ".join(known)}, got {kind!r}', owner=owner, parameter='loss')
        spec: Any = LOSSES[kind](**{name: value for name, value in given.items() if name not in OF_HOST})
        spec.check_takes_map(owner)
        self.spec = spec
        self.num_classes = check_num_classes(owner, num_classes)
        self.ignore_index = check_parameter(owner, 'ignore_index', Optional(Integer()), ignore_index)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The results with the map. ValueError without a ``gt_seg_map`` (H, W)."""
        labels: Any = results.get('gt_seg_map')
        if np.ndim(labels) != 2:
            got = 'none' if labels is None else f'shape {np.shape(labels)}'
            raise ValueError(
                f'GenerateDistanceMap: needs gt_seg_map (H, W), got {got}; it stands after LoadAnnotations and before packing'
            )
        field = self.spec.map_field_of(self.ignore_index)
        results[field] = self.spec.distance_map(labels, self.num_classes, self.ignore_index, dimensions=2)
        results[MADE_OF] = {**results.get(MADE_OF, {}), field: checksum(labels)}
        return results

    __call__ = transform

    def __repr__(self) -> str:
        return f'GenerateDistanceMap(loss={self.spec.to_mmseg()}, num_classes={self.num_classes})'


@TRANSFORMS.register_module()
class PackSegInputsWithDistanceMap(metaclass=NamedParameters):
    """``PackSegInputs`` of MMSegmentation, whose data sample also has what ``GenerateDistanceMap`` has made.

    ValueError where ``gt_seg_map`` is no longer what a map was made of.
    """

    def __init__(self, meta_keys: Sequence[str] | None = None) -> None:
        from mmseg.datasets.transforms import PackSegInputs  # and the data sets: seconds that others need not wait

        self.pack = PackSegInputs() if meta_keys is None else PackSegInputs(meta_keys=meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        packed = self.pack.transform(results)
        for name, value in results.items():
            if name.startswith(PREFIX):
                check_fresh(name, results)
                packed['data_samples'].set_field(PixelData(data=torch.from_numpy(value)), name)
        return packed

    __call__ = transform

    def __repr__(self) -> str:
        return f'PackSegInputsWithDistanceMap(meta_keys={self.pack.meta_keys})'


def checksum(labels: np.ndarray) -> tuple[int, tuple[int, ...]]:
    """What tells labels from others, whatever their dtype: a number, and their shape."""
    return zlib.crc32(np.ascontiguousarray(labels, dtype=np.int64).data), np.shape(labels)


def check_fresh(field: str, results: Mapping[str, Any]) -> None:
    """ValueError where the labels are no longer those that ``GenerateDistanceMap`` made a map of."""
    made_of, labels = results.get(MADE_OF, {}).get(field), results.get('gt_seg_map')
    if made_of is not None and (labels is None or made_of != checksum(labels)):
        raise ValueError(
            f'PackSegInputsWithDistanceMap: gt_seg_map has changed since GenerateDistanceMap made {field} of it; '
            'GenerateDistanceMap stands after everything that flips, rotates, resizes, cuts or renames labels'
        )
