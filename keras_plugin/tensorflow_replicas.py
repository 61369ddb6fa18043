"""The replicas of a tf.distribute strategy.

TensorFlow adds the replicas' gradients. Each replica differentiates the same loss of the summed statistics, and the
gradient of an all-reduce is again an all-reduce, so the loss is divided by the number of replicas: the sum is then
exactly the gradient of one device on the whole batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

COMPILED = (
    'TensorFlow cannot compile a step that several replicas share: compile the model with jit_compile=False, '
    'or leave it at "auto", got jit_compile=True under {strategy}'
)
WITHOUT_STEP = (
    'the workers of {strategy} have no step in common, so there is no global batch for sync=True; '
    "sync=False takes the loss of each worker's own batch"
)


def replicas(sync: bool) -> 'Replicas | None':
    """The ``Replicas`` of this step, or None where there is one or none. ValueError where they cannot be added up."""
    strategy = tf.distribute.get_strategy()
    name = type(strategy).__name__
    if sync and 'ParameterServer' in name:
        raise ValueError(WITHOUT_STEP.format(strategy=name))
    context = tf.distribute.get_replica_context()
    if strategy.num_replicas_in_sync == 1 or context is None:
        return None
    if in_xla() and not isinstance(strategy, tf.distribute.TPUStrategy):
        raise ValueError(COMPILED.format(strategy=name))
    return Replicas(context)


def in_xla() -> bool:
    """Whether what is traced now will be compiled with ``jit_compile=True``; False where TensorFlow does not tell."""
    try:
        from tensorflow.python.ops import control_flow_util
    except ImportError:
        return False
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


class Replicas:
    """What a replica asks of the others."""

    def __init__(self, context: tf.distribute.ReplicaContext) -> None:
        self.context, self.number = context, context.num_replicas_in_sync
        self.rank = context.replica_id_in_sync_group

    def sum(self, vector: tf.Tensor) -> tf.Tensor:
        return self.context.all_reduce('sum', vector)

    def gather(self, rows: Sequence[tf.Tensor]) -> tuple[Sequence[tf.Tensor], Callable[[tf.Tensor], tf.Tensor]]:
        """See ``typing.Partners``."""
        pixels = tf.shape(rows[0])[1]
        sizes = self.context.all_gather(pixels[None], axis=0)
        start = tf.reduce_sum(sizes[: self.context.replica_id_in_sync_group])
        rows = [tf.transpose(self.context.all_gather(tf.transpose(x), axis=0)) for x in rows]
        return rows, lambda x: x[:, start : start + pixels]


def change_once(pairs: Sequence[tuple[Any, Any]], change: Callable[[Any, Any], tf.Tensor]) -> None:
    """Assigns ``change(variable, other)`` to each variable of the pairs, on every replica its own copy."""

    def of_all(strategy: tf.distribute.Strategy) -> None:
        for variable, other in pairs:
            strategy.extended.update(
                variable, lambda own, theirs: own.assign(change(own, theirs)), args=(other,), group=False
            )

    tf.distribute.get_replica_context().merge_call(of_all)
