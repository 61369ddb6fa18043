"""What a student learns from a teacher: losses on its probabilities, these probabilities, and the weight of each pixel."""

import functools
import logging
from collections.abc import Iterator, Mapping

import keras
import numpy as np
from keras import ops

from keras_plugin import values
from keras_plugin.losses import DistillationKLLoss, WeightedCrossEntropyLoss, WeightedSumLoss
from keras_plugin.losses.base import Loss
from keras_plugin.losses.boundary.maps import takes_map
from keras_plugin.models import made_by
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.typing import Shape

CROSS_ENTROPIES = {  # Keras' own, and the activation of what each predicts
    keras.losses.CategoricalCrossentropy: 'softmax',
    keras.losses.SparseCategoricalCrossentropy: 'softmax',
    keras.losses.BinaryCrossentropy: 'sigmoid',
}
SIGMOID = keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy


def parts_of(loss: keras.losses.Loss) -> Iterator[keras.losses.Loss]:
    """The losses that a sum is of; of any other, itself."""
    for part in loss.parts if isinstance(loss, WeightedSumLoss) else ():
        yield from parts_of(part)
    if not isinstance(loss, WeightedSumLoss):
        yield loss


def takes_soft_labels(loss: keras.losses.Loss) -> bool:
    """Whether soft labels are all that a loss needs besides predictions."""
    if not isinstance(loss, Loss):
        return not isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    return 'soft' in loss.spec.labels and loss.spec.is_plain() and not takes_map(loss)


def teacher_term(owner: str, loss: keras.losses.Loss, temperature: float) -> keras.losses.Loss | None:
    """What a loss on the labels becomes on a teacher's probabilities at ``temperature``; None where it takes class ids alone.

    Cross-entropy becomes DistillationKLLoss, which divides the student's logits by the temperature, too; others stay.
    """
    if isinstance(loss, WeightedSumLoss):
        found = [(share, teacher_term(owner, part, temperature)) for share, part in zip(loss.shares, loss.parts)]
        kept = [(share, part) for share, part in found if part is not None]
        if not kept:
            return None
        shares, parts = zip(*kept)
        return WeightedSumLoss(list(parts), weights=list(shares), loss_weight=loss.loss_weight, dtype=loss.dtype)
    if type(loss) in CROSS_ENTROPIES:
        return DistillationKLLoss(
            activation=CROSS_ENTROPIES[type(loss)],
            from_logits=loss.get_config()['from_logits'],
            temperature=temperature,
            reduction='sum' if loss.reduction == 'sum' else 'mean',
        )
    if isinstance(loss, WeightedCrossEntropyLoss):
        config, shared = loss.get_config(), ('activation', 'from_logits', 'sync', 'loss_weight', 'reduction', 'dtype')
        return DistillationKLLoss(temperature=temperature, **{name: config[name] for name in shared})
    if not takes_soft_labels(loss):
        kind = type(loss).__name__
        logging.getLogger(__name__).warning('%s: %s takes class ids alone, and has no teacher term', owner, kind)
        return None
    return loss


def teacher_terms(
    owner: str, losses: Mapping[str, keras.losses.Loss], temperature: float
) -> dict[str, keras.losses.Loss]:
    """output -> ``teacher_term`` of each loss that has one; ValueError where none has."""
    found = {name: teacher_term(owner, loss, temperature) for name, loss in losses.items()}
    terms = {name: term for name, term in found.items() if term is not None}
    if not terms:
        raise ValueError(f'{owner}: no loss of student_loss takes soft labels; give distillation_loss one that does')
    return terms


