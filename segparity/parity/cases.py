"""Named inputs that any implementation of a loss replays against the reference; the names are facts.

Small on purpose (the reference is differentiated numerically), and away from ties between prediction and soft label
unless the tie is exact.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from segparity.parity.extras import packed
from shared_spec.spec import LossSpec

N, C, SPACE = 2, 4, (3, 4)
IGNORE = 255
HUGE = np.array([-6e4, -1e4, 1e4, 6e4])  # float16 ends at 65504


@dataclasses.dataclass(frozen=True)
class Case:
    """Inputs of one call: pred (N, C, *space), target, weight, the ignore label of the constructor and of the call.

    extras: what the call is given besides, by name; is_adapted: whether these are what a loss of its own kind takes.
    of_features: pred and target are features both.
    """

    pred: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None = None
    ignore_index: int | None = None
    call_ignore_index: int | None = None
    from_logits: bool = True
    smooth: bool = True  # False: the inputs sit on a kink, where only values can be compared
    step: float | None = None  # of the central differences, where the usual one drowns in the rounding of a large value
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_adapted: bool = False
    of_features: bool = False

    @functools.cached_property
    def channels(self) -> str:
        """'one' or 'many', as in ``LossSpec.channels``."""
        return 'one' if self.pred.shape[1] == 1 else 'many'

    @functools.cached_property
    def labels(self) -> str:
        """As in ``LossSpec.labels``, 'hard' or 'soft': one-hot maps are soft, and so are floats of one channel."""
        if self.of_features:
            return 'features'
        if self.channels == 'one':
            return 'soft' if self.target.dtype.kind == 'f' else 'hard'
        same_rank = self.target.ndim == self.pred.ndim
        return 'soft' if same_rank and self.target.shape[1] == self.pred.shape[1] else 'hard'

    @property
    def spatial_axes(self) -> int:
        return self.pred.ndim - 2

    @property
    def arrays(self) -> dict[str, np.ndarray | None]:
        """What a worker gets: pred, target, weight and the extras."""
        return dict(pred=self.pred, target=self.target, weight=self.weight, **packed(self.extras))

    @property
    def call(self) -> dict[str, Any]:
        """What the reference takes by name at the call."""
        return dict(ignore_index=self.call_ignore_index, **self.extras)

    def adapted(self, spec: LossSpec) -> 'Case':
        """The case with all that a loss takes; the same numbers every time."""
        if self.is_adapted:
            return self
        pred, extras = spec.adapt_case(self.pred, self.target, np.random.default_rng(self.target.size))
        return dataclasses.replace(self, pred=pred, extras={**extras, **self.extras}, is_adapted=True)


Builder = Callable[[np.random.Generator], Case]
CASES: dict[str, Builder] = {}


def case(function: Builder) -> Builder:
    CASES[function.__name__] = function
    return function


def build(name: str) -> Case:
    """The ``Case`` of that name; the same numbers every time."""
    return CASES[name](np.random.default_rng(sum(name.encode())))


def logits(rng: np.random.Generator, n: int = N, c: int = C, space: tuple[int, ...] = SPACE) -> np.ndarray:
    """Float32-representable logits, so that every precision sees the same numbers."""
    return rng.normal(0, 1.5, (n, c, *space)).astype(np.float32).astype(np.float64)


def ids(rng: np.random.Generator, n: int = N, c: int = C, space: tuple[int, ...] = SPACE) -> np.ndarray:
    """Class ids in which every class occurs in every image."""
    labels = rng.integers(0, c, (n, int(np.prod(space))))
    labels[:, :c] = np.arange(c)
    return labels.reshape(n, *space)


def soft_pair(
    rng: np.random.Generator, n: int = N, c: int = C, space: tuple[int, ...] = SPACE, apart: float = 2e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and soft labels that keep a distance, for softmax and for sigmoid, so that no kink is near."""
    while True:
        z = logits(rng, n, c, space)
        y = np.exp(rng.normal(0, 1.5, z.shape))
        y = (y / (y.sum(1, keepdims=True) if c > 1 else y + 1)).astype(np.float32).astype(np.float64)
        softmax, sigmoid = np.exp(z) / np.exp(z).sum(1, keepdims=True), 1 / (1 + np.exp(-z))
        if min(np.abs(p - y).min() for p in (softmax, sigmoid)) > apart:
            return z, y


