"""What a loss receives, in PyTorch: logits or probabilities, hard or soft labels, ignored pixels, weights."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin import values
from mmseg_plugin.arithmetic import accumulator_dtype, log1m_exp
from mmseg_plugin.kernels.log_probabilities import SPAN, Lead, LeadAndComplements, LogBoth, Others
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.kernels.pixel_sums import pixel_sums
from mmseg_plugin.kernels.resize import Whole
from mmseg_plugin.values import NARROW, can_look, is_compiling
from shared_spec import shapes
from shared_spec.inputs import FLOOR
from shared_spec.spec import LossSpec

OF_HEADS = {
    'one': 'in a decode head of two classes: out_channels=1, threshold=0.5',
    'many': 'in a decode head: leave out out_channels=1',
}
FEW = 4  # classes up to which maps of pixels are as dear as passes over all classes
PIECE = 2**16  # pixels that are added in float32, by PyTorch's pairwise sums
LABEL_DTYPES = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class made_once:
    """A property that becomes an attribute at its first use; functools has one with a lock, which torch.compile refuses."""

    def __init__(self, make: Callable[[Batch], Any]) -> None:
        self.make, self.name = make, make.__name__

    def __get__(self, batch: Batch, owner: type | None = None) -> Any:
        value = self.make(batch)
        setattr(batch, self.name, value)
        return value


class Batch:
    """One call's inputs with the spatial axes flattened to P pixels.

    As they came: given (N, C, P) logits or probabilities, labels (N, P) class ids or (N, C, P), pixel_weight None,
    (N, P) bool or (N, P) weights, False or 0 where a pixel is absent; there the first two may hold anything. The weight
    is NaN where something else is wrong; ``look`` sees to that where values can be seen, and before losses see any.
    As losses see them, made when first asked for, in dtype, the wider of float32 and pred's: pred, target (N, C, P) in
    [0, 1] and weight (N, P), all of them 0 where a pixel is absent.
    Besides: image_weight (N,), hard: whether the target came as class ids, activation: softmax, sigmoid, or none for
    probabilities; softmax: whether classes exclude each other, channels, shape (N, C, P) and space; images: which of a
    larger batch's it holds, first: from which channel on; shared: what losses on one batch compute once, by name, or
    None; maps: what else a loss has of every pixel, (N, K, P) by name; masked: whether what stands at absent pixels may
    be anything but a number.
    """

    def __init__(
        self,
        owner: str,
        given: Tensor,
        labels: Tensor,
        pixel_weight: Tensor | None,
        image_weight: Tensor,
        hard: bool,
        softmax: bool,
        activation: str,
        space: tuple[int, ...],
        visible: bool,
    ) -> None:
        self.owner, self.visible, self.looked = owner, visible, False
        self.given, self.labels, self.pixel_weight, self.image_weight = given, labels, pixel_weight, image_weight
        self.hard, self.softmax, self.activation, self.space = hard, softmax, activation, space
        self.logits = activation != 'none'
        self.dtype, self.channels = image_weight.dtype, given.shape[1]
        self.shape = (len(given), given.shape[1], labels.shape[-1])
        self.images, self.masked, self.backgrounds = slice(None), pixel_weight is not None, False
        self.first = 0
        self.shared: dict[str, Any] | None = None
        self.maps: dict[str, Tensor] = {}
        self.is_part = False

    @property
    def source(self) -> Whole:
        """What the operators over blocks take the predictions from."""
        return Whole(self.given)

    def part(self, images: slice, channels: slice, pixels: slice, given: Tensor | None = None) -> Batch:
        """Some pixels of some channels of some images; ``given``: their predictions, (n, c, p)."""
        weight, y = self.pixel_weight, self.labels
        part = Batch(
            self.owner,
            self.given[images, channels, pixels] if given is None else given,
            y[images, pixels] if y.dim() == 2 else y[images, channels, pixels],
            weight if weight is None else weight[images, pixels],
            self.image_weight[images],
            self.hard,
            self.softmax,
            self.activation,
            self.space if pixels == slice(None) else (-1,),
            self.visible,
        )
        part.images, part.first, part.looked, part.is_part = images, channels.start or 0, True, True
        part.maps = {name: x[images, :, pixels] for name, x in self.maps.items()}
        return part

    @property
    def once(self) -> bool:
        """Whether operators serve whose gradients are written by hand, and cannot be differentiated again."""
        large = choice.MODE != 'plain' and self.given.numel() >= choice.SMALL
        return self.is_part or (large and not values.is_traced(self.given))

    def is_sound(self) -> bool:
        """Whether all labels and predictions that count are some, where that can be seen; sets ``masked``."""
        if not self.visible:
            return True
        y, w, sure = self.labels, self.pixel_weight, self.is_sure()
        sound = sure or not values.faulty_prediction(self.given.detach(), w, self.activation).any()
        if y.dim() == 3:
            within = values.are_within(y, -values.TOLERANCE, 1 + values.TOLERANCE)
            sound = sound and (within or not values.faulty_labels(y, w, self.channels).any())
            sure = sure and within
        self.masked = w is not None and not sure
        return bool(sound)

    def is_sure(self) -> bool:
        """Whether the quickest look at all predictions finds nothing wrong."""
        if self.activation == 'none':
            return values.are_within(self.given, -values.TOLERANCE, 1 + values.TOLERANCE)
        return math.isfinite(self.given.detach().sum(dtype=self.dtype).item())

    def two_sided(self) -> Batch:
        """The same labels as all backgrounds, then all foregrounds, of channels that do not exclude each other."""
        other = copy.copy(self)
        other.channels, other.backgrounds = 2 * self.channels, True
        vars(other).pop('target', None)
        return other

    def look(self) -> None:
        """Refuses labels and probabilities that are none and marks predictions that are no number, where it can, once."""
        if self.looked or not self.visible:
            return
        self.looked = True
        if self.is_sound():
            return
        self.masked = self.pixel_weight is not None
        if self.labels.dim() == 3:
            values.check_labels(self.owner, self.labels, self.pixel_weight, self.channels)
        if not values.check_prediction(self.owner, self.given, self.pixel_weight, self.activation):
            self.pixel_weight = values.nan_weights_at_faults(
                self.given, self.labels, self.pixel_weight, self.activation
            )
            self.given = values.nan_at_faults(self.given, self.pixel_weight)
            self.masked = True

    @made_once
    def weight(self) -> Tensor:
        """(N, P) the weight of each pixel or of its image: 0 where a pixel is absent, NaN where something is wrong."""
        self.look()
        if not self.visible:
            return self.nan_weights()
        n, _, p = self.shape
        return self.image_weight.new_ones(n, p) if self.pixel_weight is None else self.pixel_weight.to(self.dtype)

    def nan_weights(self) -> Tensor:
        """(N, P) the weights, NaN where something is wrong, without a look at any."""
        weight = values.nan_weights_at_faults(self.given, self.labels, self.pixel_weight, self.activation)
        return weight.to(self.dtype)

    @made_once
    def pred(self) -> Tensor:
        """(N, C, P) logits or probabilities, 0 where a pixel is absent, NaN where its weight is."""
        self.look()
        given = self.given.to(self.dtype)
        if not self.visible:
            given = values.nan_at_faults(given, self.weight)
        return self.without_absent(given)

    @made_once
    def target(self) -> Tensor:
        """(N, C, P) labels of every class, one-hot of class ids; 0 where a pixel is absent."""
        self.look()
        y = self.labels
        if y.dim() == 2:
            classes = torch.arange(self.first, self.first + self.shape[1], device=y.device)
            y = y[:, None] == classes[:, None]
        if self.backgrounds:
            y = torch.cat([1 - y.to(self.dtype), y.to(self.dtype)], 1)
        return self.without_absent(y.to(self.dtype))

    def without_absent(self, x: Tensor) -> Tensor:
        """x (N, C, P) with 0 at absent pixels, or with any number there: their weight is 0."""
        return torch.where(self.counts[:, None], x, 0) if self.masked else x

    @made_once
    def counts(self) -> Tensor:
        """(N, P) which pixels are not absent."""
        w = self.pixel_weight
        return w if w is not None and w.dtype == torch.bool and self.visible else self.weight != 0

    @made_once
    def prob(self) -> Tensor:
        """(N, C, P) probabilities."""
        if not self.logits:
            return self.pred
        return self.pred.softmax(1) if self.softmax else self.pred.sigmoid()

    @property
    def zero_loss(self) -> Tensor:
        """(N, P) 0 with a gradient of 0, NaN where a pixel counts that is NaN: what a loss is whose factor is 0."""
        return (0 * self.prob).sum(1)

    @made_once
    def log_prob(self) -> tuple[Tensor, Tensor | None]:
        """(N, C, P) log-probabilities, and for sigmoid also those of the complement (None for softmax)."""
        if self.logits:
            if self.softmax:
                return self.pred.log_softmax(1), None
            return functional.logsigmoid(self.pred), functional.logsigmoid(-self.pred)
        log_p = self.pred.clamp(min=FLOOR).log()
        return log_p, None if self.softmax else (1 - self.pred).clamp(min=FLOOR).log()

    @made_once
    def prob_both(self) -> tuple[Tensor, Tensor]:
        """(N, C, P) p and 1 - p of every class by itself, each accurate where it is small."""
        if not self.logits:
            return self.pred, 1 - self.pred
        log_p, log_q = self.log_both
        return log_p.exp(), log_q.exp()

    @made_once
    def log_both(self) -> tuple[Tensor, Tensor]:
        """(N, C, P) log p and log(1 - p) of every class by itself, each accurate where p is near 1."""
        if self.shape[1] > 2 and self.is_narrow:
            return LogBoth.apply(self.pred)
        log_p, log_q = self.log_prob
        if log_q is not None:
            return log_p, log_q
        if log_p.shape[1] == 2:
            return log_p, log_p.flip(1)
        if not self.logits:
            return log_p, (1 - self.pred).clamp(min=FLOOR).log()
        top = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, log_p.argmax(1, keepdim=True), True)
        least = torch.finfo(log_p.dtype).min  # for logsumexp has no gradient where all are -inf
        rest = torch.where(top, least, log_p).logsumexp(1, keepdim=True)  # log(1 - p) of the largest p
        rest = torch.where(rest <= least, -torch.inf, rest)
        log_q = torch.where(top, rest, log1m_exp(torch.where(top, -1.0, log_p)))
        near_one = top & (rest < -1)
        log_p = torch.where(near_one, log1m_exp(torch.where(near_one, rest, -1.0)), log_p)
        return log_p, log_q

    @made_once
    def is_narrow(self) -> bool:
        """Whether the logits of a softmax differ by less than SPAN, where that can be seen and their operators serve."""
        if not (self.softmax and self.logits and self.once and can_look(self.pred)):
            return False
        low, high = values.limits(self.pred)
        return high - low < SPAN

    @made_once
    def log_own_and_complements(self) -> tuple[Tensor, Tensor]:
        """(N, 1, P) log p of each pixel's class, sum of log(1 - p) over the classes but it and 0; for ids and softmax."""
        if self.is_narrow:
            lead, complements = LeadAndComplements.apply(self.pred, self.own)
            return functional.logsigmoid(lead), complements
        log_p, log_q = self.log_both
        first_and_own = torch.cat([torch.zeros_like(self.own), self.own], 1)
        return self.at_own(log_p), log_q.scatter(1, first_and_own, 0).sum(1, keepdim=True)

    @made_once
    def own(self) -> Tensor:
        """(N, 1, P) the class of each pixel, of class ids or one-hot labels; any class where a pixel is absent."""
        ids = self.labels.long() if self.labels.dim() == 2 else self.labels.byte().argmax(1)
        return ids.clamp(0, self.channels - 1)[:, None]

    def of_each(self, numbers: Sequence[float]) -> Tensor | float:
        """(C, 1) a number of each class, or the number where all have the same, with which PyTorch is quicker."""
        return numbers[0] if len(set(numbers)) == 1 else self.image_weight.new_tensor(numbers)[:, None]

    def of_own(self, numbers: Sequence[float]) -> Tensor | float:
        """(N, 1, P) the number of each pixel's class, likewise."""
        return numbers[0] if len(set(numbers)) == 1 else self.image_weight.new_tensor(numbers)[self.own]

    def at_own(self, x: Tensor) -> Tensor:
        """(N, 1, P) the entry of x (N, C, P) that belongs to each pixel's class."""
        return x.gather(1, self.own)

    @made_once
    def log_prob_of_own(self) -> Tensor:
        """(N, 1, P) log p of each pixel's class, for class ids and softmax."""
        if not self.logits:
            return self.at_own(self.log_prob[0])
        if self.is_part and self.channels > FEW:
            return functional.logsigmoid(self.lead)
        return -functional.cross_entropy(self.pred, self.own[:, 0], reduction='none')[:, None]

    @made_once
    def lead(self) -> Tensor:
        """(N, 1, P) the log-odds of each pixel's class, for class ids and the logits of a softmax."""
        if not self.once:
            rest = self.pred.scatter(1, self.own, torch.finfo(self.dtype).min)
            return self.at_own(self.pred) - rest.logsumexp(1, keepdim=True)
        return Lead.apply(self.pred, self.own)

    @made_once
    def prob_of_others(self) -> Tensor:
        """(N, C, P) the probabilities of all classes but each pixel's own, where 0 stands; for class ids and softmax."""
        if not self.logits or not self.once:
            return self.prob.scatter(1, self.own, 0)
        others, self.lead = Others.apply(self.pred, self.own)
        return others

    @made_once
    def log_both_of_own(self) -> tuple[Tensor, Tensor]:
        """(N, 1, P) log p and log(1 - p) of each pixel's class, for class ids and softmax, each accurate near 0."""
        if not self.logits:
            p, q = (x.clamp(min=FLOOR).log() for x in self.prob_both_of_own)
            return p, q
        return functional.logsigmoid(self.lead), functional.logsigmoid(-self.lead)

    @property
    def prob_both_of_own(self) -> tuple[Tensor, Tensor]:
        """(N, 1, P) p and 1 - p of each pixel's class, likewise."""
        if not self.logits:
            p = self.at_own(self.pred)
            return p, 1 - p
        log_p, log_q = self.log_both_of_own
        return log_p.exp(), log_q.exp()

    @property
    def has_pixel(self) -> Tensor:
        """(N,) whether an image has any pixel that counts."""
        w = self.pixel_weight
        if w is None or w.shape[1] == 0:
            return torch.full_like(self.image_weight, self.shape[2] > 0, dtype=torch.bool)
        return ~((w.view(torch.uint8) if w.dtype == torch.bool else w).amax(1) <= 0)

    @property
    def mass(self) -> Tensor:
        """(N,) sum over pixels of weight."""
        w = self.pixel_weight
        if w is None:
            return torch.full_like(self.image_weight, self.shape[2], dtype=accumulator_dtype(self.image_weight))
        return w.sum(1, dtype=accumulator_dtype(self.image_weight))

    def present(self, threshold: float, size: Tensor | None = None) -> Tensor:
        """(N, C) whether the largest target among the pixels that count exceeds ``threshold`` < 1.

        Every class of an image with a weight that is not a number, so that nothing hides it. size (N, C): for class ids
        the weight of a class's pixels, where it is known already.
        """
        if size is not None:
            return ~(size <= 0)
        return (self.largest_target > threshold) | self.weight.isnan().any(1, keepdim=True)

    @property
    def largest_target(self) -> Tensor:
        """(N, C) the largest target among the pixels that count."""
        y = self.target if self.pixel_weight is None else torch.where(self.counts[:, None], self.target, 0)
        return y.amax(2) if y.shape[2] else y.sum(2)

    def sum(self, x: Tensor) -> Tensor:
        """(N, K) sum over pixels of weight * x (N, K, P); short float32 sums are added in float64, so small classes survive."""
        return add_pixels(self.weigh(x))

    def weigh(self, x: Tensor) -> Tensor:
        """weight * x (N, K, P)."""
        return x if self.pixel_weight is None and self.visible else x * self.weight[:, None]

    def sum_by_class(self, x: Tensor) -> Tensor:
        """(N, C) sum over the pixels of each class of weight * x (N, 1, P), for class ids."""
        x = self.weigh(x)[:, 0]
        sums = x.new_zeros((len(x), self.channels), dtype=accumulator_dtype(x))
        return sums.scatter_add(1, self.own[:, 0], x.to(sums.dtype))

    @made_once
    def class_sizes(self) -> Tensor:
        """(N, C) the weight of the pixels of each class, of soft labels the sum of weight * label."""
        if self.labels.dim() == 2:
            w = self.pixel_weight if self.visible else self.weight
            w = torch.ones_like(self.labels, dtype=self.dtype) if w is None else w
            sums = w.new_zeros((len(w), self.channels), dtype=accumulator_dtype(self.image_weight))
            return sums.scatter_add(1, self.own[:, 0], w.to(sums.dtype))
        self.look()  # which marks predictions, whose gradient must know
        with torch.no_grad():
            return self.sums(lambda part: {'size': part.sum(part.target)})['size']

    def sums(self, terms: Callable[[Batch], dict[str, Tensor]]) -> dict[str, Tensor]:
        """name -> (N, K) sums over pixels of what ``terms`` gives of a part: ``pixel_sums``."""
        return pixel_sums(self, terms)


