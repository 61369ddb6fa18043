"""What the Triton kernels of the overlap statistics do with the pixels of a tile (CHUNK classes x PIXELS).

Two ways to the same numbers, neither of which subtracts what is nearly equal. Class ids that fit (ALONE): the true class
is taken out, and 1 - p of it is the sum of the others. All else: 1 - p of the largest logit is the sum of the others.
"""

# mypy: ignore-errors
# Triton compiles these functions, in which a tuple grows in a loop and annotations say what is a constant

import triton
import triton.language as tl


@triton.jit
def position(blocks, tiles, CLASSES: tl.constexpr):
    """(image, block of pixels, first class) of this program."""
    index = tl.program_id(0)
    return (index // tiles // blocks).to(tl.int64), index // tiles % blocks, (index % tiles) * CLASSES


@triton.jit
def read_weight(weight, x, pixels, stride, WEIGHTED: tl.constexpr, REAL: tl.constexpr):
    """(PIXELS,) weights, and which pixels count."""
    w = tl.load(weight + x * stride, mask=x < pixels, other=0).to(REAL) if WEIGHTED else (x < pixels).to(REAL)
    return w, w != 0


@triton.jit
def nan_at_no_class(w, counts, ids):
    """(PIXELS,) the weights, NaN where a pixel that counts is of no class."""
    return tl.where(counts & (ids < 0), float('nan'), w)


@triton.jit
def read_scores(pred, c, x, classes, pixels, counts, sc, sx, SOFTMAX: tl.constexpr, REAL: tl.constexpr):
    """(CHUNK, PIXELS) logits or probabilities, 0 where nothing counts; softmax gives no share to rows past the last class.

    +inf is no number. Whole pixels of -inf are none by their softmax, and of probabilities ``probability`` says so.
    """
    inside = (c < classes)[:, None] & (x < pixels)[None, :]
    z = tl.load(
        pred + c.to(tl.int64)[:, None] * sc + x[None, :] * sx, mask=inside, other=float('-inf') if SOFTMAX else 0.0
    )
    z = z.to(REAL)
    return tl.where(counts[None, :], tl.where(z < float('inf'), z, float('nan')), 0.0)


@triton.jit
def read_ids(target, x, classes, pixels, stride):
    """(PIXELS,) int32 class ids, -1 where there is no such class."""
    ids = tl.load(target + x * stride, mask=x < pixels, other=0)
    return tl.where((ids >= 0) & (ids < classes), ids.to(tl.int32), -1)


@triton.jit
def read_labels(target, ids, c, x, classes, pixels, counts, sc, sx, HARD: tl.constexpr, REAL: tl.constexpr):
    """(CHUNK, PIXELS) labels."""
    if HARD:
        return (c[:, None] == ids[None, :]).to(REAL)
    inside = (c < classes)[:, None] & (x < pixels)[None, :]
    y = tl.load(target + c.to(tl.int64)[:, None] * sc + x[None, :] * sx, mask=inside, other=0.0).to(REAL)
    return tl.where(counts[None, :], probability(y), 0.0)


@triton.jit
def probability(p):
    """p, NaN outside [0, 1] by more than rounding, 2^-7."""
    return tl.where((p >= -0.0078125) & (p <= 1.0078125), p, float('nan'))


@triton.jit
def largest_of(zs, CHUNKS: tl.constexpr):
    """(PIXELS,) the largest logit."""
    largest = zs[0]
    for k in tl.static_range(1, CHUNKS):
        largest = tl.maximum(largest, zs[k])
    return tl.max(largest, 0)


@triton.jit
def normaliser(zs, CHUNKS: tl.constexpr):
    """(PIXELS,) largest logit, how many classes have it, and the sum of exp(z - largest) of all others."""
    largest = largest_of(zs, CHUNKS)
    ties = tl.zeros_like(zs[0])
    rest = tl.zeros_like(zs[0])
    for k in tl.static_range(CHUNKS):
        top = zs[k] == largest[None, :]
        ties += top.to(ties.dtype)
        rest += tl.where(top, 0.0, tl.exp(zs[k] - largest[None, :]))
    return largest, tl.sum(ties, 0), tl.sum(rest, 0)


@triton.jit
def inverse_of(x):
    """1 / x, rounded as IEEE says, so that equal logits of k classes give the 1 / k that everyone else gets."""
    return tl.div_rn(1.0, x) if x.dtype == tl.float32 else 1.0 / x


@triton.jit
def sigmoid(z):
    """p and 1 - p, each accurate where it is small."""
    small = tl.exp(-tl.abs(z))
    large = 1 / (1 + small)
    small = small * large
    return tl.where(z < 0, small, large), tl.where(z < 0, large, small)


@triton.jit
def softmax(z, largest, ties, rest):
    """p, 1 - p and which classes have the largest p, whose 1 - p is the sum of the others'."""
    inverse = inverse_of(rest + ties)[None, :]
    top = z == largest[None, :]
    p = tl.exp(z - largest[None, :]) * inverse
    return p, tl.where(top, (rest + (ties - 1))[None, :] * inverse, 1 - p), top


@triton.jit
def without_true(zs, ids, first, c, CHUNKS: tl.constexpr):
    """exp(z - largest), 0 at the true class: the tiles, and (PIXELS,) their sum and what stood there."""
    largest = largest_of(zs, CHUNKS)
    at_true = tl.zeros_like(zs[0])
    rest = tl.zeros_like(zs[0])
    others = ()
    for k in tl.static_range(CHUNKS):
        e = tl.exp(zs[k] - largest[None, :])
        true = (first + k * zs[0].shape[0] + c)[:, None] == ids[None, :]
        at_true += tl.where(true, e, 0.0)
        e = tl.where(true, 0.0, e)
        rest += e
        others = others + (e,)
    return others, tl.sum(rest, 0), tl.sum(at_true, 0)


@triton.jit
def label_minus_prob(p, q, y):
    """y - p, from 1 - p where p is near 1."""
    return tl.where(p > 0.5, q - (1 - y), y - p)


@triton.jit
def terms(p, q, y, FLAVOUR: tl.constexpr):
    """What a pixel of weight 1 adds to tp, fp and fn; no difference is taken of numbers that are near each other."""
    if FLAVOUR == 'product':
        return p * y, p * (1 - y), q * y
    d = label_minus_prob(p, q, y)
    if FLAVOUR == 'metric':
        t = tl.minimum(p, y, propagate_nan=tl.PropagateNan.ALL)
        f = tl.maximum(-d, 0.0, propagate_nan=tl.PropagateNan.ALL)
        m = tl.maximum(d, 0.0, propagate_nan=tl.PropagateNan.ALL)
    elif FLAVOUR == 'squared':
        t, f, m = p * y, -d * p, d * y
    else:
        t, f, m = d * d * y, d * d * (1 - y), y
    return t, f, m


@triton.jit
def slopes(p, q, y, a, b, FLAVOUR: tl.constexpr):
    """The gradient with respect to p without the pixel's weight; a, b: as ``read_gradients`` gives them."""
    a = a[:, None]
    b = b[:, None]
    if FLAVOUR == 'metric':
        d = label_minus_prob(p, q, y)
        y = tl.where(d > 0, 1.0, tl.where(d == 0, 0.5, 0.0)).to(p.dtype)  # the slope of min(p, y)
    g = a * (1 - y) + b * y
    if FLAVOUR == 'squared':
        g += a * (2 * p - 1)
    elif FLAVOUR == 'errors':
        g *= -2 * label_minus_prob(p, q, y)
    return g


@triton.jit
def read_gradients(grads, n, c, images, classes, FLAVOUR: tl.constexpr, REAL: tl.constexpr):
    """What p gains off and at the true class: the gradient of fp, and of tp less fn; grads (3, N, C) of tp, fp, fn."""
    at = grads + n * classes + c
    step = images.to(tl.int64) * classes
    known = (c >= 0) & (c < classes)
    tp, fp = tl.load(at, mask=known, other=0.0), tl.load(at + step, mask=known, other=0.0)
    if FLAVOUR != 'errors':  # in which fn has no p
        tp -= tl.load(at + 2 * step, mask=known, other=0.0)
    return fp.to(REAL), tp.to(REAL)


@triton.jit
def read_common(common, n, x, pixels):
    """(PIXELS,) largest, ties and rest from what ``normalise`` wrote; 1 where there is no pixel."""
    at = common + n * 3 * pixels + x
    inside = x < pixels
    largest, ties = tl.load(at, mask=inside, other=1.0), tl.load(at + pixels, mask=inside, other=1.0)
    return largest, ties, tl.load(at + 2 * pixels, mask=inside, other=1.0)


@triton.jit
def fold(x, FOLD: tl.constexpr):
    """(CHUNK, PIXELS // FOLD): neighbours, which a thread holds, added up."""
    return tl.sum(tl.reshape(x, [x.shape[0], x.shape[1] // FOLD, FOLD]), 2) if FOLD > 1 else x
