"""Region mutual information: pixels are compared together with their neighbours, beside a cross-entropy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Choice, Integer, Real
from shared_spec.declare import Example, SpecError, Weighted, as_shared, loss_spec, param
from shared_spec.inputs import Batch, prepare, scale_part, times_log
from shared_spec.shapes import check_known
from shared_spec.typing import Shape

ALPHA = 5e-4  # on the diagonals of the covariance matrices
CLIP = 1e-6  # smallest entry of a map of probabilities
TINY = 1e-8  # added to the diagonal of the Cholesky factor before the logarithm


@loss_spec
class RegionMutualInformationLoss(Weighted):
    """Region mutual information loss."""

    family = 'region'
    title = 'Region mutual information loss'
    formula = (
        'ce_weight*CE + (1 - ce_weight)*RMI; RMI = sum over classes of the mean over images of '
        'logdet(L_y - L_yp (L_p + 5e-4*I)^-1 L_yp^T + 5e-4*I) / (2*radius^2), L the covariances, not divided by the '
        'number of regions, of the radius x radius regions of the pooled maps of labels and probabilities; CE = '
        "sum v*BCE / (sum v + 1) over pixels and classes ('sigmoid'), or mean cross-entropy over pixels ('softmax')"
    )
    source = 'Zhao et al.: Region mutual information loss, arXiv 1910.12037; github.com/ZJULearning/RMI'
    remarks = (
        'As the official code, whose probabilities in the regions are sigmoids, under softmax cross-entropy too (which '
        'therefore needs logits). Negative where the prediction is good. Ignored pixels are zeros in both maps; labels '
        'are ignored by ignore_index alone (officially every label above the last class is). Pixel weights act in the '
        'cross-entropy, and a weight of 0 makes the pixel a zero in the maps; image weights also weigh the mean over '
        'images. An image without a valid pixel counts nowhere, and nothing valid at all gives 0 (officially a '
        'constant). Soft labels make a real-valued map of labels. One channel is the foreground, one map; its '
        'cross-entropy is binary. Equal maxima of a pooling window share the gradient. The covariance part is computed '
        'in float64 where the backend has it. Images are 2-D and hold a region after pooling, 7 x 7 pixels by default.'
    )
    spatial_axes = (2,)
    needs_region = True

    from_logits: bool = as_shared('from_logits')
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')
    radius: int = param(3, Integer(low=1), 'height and width of a region, in pooled pixels')
    pool: str = param(
        'max',
        Choice('max', 'avg', 'interpolate', 'none'),
        "how both maps shrink first: largest or mean pixel of windows, padded by zeros; 'interpolate': nearest label, "
        'bilinear probability',
    )
    pool_size: int = param(
        3, Integer(low=1), 'side and step of the windows, padding pool_size // 2; factor of shrinking'
    )
    ce_weight: float = param(0.5, Real(low=0, high=1), 'share of the cross-entropy')
    ce: str = param('sigmoid', Choice('sigmoid', 'softmax'), 'kind of cross-entropy; one channel is always sigmoid')

    examples = {
        'no_pool': Example(dict(pool='none', radius=2)),
        'max': Example(dict(pool_size=2, radius=2, ce_weight=0.25)),
        'avg': Example(dict(pool='avg', pool_size=2, radius=1, loss_weight=2.0)),
        'interpolate': Example(dict(pool='interpolate', pool_size=2, radius=1)),
        'softmax': Example(dict(pool='none', radius=2, ce='softmax', ce_weight=0.75)),
        'regions_alone': Example(dict(pool='none', ce_weight=0.0)),
        'cross_entropy_alone': Example(dict(pool='none', ce_weight=1.0)),
    }

    def validate(self) -> None:
        if self.ce == 'softmax' and not self.from_logits:
            raise SpecError(
                "ce='softmax' needs from_logits=True, for the regions take the sigmoid of logits",
                owner=type(self).__name__,
            )

    @property
    def activation(self) -> str:
        """How logits become the probabilities of the cross-entropy."""
        return self.ce

    @property
    def stride(self) -> int:
        """The factor by which pooling shrinks the maps."""
        return 1 if self.pool == 'none' else self.pool_size

    def pooled_size(self, space: Sequence[Any]) -> tuple[int, ...]:
        """(h, w) of the pooled maps of images of (H, W) pixels; refuses images without a region with ValueError."""
        owner, s = type(self).__name__, self.stride
        check_known(owner, space)
        if self.pool == 'interpolate':
            size = tuple(x // s for x in space)
        else:
            size = tuple((x + 2 * (s // 2) - s) // s + 1 for x in space)
        if min(size) < self.radius:
            raise ValueError(
                f'{owner}: an image must hold a region of {self.radius} x {self.radius} pixels after pooling, got '
                f'{size[0]} x {size[1]} from {space[0]} x {space[1]} pixels'
            )
        return size

    def of_batch(self, batch: Batch, shares: np.ndarray | None = None, origin: float | np.ndarray = 1.0) -> float:
        """The loss of a ``Batch``.

        shares (N, C, *space): what part each pixel has in the maximum of its window, by default all that equal it alike.
        origin (N, C, radius^2): the diagonal from which logarithms are counted.
        """
        self.pooled_size(batch.space)  # refuses images without a region
        y, v, w = batch.target, batch.weight, batch.image_weight * batch.has_pixel
        if not w.any():
            return 0.0
        log_p, log_q = batch.log_prob()
        bce = -times_log(y, log_p) - (0 if log_q is None else times_log(1 - y, log_q))
        ce = (v[:, None] * bce).sum() / (v.sum() + (1 if self.ce == 'sigmoid' else 0))

        rmi = np.log(self.diagonal(batch, shares) / origin).sum(2) / self.radius**2
        rmi = (w * rmi.sum(1)).sum() / w.sum()
        return float(self.loss_weight * (scale_part(self.ce_weight, ce) + (1 - self.ce_weight) * rmi))

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference less its logarithms at ``pred``, which would be most of its size and so of its rounding.

        The shares of the pixels in the maxima are kept as they are at ``pred``.
        """
        batch = prepare(self, pred, target, pixel_weight, **extras)
        shares = self.shares(self.map_of_probabilities(batch)) if self.pool == 'max' else None
        origin = self.diagonal(batch, shares)
        return lambda x: self.reference(x, target, pixel_weight, **extras, shares=shares, origin=origin)

    def shares(self, p: np.ndarray) -> np.ndarray:
        """(N, C, H, W) what part each pixel has in the maximum of its window."""
        shares = np.zeros_like(p)
        for _, _, window in self.each_window(p.shape[2:]):
            largest = p[window] == p[window].max((2, 3), keepdims=True)
            shares[window] = largest / largest.sum((2, 3), keepdims=True)
        return shares

    def diagonal(self, batch: Batch, shares: np.ndarray | None) -> np.ndarray:
        """(N, C, radius^2) the Cholesky factor's diagonal: half the log-determinant is the sum of its logarithms."""
        labels = batch.target.reshape(*batch.target.shape[:2], *batch.space)
        probabilities = self.map_of_probabilities(batch)
        if self.pool == 'interpolate':
            labels, probabilities = self.nearest(labels), self.bilinear(probabilities)
        elif self.stride > 1:
            labels, probabilities = self.windows(labels), self.windows(probabilities, shares)
        return self.root(self.regions(labels), self.regions(probabilities))

    def map_of_probabilities(self, batch: Batch) -> np.ndarray:
        """(N, C, H, W) the probabilities whose regions are compared, ``CLIP`` where a pixel is ignored."""
        prob = batch.prob if batch.logits is None else np.exp(-np.logaddexp(0, -batch.logits))
        prob = np.where(batch.weight[:, None] > 0, prob, 0)
        prob = prob + CLIP if self.ce == 'sigmoid' else np.maximum(prob, CLIP)
        return prob.reshape(*prob.shape[:2], *batch.space)

    def each_window(self, space: Shape) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
        """(i, j, index) of the pixels of each pooling window that lie inside the image."""
        s = self.stride
        h, w = self.pooled_size(space)
        for i, top in enumerate(range(-(s // 2), h * s - s // 2, s)):
            for j, left in enumerate(range(-(s // 2), w * s - s // 2, s)):
                yield i, j, np.s_[:, :, max(top, 0) : top + s, max(left, 0) : left + s]

    def windows(self, x: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
        """(N, C, h, w) mean (the padding's zeros counted) or maximum of each window."""
        result = np.zeros((*x.shape[:2], *self.pooled_size(x.shape[2:])))
        for i, j, window in self.each_window(x.shape[2:]):
            if self.pool == 'avg':
                result[:, :, i, j] = x[window].sum((2, 3)) / self.stride**2
            elif shares is None:
                result[:, :, i, j] = x[window].max((2, 3))
            else:
                result[:, :, i, j] = (shares * x)[window].sum((2, 3))
        return result

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """(N, C, h, w) pixel floor(i * H / h), floor(j * W / w) of ``x``."""
        rows, columns = (np.arange(m) * n // m for n, m in zip(x.shape[2:], self.pooled_size(x.shape[2:])))
        return x[:, :, rows][:, :, :, columns]

    def bilinear(self, x: np.ndarray) -> np.ndarray:
        """(N, C, h, w) interpolated between pixels, the corners of the image kept."""
        for axis, (n, m) in enumerate(zip(x.shape[2:], self.pooled_size(x.shape[2:])), 2):
            at = np.linspace(0, n - 1, m)
            matrix = np.stack([np.interp(at, np.arange(n), row) for row in np.eye(n)], 1)
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
        return x

    def regions(self, x: np.ndarray) -> np.ndarray:
        """(N, C, radius^2, number of regions) the maps' regions as vectors, centred."""
        r = self.radius
        h, w = (n - r + 1 for n in x.shape[2:])
        crops = [x[:, :, i : i + h, j : j + w] for i in range(r) for j in range(r)]
        vectors = np.stack(crops, 2).reshape(*x.shape[:2], r * r, h * w)
        return vectors - vectors.mean(3, keepdims=True)

    def root(self, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """(N, C, radius^2) the diagonal of the Cholesky factor of the labels' covariance given the probabilities.

        With w = L_yp (L_p + ALPHA)^-1 that covariance is (y - w p)(y - w p)^T + ALPHA w w^T: nothing cancels.
        """
        eye = np.eye(self.radius**2)
        w = np.linalg.solve(p @ p.swapaxes(2, 3) + ALPHA * eye, p @ y.swapaxes(2, 3)).swapaxes(2, 3)
        rest = y - w @ p
        root = np.linalg.cholesky(rest @ rest.swapaxes(2, 3) + ALPHA * (w @ w.swapaxes(2, 3) + eye))
        return np.diagonal(root, axis1=2, axis2=3) + TINY