def add_pixels(x: Tensor) -> Tensor:
    """(N, K) x (N, K, P) added in float64 over pieces that are added in its own dtype."""
    whole = x.shape[2] // PIECE * PIECE
    if whole <= PIECE:
        return x.sum(2).to(accumulator_dtype(x))
    total = x[:, :, :whole].unflatten(2, (-1, PIECE)).sum(3).to(accumulator_dtype(x)).sum(2)
    return total if whole == x.shape[2] else total + x[:, :, whole:].sum(2).to(total.dtype)


def prepare(
    spec: LossSpec, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = None
) -> Batch:
    """The ``Batch`` of one call; refuses shapes with ValueError and dtypes with TypeError."""
    owner = type(spec).__name__
    shapes.check_pred(owner, pred.shape, 'first', spec.spatial_axes)
    if not pred.is_floating_point():
        raise TypeError(f'{owner}: pred must be floating point, got {pred.dtype}')
    kind = shapes.label_kind(owner, pred.shape, target.shape, 'first')
    n, c, space = shapes.split(tuple(pred.shape), 'first')
    shapes.check_channels(owner, spec.channels, c, OF_HEADS)
    shapes.check_hard(owner, spec.labels, kind, target.is_floating_point(), c, target.dtype, tuple(target.shape))
    ignored = shapes.check_ignore(owner, spec.ignore_index, ignore_index, c)
    visible = can_look(pred, target, weight)
    softmax = c > 1 and spec.activation == 'softmax'
    activation = ('softmax' if softmax else 'sigmoid') if spec.from_logits else 'none'
    labels = flat(target, 1 if kind != 'channels' else 2)  # of one channel it never is
    is_float = labels.is_floating_point()
    if not is_float and labels.dtype not in LABEL_DTYPES:
        labels = labels.long()
    if labels.dim() == 2:
        hard, labels = c > 1 or not is_float, labels if is_float else narrow_ids(labels)
        pixel_weight = valid_pixels(labels, ignored)
    else:
        hard, pixel_weight = 'soft' not in spec.labels, None  # hard: one-hot integers
    image_weight = pred.new_ones(n, dtype=torch.promote_types(pred.dtype, torch.float32))
    if weight is not None:
        weight = weight.to(image_weight.dtype)
        weight_kind = shapes.weight_kind(owner, (n, c, *space), weight.shape, 'first')
        image_weight, pixel_weight = weigh(
            owner, weight, weight_kind, pixel_weight, image_weight, labels.shape[-1], visible
        )

    if c == 1:
        labels = labels[:, None]
    elif labels.dim() == 2:
        if visible:  # of few bytes; what has a map for each class is looked at with the predictions
            values.check_labels(owner, labels, pixel_weight, c)
        labels = values.ids_from_floats(labels) if is_float else labels
    elif spec.one_label:
        if visible:
            values.check_labels(owner, labels, pixel_weight, c)
        labels = values.check_one_label(owner, labels, pixel_weight, visible)
    return Batch(owner, flat(pred, 2), labels, pixel_weight, image_weight, hard, softmax, activation, space, visible)


