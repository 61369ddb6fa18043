"""The negative log-likelihood of an image's residuals under a Student t distribution, whose heavy tails forgive."""

import math

import numpy as np

from shared_spec.checks import Boolean, Real
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.inputs import Batch


@loss_spec
class RobustTLoss(Shared):
    """Robust T: an image is one draw of a D-dimensional Student t, so that a large residual costs its logarithm."""

    family = 'region'
    learnt = ('log_nu',)
    title = 'Robust T loss (T-Loss)'
    formula = (
        'lgamma(nu/2) - lgamma((nu + D)/2) + D/2*(log(pi*nu) - lambda) + (nu + D)/2*log(1 + exp(lambda)*S/nu) of each '
        'foreground map, D = sum v, S = sum v*(p - y)^2; mean over maps, then over images'
    )
    source = 'Gonzalez-Jimenez et al.: Robust T-Loss for Medical Image Segmentation, 2023 (arXiv 2306.00753)'
    remarks = (
        'The maps are the one channel, or channels 1 to '
        'C-1 (class 0 is the background), for sigmoid too. The weight of an image is its weight in the mean over images '
        'alone, an image of weight 2 is two images; weights of pixels enter D and S. An image without a valid pixel '
        'counts nowhere. epsilon enters as in the official code: nu = exp(log nu) + epsilon and '
        'precision exp(lambda + epsilon); lambda, our log_precision, is 0 in the paper and 1 in the official code. In MMSegmentation log nu is a parameter of '
        'the loss, and so of the head. In Keras it belongs to a layer of the model, because fit trains nothing else: '
        'outputs = layer(logits).'
    )
    caution = (
        'the value is of the order of the number of pixels of an image, not of 1. Beside another loss give it a '
        'loss_weight far below 1.'
    )
    keras_line = (
        'loss = losses.RobustTLoss(from_logits=True, ignore_class=255)  # nu stays 1; or, learnt:\n'
        "layer = layers.DegreesOfFreedom(name='nu')  # model = keras.Model(inputs, layer(logits))\n"
        'loss = losses.RobustTLoss(from_logits=True, ignore_class=255, learn_nu=True, layer=layer)'
    )

    nu: float = param(1.0, Real(low=0, above=True), 'degrees of freedom; at the start, where they are learnt')
    learn_nu: bool = param(True, Boolean(), 'whether training changes log nu', keras_default=False)
    log_precision: float = param(0.0, Real(low=-80, high=80), 'lambda, the log of the inverse squared scale; fixed')
    epsilon: float = param(1e-8, Real(low=0), 'added to nu and to lambda')

    examples = {
        'default': Example(),
        'official_scale': Example(dict(nu=4.5, log_precision=1.0, learn_nu=False, loss_weight=0.5)),
        'sigmoid': Example(dict(nu=0.3, log_precision=-0.7, learn_nu=False, epsilon=1e-3, activation='sigmoid')),
    }

    def negative_log_likelihood(self, count: float, square: float) -> float:
        """The loss of one map of D = ``count`` pixels whose squared residuals add up to S = ``square``."""
        log_nu, eps = math.log(self.nu), self.epsilon
        nu = math.exp(log_nu) + eps
        return (
            -log_gamma_ratio(nu / 2, count / 2)
            - count / 2 * (self.log_precision + eps)
            + count / 2 * math.log(math.pi)
            + count / 2 * (log_nu + eps)
            + (nu + count) / 2 * math.log1p(math.exp(self.log_precision + eps) * square / nu)
        )

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        n, c = batch.target.shape[:2]
        maps = [0] if c == 1 else range(1, c)
        images = [i for i in range(n) if batch.has_pixel[i]]
        total = 0.0
        for i in images:
            v = batch.weight[i] / batch.image_weight[i]
            squares = [(v * (batch.prob[i, k] - batch.target[i, k]) ** 2).sum() for k in maps]
            total += batch.image_weight[i] * np.mean([self.negative_log_likelihood(v.sum(), s) for s in squares])
        return float(self.loss_weight * total / batch.image_weight[images].sum()) if images else 0.0


def log_gamma_ratio(x: float, rise: float) -> float:
    """lgamma(x + rise) - lgamma(x); of a large x from Stirling's series, in which what is common does not appear."""
    if x < 1e4:
        return math.lgamma(x + rise) - math.lgamma(x)
    above, beyond = (1 / (12 * z) for z in (x + rise, x))  # the rest is below 3e-15
    return (x - 0.5) * math.log1p(rise / x) + rise * (math.log(x + rise) - 1) + above - beyond
