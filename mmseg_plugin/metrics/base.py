"""What the metrics share: batches of images in, the results of the images of all ranks out."""

import contextlib
import math
import warnings

import torch
from torch import distributed

from mmseg_plugin.distributed import place
from mmseg_plugin.metrics.device_counts import whole
from mmseg_plugin.metrics.soundness import no_class, not_finite
from shared_spec.parameters import NamedParameters


class Metric(metaclass=NamedParameters):
    """A metric of the images that ``update`` was given since it was made or ``reset``.

    The results of several processes, or of several metrics that are merged, are those of one process that has seen all
    their images, to the last digit. An image that comes twice under one identity counts once.
    Subclasses name their ``spec_class`` and hand ``locals()`` to ``super().__init__``; they implement ``row``.
    """

    spec_class = None
    logits = True  # whether scores are logits, where a metric of class ids is given some

    def __init__(self, arguments):
        arguments = {k: v for k, v in arguments.items() if k not in ('self', '__class__')}
        self.sync = arguments.pop('sync')
        self.logits = arguments.pop('from_logits')
        self.spec = self.spec_class(**arguments)
        self.reset()

    def reset(self):
        """Forgets every image."""
        self.state = self.new_state()
        self.faults = {'not_finite': 0, 'no_class': 0, 'largest': -math.inf}

    def new_state(self):
        """An empty state for the spec."""
        raise NotImplementedError(type(self).__name__)

    def row(self, pred, target):
        """What the state's ``add`` takes of one image: pred as ``prepared``, target (*space)."""
        raise NotImplementedError(type(self).__name__)

    def prepared(self, pred, target):
        """What ``row`` takes of scores (C, *space) or class ids of the target's shape: class ids, where a metric has them."""
        if pred.shape == target.shape:
            return pred
        scores = pred.detach()
        return scores.argmax(0) if len(scores) > 1 else (scores[0] > (0 if self.logits else 0.5)).long()

    def update(self, pred, target, images=None):
        """Adds a batch of images.

        pred (N, C, *space) logits, or probabilities with from_logits=False, (N, 1, *space) those of class 1 of two, or
        integer class ids (N, *space) or (N, 1, *space) where the metric takes them; target (N, *space) or (N, 1, *space)
        class ids. images: N identities (text or integers) by which an image that comes again, as from a sampler that
        pads its shards, is told from another. ValueError for shapes and values, TypeError for dtypes; then nothing of
        the batch is added.
        """
        owner = type(self).__name__
        pred, target = self.checked(pred, target)
        images = [None] * len(target) if images is None else list(images)
        if len(images) != len(target):
            raise ValueError(
                f'{owner}: images must have one identity for each of {len(target)} images, got {len(images)}'
            )
        rows = []
        for scores, labels, image in zip(pred, target, images):
            with in_the_name_of(owner):
                rows.append((self.found(scores, labels), self.row(self.prepared(scores, labels), labels), image))
        for faults, row, image in rows:
            if self.state.add(*row, image):
                self.count(faults)

    def checked(self, pred, target):
        """Scores or ids and labels (N, *space), of shapes that belong together."""
        owner, ids = type(self).__name__, not pred.is_floating_point()
        if target.dim() < 2:
            raise ValueError(f'{owner}: target must be (N, *space), got shape {tuple(target.shape)}')
        if ids and self.spec.takes == 'probabilities':
            raise TypeError(f'{owner}: pred must be floating point logits or probabilities, got {pred.dtype}')
        channels = max(pred.dim(), target.dim(), 4) if ids else pred.dim()  # axes of what has an axis of channels
        target = without_channel(target, channels)
        if ids:
            pred = without_channel(pred, channels)
            wanted = tuple(target.shape)
        else:
            channels = self.spec.num_classes
            if pred.dim() > 1 and pred.shape[1] == 1 and channels == 2:
                channels = 1
            wanted = (len(target), channels, *target.shape[1:])
        if tuple(pred.shape) != wanted:
            raise ValueError(
                f'{owner}: pred must be {wanted} to match target {tuple(target.shape)} and num_classes='
                f'{self.spec.num_classes}, got {tuple(pred.shape)}'
            )
        with in_the_name_of(owner):
            return pred, whole(target)

    def found(self, scores, labels):
        """What is wrong with an image: pixels whose scores are no numbers, and whose labels are no classes."""
        spec = self.spec
        strange, largest = no_class(labels, spec.num_classes, spec.ignore_index).tolist()
        unknown = 0
        if scores.is_floating_point():
            unknown = not_finite(scores, target=labels, ignore_index=spec.ignore_index).item()
        return {'not_finite': unknown, 'no_class': strange, 'largest': largest if strange else -math.inf}

    def count(self, faults):
        for key in ('not_finite', 'no_class'):
            self.faults[key] += faults[key]
        self.faults['largest'] = max(self.faults['largest'], faults['largest'])

    def merge(self, *others):
        """Adds the images of other metrics of the same parameters; returns itself."""
        for other in others:
            if type(other) is not type(self) or other.spec != self.spec:
                raise ValueError(
                    f'{type(self).__name__}: only metrics of the same parameters can be merged, this one is '
                    f'{self.spec!r}, got {getattr(other, "spec", other)!r}'
                )
        for other in others:
            self.state.merge(other.state)
            self.count(other.faults)
        return self

    def compute(self):
        """Name -> value of all images, of every rank: fractions in [0, 1], distances in units of ``spacing``.

        NaN where nothing is defined, and everywhere where the scores of a pixel that counts are no numbers.
        """
        state, faults = self.of_all_ranks()
        if faults['no_class']:
            warnings.warn(
                f'{type(self).__name__}: labels are none of the {self.spec.num_classes} classes at '
                f'{faults["no_class"]} pixels, the largest is {faults["largest"]:g}, and each counts against the class '
                f'predicted there; labels to ignore are named by ignore_index (it is {self.spec.ignore_index})',
                stacklevel=2,
            )
        known = 1
        if faults['not_finite']:
            known = math.nan
            warnings.warn(
                f'{type(self).__name__}: scores are NaN or infinite at {faults["not_finite"]} pixels, so no result is '
                'known: all of them are NaN',
                stacklevel=2,
            )
        return {name: known * value for name, value in state.results(self.spec).items()}

    def of_all_ranks(self):
        """The state and the faults of the images of all ranks that train together."""
        if place(self.sync)[1] == 1:
            return self.state, self.faults
        parts = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, (self.state.to_arrays(), self.faults))
        whole_job = type(self).__new__(type(self))
        whole_job.spec, whole_job.sync, whole_job.logits = self.spec, self.sync, self.logits
        whole_job.reset()
        for arrays, faults in parts:
            whole_job.state.merge(type(self.state).from_arrays(arrays))
            whole_job.count(faults)
        return whole_job.state, whole_job.faults

    def __repr__(self):
        return f'{type(self).__name__}({len(self.state)} images, {self.spec!r})'


def without_channel(x, axes):
    """x (N, *space) of (N, 1, *space), which has so many axes."""
    return x[:, 0] if x.dim() == axes and x.shape[1] == 1 else x


@contextlib.contextmanager
def in_the_name_of(owner):
    """What is refused inside is so by ``owner``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f'{owner}: {str(error).partition(": ")[2] or error}') from None


def in_float32(scores):
    return scores.detach().to(torch.promote_types(scores.dtype, torch.float32))
