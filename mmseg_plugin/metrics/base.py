"""What the metrics share: batches of images in, the results of the images of all ranks out."""

import contextlib
import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, distributed

from mmseg_plugin.distributed import rank_and_size
from mmseg_plugin.metrics.label_maps import drop_channel, is_one_hot, to_integers
from mmseg_plugin.metrics.soundness import ANY_LOOP, counts_of, fetch, sentences, unknown_images
from shared_spec.metrics.calibration.state import check_range
from shared_spec.parameters import NamedParameters
from shared_spec.spec import MetricSpec


class Metric(metaclass=NamedParameters):
    """A metric of the images that ``update`` was given since it was made or ``reset``.

    The results of several processes, or of several metrics that are merged, are those of one process that has seen all
    their images, to the last digit. An image that comes twice under one identity counts once.
    Subclasses name their ``spec_class`` and hand ``locals()`` to ``super().__init__``; they implement ``row``.
    """

    spec_class: ClassVar[type[MetricSpec]]
    spec: Any  # of spec_class, whose parameters are not those of other metrics
    abouts: list[dict[str, Any]]
    logits = True  # whether scores are logits, where a metric of class ids is given some

    def __init__(self, arguments: dict[str, Any]) -> None:
        arguments = {k: v for k, v in arguments.items() if k not in ('self', '__class__')}
        self.sync = arguments.pop('sync')
        self.logits = arguments.pop('from_logits')
        self.spec = self.spec_class(**arguments)
        self.reset()

    def reset(self) -> None:
        """Forgets every image."""
        self.state = self.new_state()
        self.abouts = []

    def new_state(self) -> Any:
        """An empty state for the spec."""
        raise NotImplementedError(type(self).__name__)

    def row(self, pred: Tensor, target: Tensor) -> tuple[Any, ...]:
        """What the state's ``add`` takes of one image: pred as ``prepare`` gives it, target (*space)."""
        raise NotImplementedError(type(self).__name__)

    def prepare(self, pred: Tensor, target: Tensor) -> Tensor:
        """What ``row`` takes of scores (C, *space) or class ids of the target's shape: class ids, where a metric has them."""
        if pred.shape == target.shape:
            return pred
        scores = pred.detach()
        if len(scores) > 1:
            return scores.argmax(0)
        if not self.logits and scores.numel():
            low, high = (x.item() for x in scores[scores.isfinite()].aminmax()) if scores.isfinite().any() else (0, 0)
            check_range(low, high)
        return (scores[0] > (0 if self.logits else 0.5)).long()

    def update(self, pred: Tensor, target: Tensor, images: Iterable[Any] | None = None) -> None:
        """Adds a batch of images.

        pred (N, C, *space) logits, or probabilities with from_logits=False, (N, 1, *space) those of class 1 of two, or
        integer class ids (N, *space) or (N, 1, *space) where the metric takes them; target (N, *space) or (N, 1, *space)
        class ids. images: N identities (text or integers) by which an image that comes again, as from a sampler that
        pads its shards, is told from another. ValueError for shapes and values, TypeError for dtypes; then nothing of
        the batch is added.
        """
        owner = type(self).__name__
        pred, target = self.check(pred, target)
        images = identities(owner, images, len(target))
        rows = []
        for scores, labels, image in zip(pred, target, images):
            with in_the_name_of(owner):
                rows.append((self.about(scores, labels), self.row(self.prepare(scores, labels), labels), image))
        for about, row, image in rows:
            if self.state.add(*row, image):
                self.abouts.append(about)

    def check(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Scores or ids and labels (N, *space), of shapes that belong together."""
        owner = type(self).__name__
        for name, x in (('pred', pred), ('target', target)):
            if not torch.is_tensor(x):
                raise TypeError(f'{owner}: {name} must be a torch.Tensor, got {type(x).__name__}')
        ids, classes = not pred.is_floating_point(), self.spec.num_classes
        if target.dim() < 2:
            raise ValueError(f'{owner}: target must be (N, *space), got shape {tuple(target.shape)}')
        if ids and self.spec.takes == 'probabilities':
            raise TypeError(f'{owner}: pred must be floating point logits or probabilities, got {pred.dtype}')
        channels = max(pred.dim(), target.dim(), 4) if ids else pred.dim()  # axes of what has an axis of channels
        if any(is_one_hot(x, classes) for x in ((pred, target) if ids else (target,))):
            raise ValueError(
                f'{owner}: labels and class ids must be (N, *space) class ids, got one-hot maps '
                f'{tuple(target.shape)}; argmax(1) makes ids of them'
            )
        target = drop_channel(target, channels)
        if ids:
            pred = drop_channel(pred, channels)
            wanted = tuple(target.shape)
        else:
            one = pred.dim() > 1 and pred.shape[1] == 1 and pred.dim() == target.dim() + 1
            if one and classes == 1:
                raise ValueError(f'{owner}: one channel stands for two classes, num_classes must be 2, got 1')
            wanted = (len(target), 1 if one and classes == 2 else classes, *target.shape[1:])
        if tuple(pred.shape) != wanted:
            if pred.shape == target.shape:
                raise TypeError(f'{owner}: class ids must be integers, got {pred.dtype}; scores are {wanted}')
            raise ValueError(
                f'{owner}: pred must be {wanted} to match target {tuple(target.shape)} and num_classes={classes}, '
                f'got {tuple(pred.shape)}'
            )
        if target.dim() > 4:
            raise ValueError(f'{owner}: maps must have 1, 2 or 3 spatial axes, got {target.dim() - 1}')
        with in_the_name_of(owner):
            return pred, to_integers(target)

    def about(self, scores: Tensor, labels: Tensor) -> dict[str, Any]:
        """What can be wrong with an image, as tensors of counts, which wait for no device."""
        maps = {'gt_sem_seg': {'data': labels}}
        if scores.is_floating_point():
            maps['seg_logits'] = {'data': scores}
        return {'image_file': None, **counts_of(maps, self.spec.num_classes, self.spec.ignore_index)}

    def merge(self, *others: 'Metric') -> Self:
        """Adds the images of other metrics of the same parameters; returns itself."""
        for other in others:
            if other is self:
                raise ValueError(f'{type(self).__name__}: a metric cannot be merged with itself')
            if type(other) is not type(self) or other.spec != self.spec:
                raise ValueError(
                    f'{type(self).__name__}: only metrics of the same parameters can be merged, this one is '
                    f'{self.spec!r}, got {getattr(other, "spec", other)!r}'
                )
        for other in others:
            self.take(other.state, other.abouts)
        return self

    def take(self, state: Any, abouts: Sequence[dict[str, Any]]) -> None:
        """Adds the images of another state that are new, each with what is known of it."""
        known = {image for image in self.state.image_ids if image is not None}
        self.state.merge(state)
        self.abouts += [about for image, about in zip(state.image_ids, abouts) if image is None or image not in known]

    def compute(self) -> dict[str, float]:
        """Name -> value of all images, of every rank: fractions in [0, 1], distances in units of ``spacing``.

        NaN where nothing is defined, and everywhere, with a warning, where the scores of a pixel that counts are no
        numbers or masks of 0 and 255 hide all foreground. A warning too for labels that are no classes.
        """
        whole_job = self.gather_ranks()
        fetch(whole_job.abouts)
        spec, owner = self.spec, type(self).__name__
        for sentence in sentences(owner, whole_job.abouts, spec.num_classes, spec.ignore_index, ANY_LOOP):
            warnings.warn(sentence, stacklevel=2)
        known = math.nan if any(unknown_images(whole_job.abouts)) else 1
        return {name: known * value for name, value in whole_job.state.results(spec).items()}

    def gather_ranks(self) -> Self:
        """A metric of the images of all ranks that train together."""
        if rank_and_size(self.sync)[1] == 1:
            return self
        fetch(self.abouts)
        parts: list[Any] = [None] * distributed.get_world_size()
        what = repr(self.spec)
        distributed.all_gather_object(parts, (what, self.state.to_arrays(), self.abouts))
        if any(other != what for other, *_ in parts):
            raise ValueError(
                f'{type(self).__name__}: every rank must compute the same metrics in the same order, got '
                + ' and '.join(sorted({other for other, *_ in parts}))
            )
        whole_job = copy.copy(self)
        whole_job.reset()
        for _, arrays, abouts in parts:
            whole_job.take(type(self.state).from_arrays(arrays), abouts)
        return whole_job

    def __repr__(self) -> str:
        return f'{type(self).__name__}({len(self.state)} images, {self.spec!r})'


def identities(owner: str, images: Iterable[Any] | None, number: int) -> list[Any]:
    """One text, integer or None for each image."""
    if images is None:
        return [None] * number
    if isinstance(images, str):
        raise TypeError(f'{owner}: images must be a list of identities, got the text {images!r}')
    found = [image.item() if getattr(image, 'shape', None) == () else image for image in images]
    if len(found) != number:
        raise ValueError(f'{owner}: images must have one identity for each of {number} images, got {len(found)}')
    for image in found:
        if not isinstance(image, (str, Integral)):
            raise TypeError(f'{owner}: the identity of an image must be text or an integer, got {image!r}')
    return found


@contextlib.contextmanager
def in_the_name_of(owner: str) -> Iterator[None]:
    """What is refused inside is so by ``owner``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f'{owner}: {str(error).partition(": ")[2] or error}') from None


def in_float32(scores: Tensor) -> Tensor:
    """Scores without their gradient, in float32 at least: float64 stays as it is."""
    return scores.detach().to(torch.promote_types(scores.dtype, torch.float32))
