"""The fine-grained overlap metrics in PyTorch, from counts that are taken where the maps lie."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmseg_plugin.metrics.base import Metric
from mmseg_plugin.metrics.label_maps import to_integers
from shared_spec.metrics.fine_grained import FineGrained as Spec
from shared_spec.metrics.fine_grained import FineGrainedState
from shared_spec.metrics.fine_grained.state import image_counts


class FineGrained(Metric):
    """``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUI5``, ``mDiceCQ``, ... as fractions; what they mean: ``segparity show FineGrained``.

    Class ids are taken as they are, of scores the largest, of one channel those above 0 (probabilities: 0.5).
    """

    spec_class = Spec

    def __init__(
        self,
        num_classes: int,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('D', 'I', 'C'),
        q: Sequence[int] = (1, 5),
        metrics: Sequence[str] = ('mAcc', 'mIoU', 'mDice'),
        beta: float = 1.0,
        present_in: str = 'target',
        binary: bool = False,
        from_logits: bool = True,
        sync: bool = True,
    ) -> None:
        super().__init__(locals())

    def new_state(self) -> FineGrainedState:
        return FineGrainedState(self.spec.num_classes, self.spec.ignore_index)

    def row(self, pred: Tensor, target: Tensor) -> tuple[np.ndarray]:
        return (tensor_counts(pred, target, self.spec.num_classes, self.spec.ignore_index),)


def tensor_counts(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int | None) -> np.ndarray:
    """tp, fp, fn of two id maps of one shape -> NumPy int64 (num_classes, 3), as ``image_counts`` defines them."""
    if pred.device.type == 'cpu':
        return image_counts(to_integers(pred).numpy(), to_integers(target.cpu()).numpy(), num_classes, ignore_index)
    return count_on_device(to_integers(pred), to_integers(target.to(pred.device)), num_classes, ignore_index)


def count_on_device(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int | None) -> np.ndarray:
    """The same with one pass and one small transfer; the rows after the classes are 'other' and 'ignored'."""
    pred, target = pred.reshape(-1).long(), target.reshape(-1).long()
    row = torch.where((target < 0) | (target >= num_classes), num_classes, target)
    if ignore_index is not None:
        row = torch.where(target == ignore_index, num_classes + 1, row)
    column = torch.where((pred < 0) | (pred >= num_classes), num_classes, pred)
    width = num_classes + 1
    table = torch.bincount(row * width + column, minlength=(num_classes + 2) * width)
    table = table.reshape(num_classes + 2, width).cpu()[: num_classes + 1]
    if table[:, num_classes].any():
        raise ValueError(f'image_counts: predictions must be class ids below {num_classes}, got others')
    table = table[:, :num_classes]
    tp = table.diagonal()
    return torch.stack([tp, table.sum(0) - tp, table[:num_classes].sum(1) - tp], 1).numpy()
