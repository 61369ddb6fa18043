"""What the shapes of a loss's inputs mean; the same rules and the same sentences for NumPy, PyTorch and Keras.

Works on tuples of integers in which None stands for a size that is not known yet (Keras tracing a graph).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from typing import TypeVar

from shared_spec.typing import Shape

Size = TypeVar('Size')

LAYOUTS = {'first': '(N, C, *space)', 'last': '(N, *space, C)'}


def may_be_equal(shape: Shape, wanted: Shape) -> bool:
    """Whether two shapes may be the same: as many axes, and no two known sizes that differ."""
    return len(shape) == len(wanted) and all(a is None or b is None or a == b for a, b in zip(shape, wanted))


def split(pred_shape: Sequence[Size], layout: str) -> tuple[Size, Size, tuple[Size, ...]]:
    """(N, C, space) of a prediction's shape."""
    if layout == 'first':
        return pred_shape[0], pred_shape[1], tuple(pred_shape[2:])
    return pred_shape[0], pred_shape[-1], tuple(pred_shape[1:-1])


def join(n: Size, c: Size, space: Iterable[Size], layout: str) -> tuple[Size, ...]:
    return (n, c, *space) if layout == 'first' else (n, *space, c)


def as_text(shape: Shape) -> str:
    """A shape as messages have it, such as '(2, ?, 4)' where a size is not known."""
    return '(' + ', '.join('?' if s is None else str(s) for s in shape) + (',)' if len(shape) == 1 else ')')


def check_pred(owner: str, pred_shape: Shape, layout: str, spatial_axes: Collection[int] = (1, 2, 3)) -> None:
    """Refuses a prediction whose rank has no meaning."""
    pred_shape = tuple(pred_shape)
    if len(pred_shape) - 2 not in spatial_axes:
        axes = ' or '.join(str(a) for a in spatial_axes)
        why = ', without which it has no meaning' if len(pred_shape) == 2 and 0 not in spatial_axes else ''
        raise ValueError(
            f'{owner}: pred must be {LAYOUTS[layout]} with {axes} spatial axes{why}, got shape {as_text(pred_shape)}'
        )
    if pred_shape[1 if layout == 'first' else -1] is None:
        raise ValueError(f'{owner}: pred must have a known number of classes, got shape {as_text(pred_shape)}')


def check_known(owner: str, space: Shape) -> None:
    """Refuses images whose sizes are not known before the call."""
    if None in space:
        raise ValueError(f'{owner}: the height and width of images must be known before the call, got {as_text(space)}')


def label_kind(owner: str, pred_shape: Shape, target_shape: Shape, layout: str) -> str:
    """'ids' for (N, *space), 'ids1' for the same with a class axis of length 1, 'channels' for one map per class."""
    n, c, space = split(tuple(pred_shape), layout)
    target_shape = tuple(target_shape)
    if may_be_equal(target_shape, (n, *space)):
        return 'ids'
    if may_be_equal(target_shape, join(n, 1, space, layout)):
        return 'ids1'
    if may_be_equal(target_shape, join(n, c, space, layout)):
        return 'channels'
    label_layout = LAYOUTS[layout].replace(', C', '')
    if len(target_shape) == len(pred_shape):
        wanted, form = join(n, c, space, layout), LAYOUTS[layout]
    else:
        wanted, form = (n, *space), label_layout
    raise ValueError(
        f'{owner}: target must be {form} = {as_text(wanted)} to match pred {LAYOUTS[layout]} = {as_text(pred_shape)}, '
        f'got {as_text(target_shape)}'
    )


def weight_kind(owner: str, pred_shape: Shape, weight_shape: Shape, layout: str) -> str:
    """'pixel' for (N, *space), 'pixel1' for the same with a class axis of length 1, 'image' for (N,).

    Without spatial axes all are weights of images: (N,) or (N, 1).
    """
    n, _, space = split(tuple(pred_shape), layout)
    weight_shape = tuple(weight_shape)
    if not space and any(may_be_equal(weight_shape, shape) for shape in ((n,), (n, 1))):
        return 'image'
    if may_be_equal(weight_shape, (n, *space)):
        return 'pixel'
    if may_be_equal(weight_shape, (n,)):
        return 'image'
    if may_be_equal(weight_shape, join(n, 1, space, layout)):
        return 'pixel1'
    raise ValueError(
        f'{owner}: weight must be one number per pixel {as_text((n, *space))} or per image {as_text((n,))}, '
        f'got shape {as_text(weight_shape)}'
    )


def check_ignore(owner: str, constructor: int | None, call: int | None, num_classes: int) -> tuple[int, ...]:
    """The ignore labels of one call: the constructor's and the call's, each None or an int.

    A value that is also a class is accepted from the constructor (the user asked for it), refused from the call
    (a head passes its own there, and would silently drop a class).
    """
    if call is not None and call != constructor and 0 <= call < max(num_classes, 2):
        raise ValueError(
            f'{owner}: ignore_index={call} given at the call is one of the {num_classes} classes; '
            f'construct the loss with ignore_index={call} if that class is meant to be ignored'
        )
    return tuple(dict.fromkeys(i for i in (constructor, call) if i is not None))


def check_class_weight(owner: str, class_weight: Sized | None, allowed: Collection[int]) -> None:
    """Refuses a class weight list whose length is none of ``allowed``."""
    if class_weight is not None and len(class_weight) not in allowed:
        need = ' or '.join(str(a) for a in dict.fromkeys(allowed))
        raise ValueError(f'{owner}: class_weight must have {need} entries, one for each class, got {len(class_weight)}')


def channel_indices(owner: str, classes: str | Sequence[int], num_classes: int) -> list[int]:
    """The channels that a list of class ids or a word ('all', 'present', ...: every channel) names.

    One channel is the foreground, class 1 of label maps; as a channel it is also 0. Refuses classes that pred lacks.
    """
    if isinstance(classes, str):
        return list(range(num_classes))
    if max(classes) >= max(num_classes, 2):
        raise ValueError(f'{owner}: classes must be below the {num_classes} channels of pred, got {max(classes)}')
    return [0] if num_classes == 1 else list(classes)


def check_hard(
    owner: str, labels: Collection[str], kind: str, is_float: bool, num_classes: int, dtype: object, shape: Shape
) -> None:
    """Refuses soft labels where a loss is defined for class ids alone; an array of integers may be one-hot."""
    if 'soft' not in labels and is_float and (kind == 'channels' or num_classes == 1):
        raise ValueError(
            f'{owner}: takes hard labels alone, class ids or a one-hot array of integers, got {dtype} labels of shape '
            f'{as_text(shape)}'
        )


def check_channels(
    owner: str, channels: Sequence[str], num_classes: int, remedies: Mapping[str, str] | None = None
) -> None:
    """Refuses a number of channels for which a loss has no definition; a host's remedy for 'one' and 'many' follows."""
    if ('one' if num_classes == 1 else 'many') not in channels:
        need = 'one channel' if channels == ('one',) else 'two channels or more'
        remedy = f'; {remedies[channels[0]]}' if remedies else ''
        raise ValueError(f'{owner}: pred must have {need}, got {num_classes}{remedy}')
