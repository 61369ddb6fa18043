"""Images without labels beside labelled ones: the transform that loads no labels, and the sampler that mixes both."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import DATA_SAMPLERS, TRANSFORMS

from shared_spec.checks import Boolean, Integer, Optional
from shared_spec.parameters import NamedParameters, SpecError, check_parameter


@TRANSFORMS.register_module()
class LoadNoAnnotations(metaclass=NamedParameters):
    """In place of ``LoadAnnotations`` for an image without labels: a ``gt_seg_map`` of which every pixel is ignored.

    ignore_index: what the head ignores, at most 255. What flips, cuts or resizes after it treats both kinds of images alike.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        self.ignore_index = check_parameter('LoadNoAnnotations', 'ignore_index', Integer(low=0, high=255), ignore_index)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The results with labels (H, W). ValueError before an image is loaded."""
        if 'img' not in results:
            raise ValueError('LoadNoAnnotations: needs img, and stands after LoadImageFromFile')
        results['gt_seg_map'] = np.full(results['img'].shape[:2], self.ignore_index, np.uint8)
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    __call__ = transform

    def __repr__(self) -> str:
        return f'LoadNoAnnotations(ignore_index={self.ignore_index})'


@DATA_SAMPLERS.register_module()
class SemiSupervisedSampler(torch.utils.data.Sampler[int], metaclass=NamedParameters):
    """Endless batches with so many images of the first data set, and the rest of the others.

    For ``train_dataloader.sampler``; dataset: ``ConcatDataset`` of labelled images first. batch_size: that of the loader;
    labelled: how many of a batch are labelled, half by default. Each rank draws images of its own; the order depends on
    the seed alone. ValueError where there are no two data sets, or one is empty.
    """

    def __init__(
        self, dataset: Any, batch_size: int, labelled: int | None = None, shuffle: bool = True, seed: int | None = None
    ) -> None:
        owner = 'SemiSupervisedSampler'
        self.batch_size = check_parameter(owner, 'batch_size', Integer(low=2), batch_size)
        default = batch_size // 2 if labelled is None else labelled
        self.labelled = check_parameter(owner, 'labelled', Integer(low=1), default)
        if self.labelled >= self.batch_size:
            rule = f'must leave room for unlabelled images in a batch of {batch_size}, got {labelled}'
            raise SpecError(rule, owner=owner, parameter='labelled', given=labelled)
        self.shuffle = check_parameter(owner, 'shuffle', Boolean(), shuffle)
        seed = check_parameter(owner, 'seed', Optional(Integer()), seed)
        ends = getattr(dataset, 'cumulative_sizes', [])
        if len(ends) < 2 or ends[0] == 0 or ends[-1] == ends[0]:
            raise ValueError(
                f'{owner}: dataset must be a ConcatDataset of labelled and of unlabelled images, none empty, got '
                f'{type(dataset).__name__}' + (f' of {list(ends)} images' if ends else '')
            )
        self.sources = range(ends[0]), range(ends[0], ends[-1])
        self.rank, self.world = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.size = ends[-1]

    def __iter__(self) -> Iterator[int]:
        first, rest = (self.endless(source, k) for k, source in enumerate(self.sources))
        while True:
            yield from itertools.islice(first, self.labelled)
            yield from itertools.islice(rest, self.batch_size - self.labelled)

    def endless(self, source: Sequence[int], number: int) -> Iterator[int]:
        """This rank's images of a data set, over and over."""
        generator = torch.Generator().manual_seed(self.seed + number)

        def of_all_ranks() -> Iterator[int]:
            while True:
                order = (
                    torch.randperm(len(source), generator=generator).tolist() if self.shuffle else range(len(source))
                )
                yield from (source[k] for k in order)

        return itertools.islice(of_all_ranks(), self.rank, None, self.world)

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Nothing: there is no end of an epoch."""


def check_loader(runner: Any) -> None:
    """ValueError where the training loop cuts what ``SemiSupervisedSampler`` draws into other batches, or waits for its end."""
    loader = runner.train_dataloader
    sampler, owner = getattr(loader, 'sampler', None), 'SemiSupervisedSampler'
    if not isinstance(sampler, SemiSupervisedSampler):
        return
    if loader.batch_size != sampler.batch_size:
        rule = f'must be that of train_dataloader, {loader.batch_size}, got {sampler.batch_size}'
        raise SpecError(rule, owner=owner, parameter='batch_size', given=sampler.batch_size)
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        raise ValueError(
            f'{owner}: draws without end, give train_cfg an IterBasedTrainLoop, got an EpochBasedTrainLoop'
        )
