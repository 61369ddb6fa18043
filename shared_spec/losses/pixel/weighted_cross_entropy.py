"""Cross-entropy with class weights of every kind, hard and soft labels, label smoothing."""

import numpy as np

from shared_spec import shapes
from shared_spec.checks import CLASS_WEIGHT, AnyOf, Choice, Each, Optional, Real
from shared_spec.declare import Example, Shared, SpecError, loss_spec, param
from shared_spec.inputs import Batch, reduce_pixels, times_log

POS_WEIGHT = AnyOf(Real(low=0), Each(Real(low=0), 'a list of one number >= 0 for each channel'))


@loss_spec
class WeightedCrossEntropyLoss(Shared):
    """Cross-entropy, softmax over classes or sigmoid per channel."""

    family = 'pixel'
    reductions = ('mean', 'sum', 'none')
    title = 'Weighted cross-entropy'
    formula = (
        'sum_pixels v * sum_c w_c * y_c * (-log p_c) / denominator, y smoothed to (1 - e)*y + e/C; sigmoid: binary '
        'cross-entropy of each channel, mean over channels'
    )
    source = 'PyTorch cross_entropy; balanced: Xie, Tu: HED, 2015'
    remarks = (
        "Hard labels with a class_weight list (or inverse_frequency): the weights of the pixels' classes join the "
        'denominator, as in PyTorch; soft labels, balanced and sigmoid channels divide by the number of valid pixels. '
        "divisor='pixels' does so always, divisor='all' divides by all pixels, ignored or not, whatever they weigh. "
        'One channel takes one weight, or two (background, foreground), which then equal the two-channel softmax form. '
        'Probabilities are floored at 1e-7 before the logarithm.'
    )

    class_weight: str | tuple[float, ...] | None = param(
        None,
        Optional(AnyOf(Choice('inverse_frequency', 'balanced'), CLASS_WEIGHT)),
        "factor on each class's loss; 'inverse_frequency': n_valid / (C * n_c) over the batch; 'balanced' (binary): "
        "the share of negatives among the image's valid pixels on the positives and its complement on the negatives",
    )
    label_smoothing: float = param(0.0, Real(low=0, high=1), 'share of the uniform distribution mixed into the labels')

    pos_weight: float | tuple[float, ...] | None = param(
        None, Optional(POS_WEIGHT), 'sigmoid: factor on the positives of every channel, or one for each channel'
    )
    divisor: str = param(
        'valid',
        Choice('valid', 'all', 'pixels'),
        "what the mean divides by: 'valid' the weights of the pixels that count, with those of their classes where these "
        "join; 'pixels' without those of classes; 'all' the number of all pixels, ignored ones too",
    )

    examples = {
        'default': Example(),
        'smoothing': Example(dict(label_smoothing=0.1, loss_weight=0.7)),
        'class_weight': Example(dict(label_smoothing=0.2), class_weight=True),
        'inverse_frequency': Example(dict(class_weight='inverse_frequency', label_smoothing=0.05)),
        'sigmoid': Example(dict(activation='sigmoid', label_smoothing=0.1)),
        'balanced': Example(dict(activation='sigmoid', class_weight='balanced')),
        'pixels': Example(dict(divisor='pixels', label_smoothing=0.1), class_weight=True),
        'all': Example(dict(divisor='all', loss_weight=1.5), class_weight=True),
        'pos_weight': Example(dict(activation='sigmoid', pos_weight=2.5, divisor='all')),
        'two_weights': Example(dict(class_weight=[0.4, 1.7]), channels=('one',)),
    }

    def validate(self) -> None:
        if self.pos_weight is not None and self.class_weight == 'balanced':
            raise SpecError(
                "does not go with class_weight='balanced', which weighs positives itself",
                owner=type(self).__name__,
                parameter='pos_weight',
                given=self.builtin_value('pos_weight'),
            )

    def pos_weights(self, channels: int, softmax: bool) -> list[float] | None:
        """The factor on the positives of each channel; None where all are 1. Refuses a softmax, which has no negatives."""
        weights, name = self.pos_weight, type(self).__name__
        if weights is None:
            return None
        if softmax or (channels == 1 and self.takes_two_weights):
            raise ValueError(
                f'{name}: pos_weight needs sigmoid channels, or one channel without a weight for its background: '
                'class_weight weighs the classes of a softmax'
            )
        if isinstance(weights, tuple) and len(weights) != channels:
            raise ValueError(
                f'{name}: pos_weight must have {channels} entries, one for each channel, got {len(weights)}'
            )
        return list(weights) if isinstance(weights, tuple) else [weights] * channels

    @property
    def takes_two_weights(self) -> bool:
        """Whether one channel is weighed as two classes, background and foreground."""
        listed = isinstance(self.class_weight, tuple) and len(self.class_weight) == 2
        return listed or self.class_weight == 'inverse_frequency'

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; a map (N, *space) for the reduction 'none'."""
        y, v = batch.target, batch.weight
        c = y.shape[1]
        log_p, log_not_p = batch.log_prob()
        positives = self.pos_weights(c, softmax=log_not_p is None)
        if c == 1 and self.takes_two_weights:  # the two-channel softmax form of one channel
            log_p, y = np.concatenate([log_not_p, log_p], 1), np.concatenate([1 - y, y], 1)
            log_not_p, c = None, 2
        weights, joins = self._weights(y, v, c, softmax=log_not_p is None, hard=batch.hard)

        e = self.label_smoothing
        if log_not_p is None:
            smoothed = (1 - e) * y + e / c
            loss = -(times_log(weights * smoothed, log_p)).sum(1)
        else:
            smoothed = (1 - e) * y + e / 2
            positive, negative = (weights, 1 - weights) if self.class_weight == 'balanced' else (weights, weights)
            positive = positive if positives is None else positive * np.array(positives)[:, None]
            loss = -times_log(positive * smoothed, log_p) - times_log(negative * (1 - smoothed), log_not_p)
            loss = loss.mean(1)
        loss = self.loss_weight * np.where(v > 0, v * loss, 0)
        if self.divisor == 'all':
            return reduce_pixels(batch, loss, reduction, v.size)
        divisor = (v * (weights * y).sum(1)).sum() if joins and self.divisor == 'valid' else v.sum()
        return reduce_pixels(batch, loss, reduction, divisor)

    def _weights(self, y: np.ndarray, v: np.ndarray, c: int, softmax: bool, hard: bool) -> tuple[np.ndarray, bool]:
        """The weight of each class, broadcastable to (N, C, P), and whether the weights join the denominator."""
        name = type(self).__name__
        if self.class_weight is None:
            return np.ones((1, c, 1)), False
        if self.class_weight == 'balanced':
            if softmax:
                raise ValueError(f"{name}: class_weight='balanced' is binary: it needs one channel or sigmoid channels")
            mass = v.sum(1)[:, None]
            negatives = (v[:, None] * (1 - y)).sum(2)
            return (negatives / np.where(mass > 0, mass, 1))[:, :, None], False
        if self.class_weight == 'inverse_frequency':
            size = (v[:, None] * y).sum((0, 2))
            w = np.where(size > 0, v.sum() / (c * np.where(size > 0, size, 1)), 0.0)
        else:
            shapes.check_class_weight(name, self.class_weight, (c,))
            w = np.array(self.class_weight)
        return w[None, :, None], hard and softmax
