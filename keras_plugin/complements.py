"""log(1 - p) of the classes that are not a pixel's own, summed: for class ids and logits under softmax.

1 - p is what all other classes have together, which matters where p is near 1, for one class at most; it is then counted
from the others' logits, so that a pixel that is as wrong as can be costs what the formula says.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from keras_plugin.arithmetic import add_in_log
from keras_plugin.hard_pixels import Split, asked_again, highest
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor


def sum_of_logs(batch: Batch) -> Tensor:
    """(N, P): the sum of log(1 - p) over the classes but the own one and class 0, the background."""
    split = Split(batch)
    summed = ops.logical_and(ops.arange(batch.channels) > 0, ops.logical_not(split.left_out))

    def logs(given: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        found = parts(given)

        def gradient(*inputs: Tensor, upstream: Tensor | None = None) -> Tensor:
            """That of given from that of the sums; PyTorch's comes as ``upstream``, behind the inputs."""
            upstream = split.counted(inputs[0] if upstream is None else upstream)
            p, near, margin, runners, gap = parts(inputs[0]) if asked_again() else found
            zero = ops.zeros_like(p)
            odds = ops.where(ops.logical_and(summed, ops.logical_not(near)), p / (1 - ops.where(near, zero, p)), zero)
            total = ops.sum(odds, axis=-1)
            top = ops.sum(ops.where(near, p, zero), axis=-1)
            # where one p is near 1: what the others have of 1 - p
            own, rest = (
                top * ops.where(top > 0, ops.sigmoid(x), ops.zeros_like(x)) for x in (margin - gap, gap - margin)
            )
            of_others = p * total[..., None] - odds + rest[..., None] * runners
            of_others = ops.where(near, p * (total[..., None] - 1), of_others)
            return split.slope(upstream * (ops.sigmoid(margin) * total + own), upstream[..., None] * of_others)

        p, near, margin, _, gap = found
        zero = ops.zeros_like(p)
        of_top = add_in_log(margin, gap) + ops.log_sigmoid(-margin)
        found_logs = ops.where(near, of_top[..., None], ops.log1p(-ops.where(near, zero, p)))
        return split.counted(ops.sum(ops.where(summed, found_logs, zero), axis=-1)), gradient

    def parts(given: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """p of the other classes, which of them are above 1/2 and summed, the margins; without that one of the others:
        what each has of them all, and the log of what they have beside that one."""
        powers, scale, margin = split(given)
        p = powers * (scale * ops.sigmoid(-margin))[..., None]
        is_top = p > 0.5
        rest = ops.where(ops.logical_or(split.left_out, is_top), -np.inf * ops.ones((), given.dtype), given)
        second = highest(rest)
        rest = ops.exp(rest - second)
        total = ops.sum(rest, axis=-1)
        gap = (second - highest(given))[..., 0] + ops.log(total) + ops.log(scale)
        runners = rest / ops.where(total == 0, ops.ones_like(total), total)[..., None]
        return p, ops.logical_and(is_top, summed), margin, runners, gap

    return ops.custom_gradient(logs)(batch.given)