def flat(x: Tensor, axis: int) -> Tensor:
    """x with its spatial axes, those from ``axis`` on, as one; of length 1 where there are none."""
    return x.flatten(axis) if x.dim() > axis else x.unsqueeze(axis)


def weigh(
    owner: str, weight: Tensor, kind: str, valid: Tensor | None, image_weight: Tensor, pixels: int, visible: bool
) -> tuple[Tensor, Tensor]:
    """(N,) the weight of each image and (N, P) of each pixel, 0 where it is not ``valid``; NaN or refused if it is none."""
    look = values.check_weights if visible else values.nan_wrong_weights
    if kind == 'image':
        image_weight = weight = look(owner, weight.flatten())
        weight = weight[:, None].expand(len(weight), pixels)
    else:
        weight = weight.flatten(1)
    weight = weight if valid is None else torch.where(valid, weight, 0)
    return image_weight, weight if kind == 'image' else look(owner, weight)


def narrow_ids(labels: Tensor) -> Tensor:
    """Class ids in one or two bytes where a CPU can take them so, on which passes are many times faster; else as they are."""
    if labels.dtype == torch.bool:
        return labels.byte()
    wide = labels.dtype in (torch.int32, torch.int64) and labels.numel() and labels.is_cpu
    if not wide or not can_look(labels):
        return labels
    smallest, largest = (x.item() for x in labels.aminmax())
    for dtype in NARROW:
        if holds(dtype, smallest) and holds(dtype, largest):
            return labels.to(dtype)
    return labels


def valid_pixels(labels: Tensor, ignored: Iterable[int]) -> Tensor | None:
    """(N, P) bool: where labels are none of ``ignored``; None where there is nothing to look for."""
    ignored = [i for i in ignored if labels.is_floating_point() or holds(labels.dtype, i)]
    if not ignored:
        return None
    return functools.reduce(torch.logical_and, [differ(labels, i) for i in ignored])


def differ(x: Tensor, value: int) -> Tensor:
    """x != value; for narrow integers by a comparison that writes the same dtype, many times as fast as one to bool."""
    if x.dtype not in NARROW or is_compiling():
        return x != value
    return torch.ne(x, value, out=torch.empty_like(x)).to(torch.uint8).view(torch.bool)


def holds(dtype: torch.dtype, value: float) -> bool:
    """Whether an integer dtype has the value, which comparisons would wrap."""
    return dtype == torch.bool or torch.iinfo(dtype).min <= value <= torch.iinfo(dtype).max
