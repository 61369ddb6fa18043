"""Sums over the replicas of a tf.distribute strategy that keep their gradients; JAX needs nothing of this.

Under a strategy TensorFlow adds the replicas' gradients. Each replica differentiates the same loss of the summed
statistics, and the gradient of an all-reduce is again an all-reduce, so the loss is divided by the number of replicas:
the sum is then exactly the gradient of one device on the whole batch.
"""

from keras import backend, ops


def _replica_context():
    """TensorFlow's replica context where several replicas train together, else None."""
    if backend.backend() != 'tensorflow':
        return None
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return None
    return tf.distribute.get_replica_context()


def sum_over_replicas(parts, sync):
    """``parts`` (name -> tensor) added over the replicas in one all-reduce of one vector; unchanged for one device."""
    context = _replica_context() if sync else None
    if context is None:
        return parts
    vector = context.all_reduce('sum', ops.concatenate([ops.reshape(x, (-1,)) for x in parts.values()]))
    pieces, start = {}, 0
    for name, x in parts.items():
        size = 1
        for length in x.shape:
            size *= length
        pieces[name] = ops.reshape(vector[start : start + size], x.shape)
        start += size
    return pieces


def all_replicas(rows, sync):
    """(rows, own): each of ``rows`` (K, P) with the pixels of all replicas, and what cuts this replica's out again.

    Without a gradient: what is gathered orders and counts.
    """
    context = _replica_context() if sync else None
    if context is None:
        return rows, lambda x: x
    import tensorflow as tf

    pixels = tf.shape(rows[0])[1]
    sizes = context.all_gather(pixels[None], axis=0)
    start = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
    rows = [tf.transpose(context.all_gather(tf.transpose(x), axis=0)) for x in rows]
    return rows, lambda x: x[:, start : start + pixels]


def scale_for_replicas(loss):
    """The loss divided by the number of replicas, as Keras does for its own vector losses."""
    context = _replica_context()
    return loss if context is None else loss / context.num_replicas_in_sync
