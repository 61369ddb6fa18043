"""Label smoothing everywhere, and at the boundaries between classes."""

from keras import ops

from keras_plugin.soft_labels.ids import class_ids, float_dtype, is_class
from keras_plugin.typing import Tensor
from keras_plugin.values import nan_where
from shared_spec.soft_label_arguments import check_parameters, check_window


def label_smoothing(
    target: Tensor, epsilon: float, *, num_classes: int, ignore_class: int | None = None, dtype: str = 'float32'
) -> Tensor:
    """(1 - epsilon) * one-hot + epsilon / C at every pixel (Szegedy 2016): epsilon goes to all classes, the own too."""
    owner = 'label_smoothing'
    epsilon, num_classes, ignore_class = check_parameters(
        owner, epsilon=epsilon, num_classes=num_classes, ignore_class=ignore_class
    )
    dtype = float_dtype(owner, dtype)
    ids, valid, wrong = class_ids(owner, target, num_classes, ignore_class)
    return smoothed(ids, valid, wrong, valid, epsilon, num_classes, dtype)


def boundary_label_smoothing(
    target: Tensor,
    epsilon: float = 0.5,
    window: int = 3,
    *,
    num_classes: int,
    ignore_class: int | None = None,
    dtype: str = 'float32',
) -> Tensor:
    """Label smoothing of the boundary pixels, one-hot elsewhere (boundary label smoothing of JDTLosses).

    A boundary pixel sees another class in the square ``window`` around it (an odd number of pixels, cut at the image's
    border), and no ignored pixel; with window 1 there is none. The first axis of ``target`` is the batch: in a tf.data
    pipeline map after ``batch``.
    """
    owner = 'boundary_label_smoothing'
    window = check_window(owner, window)
    epsilon, num_classes, ignore_class = check_parameters(
        owner, epsilon=epsilon, num_classes=num_classes, ignore_class=ignore_class
    )
    dtype = float_dtype(owner, dtype)
    ids, valid, wrong = class_ids(owner, target, num_classes, ignore_class)
    return smoothed(ids, valid, wrong, boundary(ids, valid, num_classes, window), epsilon, num_classes, dtype)


def smoothed(
    ids: Tensor, valid: Tensor, wrong: Tensor, where: Tensor, epsilon: float, num_classes: int, dtype: str
) -> Tensor:
    """(N, *space, C) one-hot labels, smoothed ``where`` (valid pixels only), 0 where not ``valid`` and NaN if ``wrong``."""
    others = ops.cast(where, dtype) * (epsilon / num_classes)
    own = ops.cast(valid, dtype) - ops.cast(where, dtype) * (epsilon - epsilon / num_classes)
    own, others = nan_where(own, wrong), nan_where(others, wrong)
    return ops.where(is_class(ids, num_classes), own[..., None], others[..., None])


def boundary(ids: Tensor, valid: Tensor, num_classes: int, window: int) -> Tensor:
    """(N, *space) whether a pixel's window has more than one class and no ignored pixel."""
    # what is ignored, or no class, is above all classes
    seen = ops.cast(ops.where(valid, ids, num_classes * ops.ones_like(ids)), 'float32')
    largest, smallest = window_maximum(seen, window), -window_maximum(-seen, window)
    return ops.logical_and(largest != smallest, largest < num_classes)


def window_maximum(x: Tensor, window: int) -> Tensor:
    """(N, *space) the largest value in the window around each pixel, one axis after the other."""
    space = tuple(x.shape[1:])
    x = x[..., None]
    for axis, size in enumerate(space):
        kernel = [1] * len(space)
        kernel[axis] = window if size is None else min(window, max(2 * size - 1, 1))  # no further than the image
        x = ops.max_pool(x, tuple(kernel), strides=1, padding='same', data_format='channels_last')
    return x[..., 0]
