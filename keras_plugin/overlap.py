"""tp, fp, fn of each (image, class) cell in Keras, in the two flavours of the catalogue."""

from keras import backend, ops

from keras_plugin.hard_overlap import hard_overlap


def product_overlap(batch, norm=1):
    """tp = sum p*y, fp = |p| - tp, fn = |y| - tp, with p and y to the power ``norm`` in |.|; each (N, C)."""
    sums = of_class_ids(batch) if norm == 1 else None
    if sums is not None:
        return sums
    p, y = batch.prob, batch.target
    both = p * y  # subtracted before the sum, so that few wrong pixels among many survive in float32
    return batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both)


def exact_overlap(batch):
    """The product statistics, each accurate where it is small: for losses that are steep where everything is right."""
    sums = of_class_ids(batch)
    if sums is not None:
        return sums
    (p, q), y = batch.prob_both, batch.target
    return batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y)


def metric_overlap(batch, norm=1):
    """tp = (|p| + |y| - |p - y|) / 2, fp = |p| - tp, fn = |y| - tp; each (N, C); at p = y the gradient splits evenly."""
    sums = of_class_ids(batch, split_ties=True) if norm == 1 else None
    if sums is not None:
        return sums
    p, y = batch.prob, batch.target
    if norm == 1:
        both = minimum(p, y)
        return batch.sum(both), batch.sum(p - both), batch.sum(y - both)
    if norm == 2:
        both = p * y
    else:
        both = (p**norm + y**norm - ops.abs(p - y) ** norm) / 2
    return batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both)


def of_class_ids(batch, **options):
    """The statistics, all flavours in one, without a one-hot array, or None where labels or classes do not allow it."""
    sums = hard_overlap(batch, **options)
    if sums is None:
        return None
    batch.size = ops.stop_gradient(sums[0] + sums[2])
    return sums[0], sums[1], sums[2]


def minimum(p, y):
    """The smaller one, with the gradient split evenly where they are equal (tf.minimum gives it all to the first)."""
    return ops.where(p < y, p, ops.where(p > y, y, (p + y) / 2))


def score(tp, fp, fn, alpha, beta, smooth):
    """(tp + smooth) / (tp + alpha*fp + beta*fn + smooth); 0/0, no mass at all, is 1."""
    return ratio(tp + smooth, tp + alpha * fp + beta * fn + smooth)


def ratio(top, bottom, empty=1.0):
    """top / bottom, and ``empty`` with zero gradient where bottom is 0, unless top is no number."""
    some = ops.logical_or(bottom != 0, top != top)
    return ops.where(some, top / ops.where(some, bottom, ops.ones_like(bottom)), empty * ops.ones_like(top))


def largest(x, axis, keepdims=False, least=0.0):
    """Maximum over ``axis`` of numbers >= ``least``; XLA drops NaN. Also of no images (a replica may get none) or pixels."""
    if 0 in x.shape:  # which ``ops.max`` refuses
        return ops.sum(x, axis=axis, keepdims=keepdims)
    if backend.backend() == 'torch':  # where ``initial`` would be a tensor on the CPU, wherever x is
        return x.amax(axis, keepdim=keepdims)
    return ops.max(x, axis=axis, keepdims=keepdims, initial=least)


def floor(x, low):
    """max(x, low) that stays in x's own dtype (``ops.maximum`` rounds float64 to float32 on the PyTorch backend)."""
    return ops.where(x <= low, low * ops.ones_like(x), x)


def clip(x, low, high):
    """x between two numbers, in x's own dtype, with zero gradient outside."""
    x = floor(x, low)
    return ops.where(x >= high, high * ops.ones_like(x), x)


def part(weight, x):
    """weight * x for a number; 0 leaves x out, infinite or not, which another part tells of NaN."""
    return weight * x if weight > 0 else 0


def power(x, exponent):
    """x ** exponent for x >= 0, with zero gradient at 0, where a power below 1 is infinitely steep."""
    none = x <= 0
    return ops.where(none, ops.zeros_like(x), ops.where(none, ops.ones_like(x), x) ** exponent)


def running_sum(x):
    """Sums along axis 1 up to each entry, in x's own dtype (``ops.cumsum`` rounds float64 on the PyTorch backend)."""
    return x.cumsum(1) if backend.backend() == 'torch' else ops.cumsum(x, axis=1)
