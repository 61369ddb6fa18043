"""Goes through the images of two models and gathers what differs; nothing of it holds more than an image of each."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from segparity.parity.against.opponents import probabilities_of
from segparity.parity.cases import Case
from segparity.parity.models import geometry, labels, order
from segparity.parity.models.counts import Counts, near_borders
from segparity.parity.models.reading import Side
from segparity.parity.replay import on_case
from shared_spec import METRICS, LossSpec
from shared_spec.metrics.fine_grained import FineGrainedState

BUDGET = 2**24  # numbers that are looked at for the order of classes: the first images
FOR_MOTION = 2**22  # and for the motion, which goes through them several times: the first classes of the first images
FOR_LOSSES = 2**25  # numbers of an image of which losses are computed
SAME = 1e-4  # probabilities that differ by less are the same in float32


@dataclasses.dataclass
class Found:
    """What was found. order: the class of b that is each class of a; losses: name -> (mean of a, mean of b), or a sentence.

    recode: the id of a that each id of b's labels is, {} where they are encoded alike, None where b is measured by its own
    labels as they are. batch: name -> 'a' or 'b' -> the loss of all images as one batch, for a file that has the value of its framework.
    """

    a: Side
    b: Side
    factor: int
    order: list[int]
    activation: str
    counts: Counts
    motion: geometry.Motion | None = None
    resize: tuple[str, float] | None = None
    shift: tuple[int, int] = (0, 0)
    recode: dict[int, int] | None = None
    blocks: tuple[int, int] = (1, 1)
    losses: dict[str, tuple[float, float] | str] = dataclasses.field(default_factory=dict)
    batch: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    metrics: tuple[dict[str, float], dict[str, float]] | None = None
    per_class: tuple[list[float], list[float]] | None = None
    remarks: list[str] = dataclasses.field(default_factory=list)

    @property
    def same_outputs(self) -> bool:
        """Whether both models say the same, up to float32."""
        c = self.counts
        if any(c.not_numbers) or self.factor > 1 or self.order != sorted(self.order) or not c.pixels:
            return False
        return c.agreeing == c.pixels if 'ids' in (self.a.kind, self.b.kind) else c.largest <= SAME

    @property
    def same_labels(self) -> bool:
        return all(one == two for one, two in self.counts.label_pairs)

    @property
    def ok(self) -> bool:
        """Whether outputs, their kind, and labels are the same."""
        kinds = self.a.kind == self.b.kind or 'ids' in (self.a.kind, self.b.kind)
        ignored = self.a.ignore_index == self.b.ignore_index
        return self.same_outputs and self.same_labels and kinds and ignored and self.counts.largest_score <= 1e-2


def compare_models(
    a: Side,
    b: Side,
    factor: int,
    losses: Mapping[str, LossSpec] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> Found:
    """Compares two sides that ``open_pair`` has opened; progress: called with (done, total, text)."""
    channels = a.channels or b.channels
    scored = a.kind != 'ids' and b.kind != 'ids'
    activation = 'sigmoid' if channels == 1 or 'sigmoid' in (a.kind, b.kind) else 'softmax'
    limit = max(1, BUDGET // math.prod(a.scores.shape[1:] if a.space >= b.space else b.scores.shape[1:]))
    found = Found(a, b, factor, list(range(channels)), activation, Counts(channels or _classes(a, b)))

    def scores(count: int | None = limit) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for one, two in zip(a.images(count), b.images(count)):
            yield as_compared(one[0], a, b, activation), as_compared(two[0], b, a, activation)

    if scored:
        found.order = order.order_of(lambda: (shrunk(x, y) for x, y in scores()), channels)
        found.blocks = geometry.blocks(next(a.images(1))[0]), geometry.blocks(next(b.images(1))[0])
        if factor == 1:
            pixels = math.prod(a.space)
            few = max(1, min(channels, FOR_MOTION // pixels))
            count = max(1, FOR_MOTION // (pixels * few))
            found.motion = geometry.motion(
                lambda: ((x[:few], y[found.order[:few]]) for x, y in scores(min(count, limit)))
            )
        else:
            found.resize = best_resize(((x, y[found.order]) for x, y in scores()))
    elif factor == 1:
        found.shift = best_shift(
            (predicted(x[0], a, activation), predicted(y[0], b, activation))
            for x, y in zip(a.images(limit), b.images(limit))
        )
    _gather(found, dict(losses or {}), progress)
    return found


def as_compared(x: np.ndarray, own: Side, other: Side, activation: str) -> np.ndarray:
    """Logits where both are, else probabilities; (C, H, W)."""
    return x if own.kind == other.kind else probabilities(x, own, activation)


def probabilities(x: np.ndarray, side: Side, activation: str) -> np.ndarray:
    if side.kind != 'logits':
        return x
    with np.errstate(all='ignore'):
        return probabilities_of(x[None], activation == 'softmax')[0]


def predicted(x: np.ndarray, side: Side, activation: str) -> np.ndarray:
    """(H, W) ids that outputs stand for."""
    if side.kind == 'ids':
        return x.astype(np.int64)
    if len(x) == 1:
        return (x[0] > (0 if side.kind == 'logits' else 0.5)).astype(np.int64)
    return np.where(np.isfinite(x), x, -np.inf).argmax(0)


def shrunk(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both at the size of the smaller one: means over blocks."""
    size = min(a.shape[-2:], b.shape[-2:])
    return block_means(a, size), block_means(b, size)