def check_terms(owner: str, what: str, losses: Mapping[str, keras.losses.Loss], temperature: float) -> None:
    """ValueError for losses that cannot learn from probabilities at ``temperature``."""
    for part in (part for loss in losses.values() for part in parts_of(loss)):
        kind = type(part).__name__
        if not takes_soft_labels(part):
            raise ValueError(f'{owner}: {what} must take soft labels and need nothing else, {kind} does not')
        if not isinstance(part, DistillationKLLoss):
            continue
        if part.spec.teacher_from_logits:
            raise ValueError(
                f"{owner}: {what} gets the teacher's probabilities, so {kind} must have teacher_from_logits=False, got True"
            )
        if part.spec.temperature != temperature:
            raise ValueError(
                f'{owner}: {what}: {kind} must have the temperature {temperature:g} of the {owner}, '
                f'got {part.spec.temperature:g}'
            )


def activations_of(loss: keras.losses.Loss) -> set[str]:
    """What the parts of a loss make probabilities with; none of a part that does not say."""
    found = {
        'sigmoid' if isinstance(part, SIGMOID) else getattr(getattr(part, 'spec', None), 'activation', None)
        for part in parts_of(loss)
    }
    return {activation.removeprefix('log_') for activation in found if activation is not None}


def activation_of(owner: str, loss: keras.losses.Loss, channels: int) -> str:
    """'sigmoid' where the parts of a loss say so, else 'softmax'; ValueError where they differ, but for one channel."""
    found = activations_of(loss)
    if channels > 1 and len(found) > 1:
        raise ValueError(
            f'{owner}: losses of one output must agree on activation, for they get the same probabilities of the teacher, '
            f'got {" and ".join(sorted(found))}'
        )
    return 'sigmoid' if 'sigmoid' in found else 'softmax'


def ignored_by(owner: str, losses: Mapping[str, keras.losses.Loss]) -> int | None:
    """The label that the losses ignore; ValueError where they ignore different ones."""
    parts = [part for loss in losses.values() for part in parts_of(loss)]
    found = [
        part.spec.ignore_index if isinstance(part, Loss) else getattr(part, 'ignore_class', None) for part in parts
    ]
    ignored = sorted({label for label in found if label is not None})
    if len(ignored) > 1:
        raise ValueError(
            f'{owner}: student_loss ignores {" and ".join(map(str, ignored))}; ignore_class must say which the teacher does'
        )
    return ignored[0] if ignored else None


def softened(owner: str, z: Tensor, temperature: float, from_logits: bool, activation: str) -> Tensor:
    """A teacher's probabilities at a temperature, float32 or wider and without gradient; NaN stays NaN.

    ValueError for what are no probabilities where ``from_logits`` says so and values are seen, elsewhere NaN.
    """
    z = values.as_numbers(ops.stop_gradient(z))
    one = z.shape[-1] == 1 or activation == 'sigmoid'
    if not from_logits:
        z = as_probabilities(owner, z)
        if temperature == 1:
            return z
        z = ops.log(z) - ops.log1p(-z) if one else ops.log(z)
    return ops.sigmoid(z / temperature) if one else ops.softmax(z / temperature, axis=-1)


def as_probabilities(owner: str, z: Tensor) -> Tensor:
    """A teacher's outputs with NaN for what is no probability; ValueError where that is seen."""
    wrong = values.negate(ops.logical_or(ops.abs(z - 0.5) <= 0.5 + values.TOLERANCE, ops.isnan(z)))
    return values.nan_where(z, values.look(functools.partial(check_probabilities, owner), wrong, z))


def check_logits(owner: str, name: str, z: Tensor) -> None:
    """ValueError for a symbolic output that a softmax or a sigmoid has made."""
    layer = made_by(z)
    kind = getattr(getattr(layer, 'activation', None), '__name__', type(layer).__name__).lower()
    if kind in ('softmax', 'sigmoid'):
        raise ValueError(
            f"{owner}: teacher_from_logits must be False, for the teacher's output {name!r} comes from a {kind}, got True"
        )


def check_probabilities(owner: str, z: np.ndarray) -> None:
    """ValueError for a teacher's outputs that lie outside [0, 1]."""
    outside = z[(z < 0) | (z > 1)]
    far = outside[np.argmax(np.abs(outside - 0.5))]
    raise ValueError(
        f"{owner}: the teacher's outputs must be probabilities where teacher_from_logits=False, got {far:g}"
    )


