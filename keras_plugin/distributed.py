"""The global batch of data-parallel training: who takes part in a step, and sums over them that keep their gradients.

JAX needs nothing of this: under ``keras.distribution`` one computation sees the whole batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras import backend, ops

from keras_plugin.typing import Partners, Tensor


def partners(sync: bool) -> Partners | None:
    """The replicas or ranks that train together with this one, or None where there are none to ask."""
    if not sync:
        return None
    if backend.backend() == 'torch':
        from keras_plugin import torch_ranks

        return torch_ranks.ranks()
    if backend.backend() == 'tensorflow':
        from keras_plugin import tensorflow_replicas

        return tensorflow_replicas.replicas(sync)
    return None


def sum_over_replicas(parts: dict[str, Tensor], sync: bool) -> dict[str, Tensor]:
    """``parts`` (name -> tensor) added over the replicas in one all-reduce of one vector; unchanged for one device."""
    others = partners(sync)
    if others is None:
        return parts
    vector = others.sum(ops.concatenate([ops.reshape(x, (-1,)) for x in parts.values()]))
    pieces, start = {}, 0
    for name, x in parts.items():
        size = math.prod(x.shape)
        pieces[name] = ops.reshape(vector[start : start + size], x.shape)
        start += size
    return pieces


def scale_for_replicas(loss: Tensor, reduction: str, sync: bool) -> Tensor:
    """What a replica returns so that the step's gradient is that of ``loss``, as Keras does it for its own losses.

    TensorFlow adds the replicas' gradients: means, and what all of them have summed, are divided by their number.
    """
    if backend.backend() != 'tensorflow' or reduction == 'none' or (reduction == 'sum' and not sync):
        return loss
    from keras_plugin import tensorflow_replicas

    others = tensorflow_replicas.replicas(sync)
    return loss if others is None else loss / others.number


def as_one_device_has_it(loss: Tensor) -> Tensor:
    """A replica's loss for a metric, whose replicas are averaged: without what ``scale_for_replicas`` divides by."""
    if backend.backend() != 'tensorflow':
        return loss
    import tensorflow as tf

    return loss * tf.distribute.get_strategy().num_replicas_in_sync


def change_once(pairs: Sequence[tuple[Any, Any]], change: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Gives each variable of (variable, other) ``change(variable, other)``; of replicas each its copy, once a step."""
    if partners(True) is None or backend.backend() != 'tensorflow':
        for variable, other in pairs:
            variable.assign(change(variable, other))
        return
    from keras_plugin import tensorflow_replicas

    tensorflow_replicas.change_once([(variable.value, other.value) for variable, other in pairs], change)