def block_means(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    c, h, w = x.shape
    if (h, w) == size:
        return x
    return x.reshape(c, size[0], h // size[0], size[1], w // size[1]).mean((2, 4))


def best_resize(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> tuple[str, float]:
    """(the resize that makes the larger of the smaller one, the share of its squares that it leaves)."""
    rest = dict.fromkeys(geometry.RESIZES, 0.0)
    total = 0.0
    for x, y in pairs:
        small, large = (x, y) if x.shape[-2:] < y.shape[-2:] else (y, x)
        good = np.isfinite(large)
        middle = large[good].mean() if good.any() else 0.0
        total += float(np.square(large[good] - middle).sum())
        for name in rest:
            apart = geometry.resized(small, large.shape[-2:], name) - large
            rest[name] += float(np.square(apart[good & np.isfinite(apart)]).sum())
    name = min(rest, key=lambda k: rest[k])
    return name, rest[name] / total if total > 0 else 0.0


def best_shift(pairs: Iterator[tuple[np.ndarray, np.ndarray]], reach: int = 2) -> tuple[int, int]:
    """The whole rows and columns, down and to the right, by which ids of a are to be moved to agree most with b."""
    agreeing: dict[tuple[int, int], int] = {}
    for a, b in pairs:
        h, w = a.shape
        inner = b[reach : h - reach, reach : w - reach]
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                moved = a[reach - dy : h - reach - dy, reach - dx : w - reach - dx]
                agreeing[dy, dx] = agreeing.get((dy, dx), 0) + int((moved == inner).sum())
    return max(agreeing, key=lambda k: (agreeing[k], -abs(k[0]) - abs(k[1])))


def _classes(a: Side, b: Side) -> int:
    """How many classes two files of ids name."""
    top = 0
    for side in (a, b):
        for image, _ in side.images():
            known = image[(image >= 0) & (image != (255 if side.ignore_index is None else side.ignore_index))]
            top = max(top, int(known.max(initial=0)))
    if top > 2**16:
        raise ValueError(f'{a.path} and {b.path} have class ids up to {top}, expected at most 65536')
    return top + 1


def _gather(found: Found, losses: dict[str, LossSpec], progress: Callable[[int, int, str], object] | None) -> None:
    """One pass over all images: everything that is a sum."""
    a, b, counts = found.a, found.b, found.counts
    total = a.scores.shape[0]
    classes = max(counts.channels, 2)
    if a.labels is not None and b.labels is not None:
        for one, two in zip(a.labels.images(), b.labels.images()):
            labels.count_pairs(*fitted(np.squeeze(one), np.squeeze(two)), counts.label_pairs)
    found.recode = recode_of(found)
    ignored = a.ignore_index, a.ignore_index if found.recode else b.ignore_index
    states = [FineGrainedState(classes, value) for value in ignored]
    sums: dict[str, list[list[float]]] = {name: [[], []] for name in losses}
    labelled = a.labels is not None or b.labels is not None
    for k, ((x, label_a), (y, label_b)) in enumerate(zip(a.images(), b.images())):
        ids_a, ids_b = predicted(x, a, found.activation), predicted(y, b, found.activation)
        own = y, ids_b
        if b.kind != 'ids' and found.order != sorted(found.order):
            y, ids_b = y[found.order], np.argsort(found.order)[ids_b]
        mine = own if found.recode is None else (y, ids_b)  # in the order of the labels that it is measured by
        before = counts.pixels, counts.agreeing, counts.total
        _compare(found, x, y, ids_a, ids_b, label_a if label_a is not None else label_b)
        name = a.names[k] if a.names else b.names[k] if b.names else k
        pixels = max(counts.pixels - before[0], 1)
        counts.images.append(
            dict(
                image=name,
                agreement=(counts.agreeing - before[1]) / pixels,
                mean_difference=None if 'ids' in (a.kind, b.kind) else (counts.total - before[2]) / pixels,
            )
        )
        if labelled:
            if label_b is not None and found.recode:
                label_b = labels.recoded(label_b, found.recode)
            of: list[Any] = [
                label_a if label_a is not None else label_b,
                label_b if label_b is not None else label_a,
            ]
            for state, ids, label in zip(states, (ids_a, mine[1]), of):
                pred, target = fitted(ids, label)
                state.update(pred, target)
            for name in list(losses):
                _lose(found, losses[name], name, (x, mine[0]), of, ignored, sums[name])
        if progress:
            progress(k + 1, total, 'images')
    if labelled:
        spec: Any = METRICS['FineGrained'](
            num_classes=classes, ignore_index=a.ignore_index, q=[], metrics=['mIoU', 'mDice']
        )
        other = dataclasses.replace(spec, ignore_index=ignored[1])
        found.metrics = states[0].results(spec), states[1].results(other)
        found.per_class = _iou(states[0]), _iou(states[1])
    for name, values in sums.items():
        if name not in found.losses and values[0]:
            found.losses[name] = float(np.mean(values[0])), float(np.mean(values[1]))
    for letter, side in (('a', a), ('b', b)):
        if side.loss is not None and side.labels is not None and side.kind != 'ids':
            for name, spec in losses.items():
                _batch(found, letter, side, name, spec)


def recode_of(found: Found) -> dict[int, int] | None:
    """How labels of b are brought to those of a, by which its outputs are then measured in the order of a."""
    a, b = found.a, found.b
    if b.labels is None or not found.counts.label_pairs:
        permuted = a.labels is None and found.order != sorted(found.order)  # labels of b alone: in the order of b
        return {two: one for one, two in enumerate(found.order)} if permuted else {}
    back = labels.recode(found.counts.label_pairs)
    return back if not back or 'ids' not in (a.kind, b.kind) else None  # the order of predicted ids is not known


def _compare(
    found: Found, x: np.ndarray, y: np.ndarray, ids_a: np.ndarray, ids_b: np.ndarray, label: np.ndarray | None
) -> None:
    """Adds one image's outputs, at the size of the smaller one."""
    a, b, counts = found.a, found.b, found.counts
    size = min(ids_a.shape, ids_b.shape)
    apart = None
    good: np.ndarray = np.ones(size, bool)
    for k, (side, scores) in enumerate(((a, x), (b, y))):
        if side.kind != 'ids':
            sound = np.isfinite(scores)
            counts.not_numbers[k] += int((~sound).sum())
            good &= block_means(sound.all(0, keepdims=True).astype(float), size)[0] == 1
    if a.kind != 'ids' and b.kind != 'ids':
        with np.errstate(invalid='ignore'):
            p, q = (block_means(probabilities(s, side, found.activation), size) for s, side in ((x, a), (y, b)))
            raw = (x, y) if a.kind == b.kind == 'logits' and found.factor == 1 else None
            counts.add_scores(p, q, raw, good)
            apart = np.where(good, np.abs(q - p).mean(0), 0)
    ids_a, ids_b = fitted(ids_a, ids_b)
    edges = ids_a if label is None else fitted(label, ids_a)[0]
    counts.add_ids(ids_a, ids_b, good, near_borders(edges), apart)


def fitted(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two maps of ids at the size of the smaller one: the pixel in the middle of each block; ValueError without a whole factor."""
    if a.shape == b.shape:
        return a, b
    small, large = min(a.shape, b.shape), max(a.shape, b.shape)
    fy, fx = large[0] // small[0], large[1] // small[1]
    if (small[0] * fy, small[1] * fx) != large:
        raise ValueError(f'maps of {a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]} pixels have no whole factor')
    picked = [m if m.shape == small else m[fy // 2 :: fy, fx // 2 :: fx] for m in (a, b)]
    return picked[0], picked[1]


def _lose(
    found: Found,
    spec: LossSpec,
    name: str,
    outputs: tuple[np.ndarray, np.ndarray],
    of: list[Any],
    ignored: tuple[int | None, int | None],
    sums: list[list[float]],
) -> None:
    """Adds the loss of one image of each model, by the reference."""
    if name in found.losses:
        return
    values = []
    for side, scores, label, ignore_index in zip((found.a, found.b), outputs, of, ignored):
        if side.kind == 'ids':
            found.losses[name] = f'{side.path} has class ids, of which there is no loss'
            return
        if scores.size > FOR_LOSSES:
            found.losses[name] = f'images of {scores.size:,} numbers are too large, at most {FOR_LOSSES:,}'
            return
        if label.shape != scores.shape[-2:]:
            found.losses[name] = (
                f'labels are {label.shape[0]}x{label.shape[1]} pixels, outputs {scores.shape[1]}x{scores.shape[2]}; '
                'logits are resized to the labels before the loss'
            )
            return
        case = Case(scores[None], label[None], None, ignore_index, from_logits=side.kind == 'logits')
        try:
            values.append(float(on_case(spec, case).reference(case.pred, case.target)))
        except ValueError as error:
            found.losses[name] = str(error)
            return
    for value, into in zip(values, sums):
        into.append(value)


def _batch(found: Found, letter: str, side: Side, name: str, spec: LossSpec) -> None:
    """The loss of all images of a side as one batch, in the order of its own labels."""
    if math.prod(side.scores.shape) > FOR_LOSSES:
        found.remarks.append(
            f'{side.path}: {math.prod(side.scores.shape):,} numbers are too many for the loss of the batch'
        )
        return
    images = list(side.images())
    pred, target = np.stack([x for x, _ in images]), np.stack([y for _, y in images if y is not None])
    case = Case(pred, target, None, side.ignore_index, from_logits=side.kind == 'logits')
    try:
        value = on_case(spec, case).reference(pred, target)
    except ValueError as error:
        found.remarks.append(f'{side.path}: {error}')
        return
    found.batch.setdefault(name, {})[letter] = float(value)


def _iou(state: FineGrainedState) -> list[float]:
    tp, fp, fn = np.moveaxis(state.counts.sum(0), -1, 0).astype(np.float64)
    with np.errstate(invalid='ignore'):
        return list(tp / (tp + fp + fn))
