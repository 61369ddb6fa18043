"""Pixel contrast: embeddings of pixels of a class are drawn together, those of different classes apart."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Choice, Integer, Real
from shared_spec.declare import Example, Weighted, as_shared, loss_spec, param
from shared_spec.extras import check_embedding, check_samples
from shared_spec.features import as_float32, sampled
from shared_spec.inputs import Batch

SHARE = 10  # of the entries that an anchor is contrasted with the hardest are one in so many, rounded up


@loss_spec
class PixelContrastLoss(Weighted):
    """Pixel contrast: supervised InfoNCE over sampled pixel embeddings."""

    family = 'pixel'
    spatial_axes = (1, 2, 3)
    labels = ('hard',)
    activation = 'softmax'
    extras = ('embedding', 'samples')
    needs = ('embedding',)
    gradient_of = ('embedding',)
    title = 'Pixel contrast'
    formula = (
        'T / T0 * mean over sampled pixels i of the mean over their positives p of log(1 + sum over negatives n of '
        'exp(s_in - s_ip)), s_ij = x_i . x_j / T of the embeddings x, T the temperature and T0 the base_temperature'
    )
    source = 'Wang et al.: Exploring cross-image pixel contrast for semantic segmentation, arXiv 2101.11939; tfzhou/ContrastiveSeg'
    remarks = (
        'embedding (N, D, *space; Keras: (N, *space, D)) is given at the call and is not normalised here: L2-normalise it in '
        'the head. Where it is smaller or larger than the labels, labels, weights and the predicted class are those of the '
        'nearest place before, floor(i * labels / embedding). Anchors: each class of an image with more than max_views '
        'pixels gives V = min(max_samples // number of such classes of the batch, max_views) pixels, at least one and '
        'max_samples in all (where there are more classes, the first pixels): V // 2 of those predicted wrong, the others of those right, filled up from the other kind. '
        "order='random' takes other ones at each call, 'first', and the NumPy reference always, those of the lowest index. samples = (image (A,), index "
        '(A, V)) at the call are taken instead: flat places in the embedding, -1 for none. Positives: the other samples of '
        'the same class; negatives: those of other classes; both with the bank, which has up to memory_size embeddings of '
        'each class of earlier calls, detached, and gets the samples of a call after it. hardest: the tenth (rounded up) of '
        'the negatives that is most similar to the anchor and the tenth of the positives that is least similar; semi_hard: '
        "of these two the hardest and each other one by a coin, with order='first' every second one. A sample without a "
        'positive counts nowhere, without any the loss is 0. Weights of pixels weigh the anchors, a weight of 0 leaves a '
        'pixel out. The prediction has no gradient.'
    )

    keras_line = (
        'loss = losses.PixelContrastLoss(from_logits=True, ignore_class=255, memory_size=100)\n'
        '# a layer of the model, on the embedding; bank=layer at the call. Without memory_size there is none\n'
        'layer = layers.EmbeddingBank(num_classes=19, depth=64, memory_size=100)'
    )

    from_logits: bool = as_shared('from_logits')
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')
    temperature: float = param(0.1, Real(low=0, above=True), 'T, by which similarities are divided')
    base_temperature: float = param(0.07, Real(low=0, above=True), 'T0, of the factor T / T0')
    max_samples: int = param(1024, Integer(low=1), 'the most pixels that are sampled of a batch')
    max_views: int = param(
        100, Integer(low=1), 'the most pixels that are sampled of a class of an image, which must have more'
    )
    sampling: str = param(
        'segmentation_aware',
        Choice('segmentation_aware', 'hardest', 'semi_hard'),
        'which positives and negatives of an anchor count: all, the hardest tenth, or some of these',
    )
    order: str = param(
        'random', Choice('random', 'first'), 'which pixels of a kind are sampled: any, or those of the lowest index'
    )
    memory_size: int = param(0, Integer(low=0), 'how many embeddings of earlier calls are kept of each class; 0: none')

    examples = {
        'default': Example(dict(max_samples=12, max_views=3)),
        'first': Example(dict(order='first', max_samples=11, max_views=2, temperature=0.5, loss_weight=0.7)),
        'hardest': Example(dict(order='first', sampling='hardest', max_samples=40, max_views=2, temperature=0.8)),
        'semi_hard': Example(dict(order='first', sampling='semi_hard', max_samples=40, max_views=2, temperature=0.9)),
    }

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """An embedding that is longer than the prediction by one pixel, no number where labels are ignored; samples if random."""
        space = (*pred.shape[2:-1], pred.shape[-1] + 1)
        x = as_float32(rng.normal(0, 0.6, (len(pred), 3, *space)))
        if self.ignore_index is not None and target.shape == (len(pred), *pred.shape[2:]):
            x[np.broadcast_to(sampled(target, space)[:, None] == self.ignore_index, x.shape)] = np.nan
        if self.order == 'first':
            return pred, {'embedding': x}
        anchors = max(1, self.max_samples // self.max_views // max(1, len(pred)))
        image = np.repeat(np.arange(len(pred)), anchors)
        pixels = math.prod(space)
        index = np.stack([rng.permutation(pixels)[: self.max_views] for _ in image] or [np.zeros(0, int)])
        index = np.pad(index, ((0, 0), (0, max(0, self.max_views - index.shape[1]))), constant_values=-1)
        return pred, {'embedding': x, 'samples': (image, index.reshape(len(image), -1))}

    def of_batch(
        self,
        batch: Batch,
        embedding: ArrayLike,
        samples: tuple[ArrayLike, ArrayLike] | None = None,
        bank: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> float:
        """The loss of a ``Batch``; bank: embeddings (B, D) of earlier calls and their classes (B,)."""
        name, x = type(self).__name__, np.asarray(embedding)
        n, c, _ = batch.prob.shape
        check_embedding(name, x.shape, x.dtype.kind == 'f', x.dtype, (n, c, *batch.space), 'first')
        space, x = x.shape[2:], x.astype(np.float64).reshape(n, x.shape[1], math.prod(x.shape[2:]))
        scores = batch.prob if batch.logits is None else batch.logits
        middle = 0.5 if batch.logits is None else 0
        predicted = scores.argmax(1) if c > 1 else (scores[:, 0] > middle)
        labels = batch.target.argmax(1) if c > 1 else batch.target[:, 0]
        labels, predicted, weight = (sampled(m.reshape(n, *batch.space), space).reshape(n, x.shape[2]) for m in (labels, predicted, batch.weight))  # fmt: skip
        if samples is None:
            image, index = self.choose(labels.astype(int), predicted != labels, weight > 0)
        else:
            image, index = check_samples(name, samples, n, x.shape[2], self.max_samples)
        if not np.isfinite(x[np.broadcast_to(weight[:, None] > 0, x.shape)]).all():
            return math.nan
        image, index = np.repeat(image, index.shape[1]), index.reshape(-1)
        kept = (index >= 0) & (weight[image, index] > 0)
        image, index = image[kept], index[kept]
        others = (np.zeros((0, x.shape[1])), np.zeros(0)) if bank is None else bank
        return self.contrast(x[image, :, index], labels[image, index], weight[image, index], *others)

    def choose(self, labels: np.ndarray, wrong: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """image (A,) and index (A, V) of the anchors, from maps (N, P) of classes, of what is predicted wrong, and of what counts."""
        found = []
        cells = [
            (i, k) for i in range(len(labels)) for k in np.unique(labels[i][counts[i]])
            if (labels[i][counts[i]] == k).sum() > self.max_views
        ]  # fmt: skip
        views = max(1, min(self.max_samples // max(1, len(cells)), self.max_views))
        for i, k in cells:
            own = (labels[i] == k) & counts[i]
            hard, easy = np.flatnonzero(own & wrong[i]), np.flatnonzero(own & ~wrong[i])
            taken = max(min(views // 2, len(hard)), views - len(easy))
            found.append(np.concatenate([hard[:taken], easy[: views - taken]]))
        image, index = np.array([i for i, _ in cells], int), np.array(found, int).reshape(len(cells), views)
        if len(cells) > self.max_samples:  # one pixel of each, the first that there is room for
            first = np.lexsort((index[:, 0], image))[: self.max_samples]
            image, index = image[first], index[first]
        return image, index

    def contrast(
        self, x: np.ndarray, labels: np.ndarray, weight: np.ndarray, others: np.ndarray, their_labels: np.ndarray
    ) -> float:
        """The loss of samples (S, D) among themselves and with the embeddings (B, D) of a bank."""
        total, mass = 0.0, 0.0
        all_labels = np.concatenate([labels, their_labels])
        for i in range(len(x)):
            s = np.concatenate([x, others]) @ x[i] / self.temperature
            same = all_labels == labels[i]
            negatives = self.hardest(s[~same][np.argsort(-s[~same], kind='stable')])
            same[i] = False
            positives = self.hardest(s[same][np.argsort(s[same], kind='stable')])
            if len(positives):
                pull = np.logaddexp.reduce(negatives) if len(negatives) else -math.inf
                total += weight[i] * np.logaddexp(0, pull - positives).mean()
                mass += weight[i]
        factor = self.loss_weight * self.temperature / self.base_temperature
        return float(factor * total / mass) if mass else 0.0

    def hardest(self, s: np.ndarray) -> np.ndarray:
        """Those that count of similarities, the hardest first."""
        if self.sampling == 'segmentation_aware':
            return s
        s = s[: -(-len(s) // SHARE)]
        if self.sampling == 'hardest':
            return s
        return s[::2]