def nan_passed_on(soft: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Soft labels without NaN, and predictions with it in its place.

    The loss is NaN, as of a student that has no number; as labels they would be refused, where these are seen, in a
    sentence about labels that nobody gave.
    """
    wrong = ops.isnan(ops.sum(soft, axis=-1, keepdims=True))
    if values.can_look(wrong) and not bool(ops.any(wrong)):
        return soft, y_pred
    even = ops.ones_like(soft) / soft.shape[-1]
    return ops.where(wrong, even, soft), y_pred * values.nan_where(ops.ones_like(y_pred), wrong)


def check_alike(owner: str, name: str, taught: Shape, own: Shape) -> None:
    """Refuses shapes of an output of teacher and student whose axes or classes differ, or sizes that cannot be aligned."""
    taught, own = tuple(taught), tuple(own)
    if len(taught) != len(own) or taught[-1] != own[-1]:
        what = 'classes' if len(taught) == len(own) else 'axes'
        raise ValueError(
            f'{owner}: output {name!r} of teacher and student must have as many {what}, got shapes '
            f'{shapes.as_text(taught)} and {shapes.as_text(own)}'
        )
    if len(own) != 4 and not shapes.may_be_equal(taught[1:-1], own[1:-1]):
        raise ValueError(
            f'{owner}: output {name!r} of teacher and student must have one size, for only images are resized, got shapes '
            f'{shapes.as_text(taught)} and {shapes.as_text(own)}'
        )


def of_same_size(z: Tensor, like: Tensor) -> Tensor:
    """A teacher's output in the student's size (N, H, W, C): bilinear, by half pixels."""
    have = tuple(z.shape[1:-1])
    if len(have) != 2 or (have == tuple(like.shape[1:-1]) and None not in have):
        return z
    return ops.image.resize(values.as_numbers(z), tuple(ops.shape(like)[1:-1]), 'bilinear', data_format='channels_last')


def pixel_weights(
    owner: str,
    y: Tensor | None,
    y_pred: Tensor,
    sample_weight: Tensor | None,
    ignore_class: int | None,
    activation: str,
) -> Tensor:
    """(N, *space) float32 weights, 0 where the labels ignore a pixel: ``ignore_class``, or soft labels of no class.

    y (N, *space), (N, *space, 1) or (N, *space, C); sample_weight (N,), (N, *space) or (N, *space, 1).
    """
    like, weight = tuple(y_pred.shape), ops.ones_like(y_pred[..., 0], dtype='float32')
    if y is not None:
        counts = counted(owner, values.to_tensor(y), like, ignore_class, activation)
        weight = weight if counts is None else ops.cast(counts, 'float32')
    if sample_weight is None:
        return weight
    given = ops.cast(values.to_tensor(sample_weight), 'float32')
    kind = shapes.weight_kind(owner, like, tuple(given.shape), 'last')
    if kind == 'image':
        given = ops.reshape(given, (-1, *[1] * (len(like) - 2)))
    elif kind == 'pixel1':
        given = ops.squeeze(given, axis=-1)
    return ops.where(weight == 0, ops.zeros_like(weight), weight * given)


def counted(owner: str, y: Tensor, like: Shape, ignore_class: int | None, activation: str) -> Tensor | None:
    """(N, *space) which pixels labels do not ignore; None where they ignore none."""
    kind = shapes.label_kind(owner, like, tuple(y.shape), 'last')
    if kind == 'channels' and like[-1] != 1:
        return ops.sum(ops.cast(y, 'float32'), axis=-1) != 0 if activation == 'softmax' else None
    if ignore_class is None:
        return None
    ids = y if kind == 'ids' else ops.squeeze(y, axis=-1)
    return ops.logical_not(values.equals(values.as_numbers(ids), ignore_class))
