"""Maps of ids -> maps of the masks' boundaries, in keras.ops."""

import math

from keras import ops

from shared_spec import shapes

OUTSIDE = -1  # beyond the image, or ignored


def boundary_maps(spec, owner, maps):
    """(target, pred) of ``LabelMaps``, (N, P): the id on the boundary of its mask, C elsewhere.

    A pixel survives d erosions of its mask by the 3x3 square exactly where all labels of the window of d pixels to each
    side are the same; what lies beyond the image, and what is ignored, is another label.
    """
    c, space = spec.num_classes, maps.space
    if len(space) not in (2, 3):
        raise ValueError(f'{owner}: boundaries need 2 or 3 spatial axes, got {shapes.text(space)}')
    if None in space:
        raise ValueError(
            f'{owner}: the size of the images must be known, for it sets the width of the boundary, '
            f'got {shapes.text(space)}'
        )
    width = max(1, round(spec.ratio * math.sqrt(sum(size * size for size in space))))

    def boundary(ids):
        around = ops.reshape(ops.where(maps.valid, ids, OUTSIDE), (-1, *space))
        mixed = ops.reshape(mixed_window(around, width), ops.shape(ids))
        return ops.where(mixed, ids, c)

    return boundary(maps.target), boundary(maps.pred)


def mixed_window(ids, width):
    """bool (N, *space): whether the window of ``width`` pixels to each side holds different ids."""
    axes = range(1, len(ids.shape))
    smallest = largest = ops.pad(ids, [(0, 0), *((width, width) for _ in axes)], constant_values=OUTSIDE)
    for axis in axes:
        smallest = running(ops.minimum, smallest, 2 * width + 1, axis)
        largest = running(ops.maximum, largest, 2 * width + 1, axis)
    return smallest != largest


def running(extreme, x, length, axis):
    """The minimum or maximum of every ``length`` neighbours along an axis, by doubling: log2(length) steps."""
    done = 1
    while done < length:
        step = min(done, length - done)
        head, tail = ([slice(None)] * len(x.shape) for _ in range(2))
        head[axis], tail[axis] = slice(None, -step), slice(step, None)
        x = extreme(x[tuple(head)], x[tuple(tail)])
        done += step
    return x