def ignore_wild(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """z, in place: NaN, infinite and huge at pixels of the second row, whose labels become ``IGNORE``."""
    y[:, 1, 1:4] = IGNORE
    z[:, :, 1, 1], z[:, :, 1, 2] = np.nan, np.inf
    z[:, 0, 1, 3], z[:, -1, 1, 3] = -6e4, 6e4
    return z


def simplex(rng: np.random.Generator) -> np.ndarray:
    """Probabilities that sum to 1, none near 0, where a logarithm is too steep to differentiate numerically."""
    p = 0.2 / C + 0.8 * rng.dirichlet(np.ones(C), (N, *SPACE))
    return np.moveaxis(p.astype(np.float32).astype(np.float64), -1, 1)


@case
def hard_label(rng: np.random.Generator) -> Case:
    return Case(logits(rng), ids(rng))


@case
def soft_label(rng: np.random.Generator) -> Case:
    return Case(*soft_pair(rng))


@case
def soft_label_at_target(rng: np.random.Generator) -> Case:
    y = simplex(rng)
    return Case(y, y, from_logits=False, smooth=False)


@case
def one_hot(rng: np.random.Generator) -> Case:
    return Case(logits(rng), np.moveaxis(np.eye(C, dtype=np.float32)[ids(rng)], -1, 1))


@case
def trailing_axis_uint8(rng: np.random.Generator) -> Case:
    return Case(logits(rng), ids(rng)[:, None].astype(np.uint8))


@case
def float_ids(rng: np.random.Generator) -> Case:
    return Case(logits(rng), ids(rng).astype(np.float32))


@case
def probabilities(rng: np.random.Generator) -> Case:
    return Case(simplex(rng), ids(rng), from_logits=False)


@case
def perfect(rng: np.random.Generator) -> Case:
    y = ids(rng)
    return Case(np.moveaxis(np.eye(C)[y], -1, 1) * 30.0, y)


@case
def disjoint(rng: np.random.Generator) -> Case:
    y = ids(rng)
    return Case(np.moveaxis(np.eye(C)[(y + 1) % C], -1, 1) * 3.0, y)


@case
def absent_class(rng: np.random.Generator) -> Case:
    y = ids(rng)
    y[y == 2] = 1
    y[0][y[0] == 3] = 0
    return Case(logits(rng), y)


@case
def ignored_border(rng: np.random.Generator) -> Case:
    y = ids(rng)
    y[:, 0] = y[:, :, -1] = IGNORE
    return Case(logits(rng), y, ignore_index=IGNORE)


@case
def ignored_by_the_call(rng: np.random.Generator) -> Case:
    y = ids(rng)
    y[:, -1] = IGNORE
    y[:, 0, 0] = -1
    return Case(logits(rng), y, ignore_index=-1, call_ignore_index=IGNORE)


@case
def all_ignored(rng: np.random.Generator) -> Case:
    return Case(logits(rng), np.full((N, *SPACE), IGNORE), ignore_index=IGNORE)


@case
def one_image_ignored(rng: np.random.Generator) -> Case:
    y = ids(rng)
    y[1] = IGNORE
    return Case(logits(rng), y, ignore_index=IGNORE)


@case
def ignored_not_a_number(rng: np.random.Generator) -> Case:
    z, y = logits(rng), ids(rng)
    return Case(ignore_wild(z, y), y, ignore_index=IGNORE)


@case
def not_a_number(rng: np.random.Generator) -> Case:
    z, y = logits(rng), ids(rng)
    ignore_wild(z, y)[0, 1, 2, 2] = np.nan
    return Case(z, y, ignore_index=IGNORE)


@case
def infinite(rng: np.random.Generator) -> Case:
    z, y = logits(rng), ids(rng)
    ignore_wild(z, y)[1, -1, 0, 1] = np.inf
    return Case(z, y, ignore_index=IGNORE)


@case
def huge_logits(rng: np.random.Generator) -> Case:
    z, y = rng.permuted(np.broadcast_to(HUGE[:, None, None], (N, C, *SPACE)), axis=1), ids(rng)
    return Case(ignore_wild(z, y), y, ignore_index=IGNORE, step=8.0)  # nothing bends within 1e4


@case
def huge_where_right(rng: np.random.Generator) -> Case:
    z, y = logits(rng), ids(rng)
    z[:, :, 0] = np.where(np.arange(C)[:, None] == y[:, None, 0], 6e4, rng.choice(HUGE[:2], z[:, :, 0].shape))
    return Case(ignore_wild(z, y), y, ignore_index=IGNORE)


@case
def pixel_weight(rng: np.random.Generator) -> Case:
    w = rng.uniform(0.1, 3, (N, *SPACE)).astype(np.float32)
    w[:, 0, :2] = 0
    return Case(logits(rng), ids(rng), weight=w)


@case
def pixel_weight_soft(rng: np.random.Generator) -> Case:
    w = rng.uniform(0.1, 3, (N, *SPACE)).astype(np.float32)
    w[0, 0] = 0
    return Case(*soft_pair(rng), weight=w)


@case
def image_weight(rng: np.random.Generator) -> Case:
    return Case(logits(rng), ids(rng), weight=np.array([0.3, 2.5], np.float32))


@case
def image_weight_zero(rng: np.random.Generator) -> Case:
    return Case(logits(rng), ids(rng), weight=np.array([0.0, 2.5], np.float32))


@case
def one_image(rng: np.random.Generator) -> Case:
    return Case(logits(rng, n=1), ids(rng, n=1))


@case
def single_pixel(rng: np.random.Generator) -> Case:
    y = np.zeros((N, *SPACE), np.int64)
    y[0, 1, 3] = 3
    return Case(logits(rng), y)


@case
def large_logits(rng: np.random.Generator) -> Case:
    z = logits(rng)
    z[:, :, 0] = rng.choice([-60.0, 60.0], z[:, :, 0].shape)
    return Case(z, ids(rng))


@case
def large_logits_soft(rng: np.random.Generator) -> Case:
    z, y = soft_pair(rng)
    z[:, :, 0] = rng.choice([-60.0, 60.0], z[:, :, 0].shape)
    y = np.where(z.max(1, keepdims=True) > 50, np.float32(0.25), y)
    return Case(z, y)


@case
def volume(rng: np.random.Generator) -> Case:
    return Case(logits(rng, c=3, space=(2, 3, 3)), ids(rng, c=3, space=(2, 3, 3)))


@case
def line(rng: np.random.Generator) -> Case:
    return Case(logits(rng, space=(9,)), ids(rng, space=(9,)))


@case
def one_channel(rng: np.random.Generator) -> Case:
    return Case(logits(rng, c=1), ids(rng, c=2))


@case
def one_channel_bool(rng: np.random.Generator) -> Case:
    return Case(logits(rng, c=1), ids(rng, c=2)[:, None].astype(bool))


@case
def one_channel_soft(rng: np.random.Generator) -> Case:
    z, y = soft_pair(rng, c=1)
    return Case(z, y[:, 0].astype(np.float32))


@case
def one_channel_ignored(rng: np.random.Generator) -> Case:
    z, y = soft_pair(rng, c=1)
    y[:, :, 0, 1:] = IGNORE
    return Case(z, y.astype(np.float32), ignore_index=IGNORE)


@case
def one_channel_absent(rng: np.random.Generator) -> Case:
    y = ids(rng, c=2)
    y[1] = 0
    y[0, 0, 0] = IGNORE
    return Case(logits(rng, c=1), y, ignore_index=IGNORE)


@case
def one_channel_not_a_number(rng: np.random.Generator) -> Case:
    z, y = logits(rng, c=1), ids(rng, c=2)
    ignore_wild(z, y)[0, 0, 2, 2] = np.nan
    return Case(z, y, ignore_index=IGNORE)


@case
def one_channel_huge_logits(rng: np.random.Generator) -> Case:
    z, y = rng.choice(HUGE, (N, 1, *SPACE)), ids(rng, c=2)
    return Case(ignore_wild(z, y), y, ignore_index=IGNORE, step=8.0)


def simplest(spec: LossSpec, from_logits: bool = True) -> str:
    """The name of a case that a loss takes, of whatever kind it is."""
    return 'features' if spec.of_features() else 'hard_label' if from_logits else 'probabilities'


def areas(c: int) -> np.ndarray:
    """Class ids of two classes in each image, beside each other in the first, one above the other in the second."""
    y = np.zeros((N, *SPACE), np.int64)
    y[0, :, 1:], y[1, 1:] = c - 1, max(1, c - 2)
    return y


@case
def two_areas(rng: np.random.Generator) -> Case:
    w = rng.uniform(0.1, 3, (N, *SPACE)).astype(np.float32)
    w[0, 1, 1] = 0
    return Case(logits(rng), areas(C), weight=w)


@case
def two_areas_ignored(rng: np.random.Generator) -> Case:
    y = areas(C)
    y[0, 0, 0] = y[1, 0, 3] = IGNORE
    return Case(logits(rng), y, ignore_index=IGNORE)


@case
def two_areas_one_channel(rng: np.random.Generator) -> Case:
    y = areas(2)
    y[1, 0, 0] = IGNORE
    return Case(logits(rng, c=1), y, ignore_index=IGNORE)
