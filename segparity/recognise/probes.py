"""The small pictures on which a function is tried, as probabilities and labels in NumPy."""

import dataclasses

import numpy as np

SHAPES = (2, 4, 5), (3, 5, 2), (2, 3, 7)  # images, height, width: no two axes of one length, three sizes of a picture
LEAST = 0.02  # of a probability, so that logarithms say nothing of how they are clipped


@dataclasses.dataclass(frozen=True)
class Probe:
    """prob (N, C, H, W), which add up to 1 for several channels, or ``apart``; target (N, C, H, W): one-hot, or soft where
    ``soft``, or maps of 0 and 1 that overlap.

    small: some probabilities are below ``LEAST``.
    """

    prob: np.ndarray
    target: np.ndarray
    soft: bool = False
    small: bool = False

    @property
    def channels(self) -> int:
        return self.prob.shape[1]

    @property
    def exclusive(self) -> bool:
        """Whether class ids say all of the labels."""
        return self.channels == 1 or bool(np.all(self.target.sum(1).round(9) == 1) and not self.soft)

    @property
    def ids(self) -> np.ndarray:
        """(N, H, W) class ids of the labels."""
        return (self.target[:, 0] > 0.5).astype(np.int64) if self.channels == 1 else self.target.argmax(1)

    @property
    def softmax_logits(self) -> np.ndarray:
        """What softmax, or the sigmoid of one channel, turns into ``prob``."""
        return self.sigmoid_logits if self.channels == 1 else np.log(self.prob)

    @property
    def sigmoid_logits(self) -> np.ndarray:
        return np.log(self.prob) - np.log1p(-self.prob)


def probabilities(rng: np.random.Generator, n: int, c: int, h: int, w: int, least: float = LEAST) -> np.ndarray:
    """(n, c, h, w), from flat to peaked."""
    least = min(least, 0.2 / c)
    if c == 1:
        return least + (1 - 2 * least) * rng.beta(rng.uniform(0.5, 3), rng.uniform(0.5, 3), size=(n, 1, h, w))
    found = rng.dirichlet(np.full(c, rng.uniform(0.5, 3)), (n, h, w)).transpose(0, 3, 1, 2)
    return least + (1 - c * least) * found


def one_hot(ids: np.ndarray, c: int) -> np.ndarray:
    """(N, H, W) ids -> (N, C, H, W) float64; one channel is the foreground, id 1."""
    classes = np.array([1]) if c == 1 else np.arange(c)
    return (ids[:, None] == classes[None, :, None, None]).astype(np.float64)


def labels(rng: np.random.Generator, n: int, c: int, h: int, w: int, absent: tuple[int, ...] = ()) -> np.ndarray:
    """(n, h, w) ids of classes that differ in size; none of ``absent``."""
    share = rng.dirichlet(np.full(max(c, 2), 2.0))
    share[list(absent)] = 0
    share = share / share.sum() if share.sum() else np.eye(len(share))[0]
    ids = rng.choice(len(share), (n, h, w), p=share)
    for k, class_id in enumerate(i for i in range(len(share)) if i not in absent):
        ids[:, k % h, (k // h) % w] = class_id  # there in every image
    return ids


def apart(probes: list[Probe], overlapping: bool, seed: int = 31) -> list[Probe]:
    """The same with channels that know nothing of each other, as a sigmoid of each makes them.

    overlapping: every second random one has maps that overlap, as in multi-label segmentation, in place of one-hot labels.
    """
    rng, found = np.random.default_rng(seed), []
    for k, probe in enumerate(probes):
        n, c, h, w = probe.prob.shape
        if probe.small:
            found.append(probe)
            continue
        prob = np.concatenate([probabilities(rng, n, 1, h, w) for _ in range(c)], 1)
        target = probe.target
        if overlapping and k % 2 == 0:
            if probe.soft:
                target = np.concatenate([probabilities(rng, n, 1, h, w) for _ in range(c)], 1)
            else:
                target = (rng.random((n, c, h, w)) < rng.uniform(0.2, 0.8, (1, c, 1, 1))).astype(np.float64)
        found.append(Probe(prob, target, probe.soft))
    return found


def fitting(c: int, seed: int = 0) -> list[Probe]:
    """The probes that a search fits: random ones, few pixels of a class, absent classes, nearly perfect predictions."""
    rng, found = np.random.default_rng(seed), []
    count = max(c, 2)
    for n, h, w in SHAPES:
        for _ in range(7 + 2 * c):
            found.append(Probe(probabilities(rng, n, c, h, w), one_hot(labels(rng, n, c, h, w), c)))
        if (n, h, w) == SHAPES[2]:
            break
        for absent in range(count):  # in every image, then in the first alone
            target = one_hot(labels(rng, n, c, h, w, (absent,)), c)
            found.append(Probe(probabilities(rng, n, c, h, w), target))
            some = one_hot(labels(rng, n, c, h, w), c)
            some[0] = target[0]
            found.append(Probe(probabilities(rng, n, c, h, w), some))
        few = np.zeros((n, h, w), int)
        few[0, 0, 0] = count - 1
        found.append(Probe(probabilities(rng, n, c, h, w), one_hot(few, c)))
        target = one_hot(labels(rng, n, c, h, w), c)
        for nearly in (0.9, 0.97):
            found.append(Probe(nearly * target + (1 - nearly) * (0.5 if c == 1 else 1 / c), target))
        for mass in (0.5, 0.05, 0.005):
            found.extend(vanishing(rng, n, c, h, w, mass))
    return found


def vanishing(rng: np.random.Generator, n: int, c: int, h: int, w: int, mass: float) -> list[Probe]:
    """Of each class in turn: nowhere in the labels, its probabilities adding up to about ``mass`` in the batch."""
    found = []
    for k in range(c):
        prob = probabilities(rng, n, c, h, w)
        share = mass * rng.dirichlet(np.ones(n * h * w)).reshape(n, h, w)
        share = np.minimum(share, 0.9) + 1e-3 * mass / (n * h * w)
        if c > 1:
            prob *= ((1 - share) / (1 - prob[:, k]))[:, None]
        prob[:, k] = share
        target = one_hot(labels(rng, n, c, h, w, (1 if c == 1 else k,)), c)
        found.append(Probe(prob, target, small=True))
    return found


def tiny(c: int, seed: int = 1) -> list[Probe]:
    """Classes that are absent and nearly unpredicted, down to 1e-13 pixels: they tell a small ``smooth`` from none."""
    rng = np.random.default_rng(seed)
    return [p for power in range(3, 14) for p in vanishing(rng, *SHAPES[0][:1], c, *SHAPES[0][1:], 10.0**-power)]


def fresh(c: int, seed: int, soft: bool = False, count: int = 8) -> list[Probe]:
    """Random probes that no search has seen, of the same shapes; some have absent classes."""
    rng, found = np.random.default_rng([seed, c, soft]), []
    for k in range(count):
        n, h, w = SHAPES[k % 3]
        if soft:
            target = probabilities(rng, n, c, h, w)
        else:
            target = one_hot(labels(rng, n, c, h, w, (k % max(c, 2),) if k % 3 == 2 else ()), c)
        found.append(Probe(probabilities(rng, n, c, h, w, 0.01), target, soft=soft))
    return found
