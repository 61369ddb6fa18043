"""Where the soft labels of a decode head come from: its class ids, smoothed, or a field of its data samples."""

import dataclasses
from typing import Any

import torch
from mmengine.structures import PixelData
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.heads.labels import classes_of
from mmseg_plugin.soft_labels.smoothing import boundary_label_smoothing, label_smoothing
from mmseg_plugin.values import can_look
from shared_spec.soft_label_arguments import check_parameters, check_window
from shared_spec.values import is_no_distribution

FIELD = 'gt_soft_seg'


@dataclasses.dataclass(frozen=True)
class LabelSmoothing:
    """(1 - epsilon) * one-hot + epsilon / C at every pixel."""

    epsilon: float
    owner: str = 'LabelSmoothing'

    def __post_init__(self) -> None:
        check_parameters(self.owner, epsilon=self.epsilon)

    def __str__(self) -> str:
        return self.owner

    def __call__(self, head: Any, samples: list[Any], ids: Tensor, dtype: torch.dtype) -> Tensor:
        given = dict(num_classes=classes_of(head), ignore_index=head.ignore_index, dtype=dtype)
        return label_smoothing(ids, self.epsilon, **given)


@dataclasses.dataclass(frozen=True)
class BoundaryLabelSmoothing(LabelSmoothing):
    """The same in pixels whose window has another class and none that is ignored, one-hot elsewhere."""

    window: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_window(self.owner, self.window)

    def __call__(self, head: Any, samples: list[Any], ids: Tensor, dtype: torch.dtype) -> Tensor:
        given = dict(num_classes=classes_of(head), ignore_index=head.ignore_index, dtype=dtype)
        return boundary_label_smoothing(ids, self.epsilon, self.window, **given)


@dataclasses.dataclass(frozen=True)
class SampleLabels:
    """``gt_soft_seg`` of the data samples: (C, H, W) shares that sum to 1, 0 in every class where a pixel is ignored."""

    owner: str = 'SampleLabels'

    def __str__(self) -> str:
        return self.owner

    def __call__(self, head: Any, samples: list[Any], ids: Tensor, dtype: torch.dtype) -> Tensor:
        """(N, C, H, W); what the batch was padded with is ignored. ValueError or TypeError for what is none."""
        missing = sum(FIELD not in sample for sample in samples)
        if missing:
            raise ValueError(
                f'{self.owner}: {missing} of {len(samples)} data samples have no {FIELD}, which a transform of the '
                'pipeline makes'
            )
        classes, told = classes_of(head), f'{type(head).__name__}, {classes_of(head)}'
        soft = []
        for sample in samples:
            given, size = sample.get(FIELD), tuple(sample.gt_sem_seg.data.shape[-2:])
            shares = given.get('data') if isinstance(given, PixelData) else given
            if not isinstance(shares, Tensor):
                kind = 'PixelData of ' * isinstance(given, PixelData) + type(shares).__name__
                raise TypeError(f'{self.owner}: {FIELD} must be PixelData of a float tensor (C, H, W), got {kind}')
            if not shares.is_floating_point():
                raise TypeError(f'{self.owner}: {FIELD} must be floating point, got {shares.dtype}')
            if shares.dim() != 3 or len(shares) != classes:
                raise ValueError(
                    f'{self.owner}: {FIELD} must be (C, H, W) with the classes of {told}, got {tuple(shares.shape)}'
                )
            soft.append(self.padded(shares, size, sample.metainfo.get('padding_size')).to(ids.device, dtype))
        return self.checked(torch.stack(soft))

    def padded(self, shares: Tensor, size: tuple[int, int], padding: Any) -> Tensor:
        """(C, *size) the shares, followed by zeros where MMSegmentation has padded the class ids."""
        height, width = shares.shape[1:]
        left, right, above, below = map(int, padding if padding is not None else [0] * 4)
        if (height, width) != size:
            if (height + above + below, width + left + right) != size:
                raise ValueError(
                    f'{self.owner}: {FIELD} must have the size of gt_sem_seg {size}, got {(height, width)}; what makes it '
                    'stands after what flips, resizes or cuts'
                )
            shares = functional.pad(shares, (left, right, above, below))
        return shares

    def checked(self, soft: Tensor) -> Tensor:
        """The shares, refused where those of a pixel neither sum to 1 nor are all 0; NaN there where nobody can look."""
        total = soft.sum(1)
        wrong = is_no_distribution(total) & (soft != 0).any(1)
        if not can_look(soft):
            return soft.masked_fill(wrong[:, None], torch.nan)
        if wrong.any():
            raise ValueError(
                f'{self.owner}: {FIELD} must sum to 1 in a pixel, or be 0 in every class of an ignored one, got '
                f'{total[wrong][0].item():g}'
            )
        return soft
