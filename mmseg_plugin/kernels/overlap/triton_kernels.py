"""Triton kernels of the overlap statistics and their gradient; ``triton_launch`` launches them.

A program sees CHUNKS tiles of CHUNK classes x PIXELS of one image at a time, all of them in registers: a tuple of small
tiles wastes fewer lanes on classes that do not exist than one tile, whose sides are powers of 2. Where all classes fit
(FIT), softmax happens there and each kernel reads the logits once. Where they do not, ``normalise`` and ``share`` write
what a pixel's classes have in common to small tensors first. REAL is the dtype of the arithmetic: float64 for float64,
else float32.
"""

# mypy: ignore-errors
# Triton compiles these functions, in which a tuple grows in a loop and annotations say what is a constant

import triton
import triton.language as tl

from mmseg_plugin.kernels.overlap.triton_pixels import (
    fold,
    inverse_of,
    nan_at_no_class,
    normaliser,
    position,
    probability,
    read_common,
    read_gradients,
    read_ids,
    read_labels,
    read_scores,
    read_weight,
    sigmoid,
    slopes,
    softmax,
    terms,
    without_true,
)


@triton.jit(do_not_specialize=['blocks', 'steps', 'images'])
def sums(
    pred, target, weight, common, out, images, classes, pixels, blocks, tiles, steps,
    pn, pc, px, tn, tc, tx, wn, wx,
    SOFTMAX: tl.constexpr, SIGMOID: tl.constexpr, FLAVOUR: tl.constexpr, HARD: tl.constexpr, WEIGHTED: tl.constexpr,
    FIT: tl.constexpr, ALONE: tl.constexpr, REAL: tl.constexpr,
    CHUNKS: tl.constexpr, CHUNK: tl.constexpr, PIXELS: tl.constexpr, FOLD: tl.constexpr,
):  # fmt: skip
    """out (blocks, 3, N, C): tp, fp, fn of ``steps`` tiles of pixels."""
    n, block, first = position(blocks, tiles, CHUNKS * CHUNK)
    c = tl.arange(0, CHUNK)
    tp = ()
    for _ in tl.static_range(CHUNKS):
        tp = tp + (tl.zeros([CHUNK, PIXELS // FOLD], REAL),)
    fp = tp
    fn = tp
    for step in range(steps):
        x = (block.to(tl.int64) * steps + step) * PIXELS + tl.arange(0, PIXELS)
        w, counts = read_weight(weight + n * wn, x, pixels, wx, WEIGHTED, REAL)
        ids = read_ids(target + n * tn, x, classes, pixels, tx) if HARD else 0
        w = nan_at_no_class(w, counts, ids) if HARD else w
        zs = ()
        for k in tl.static_range(CHUNKS):
            z = read_scores(pred + n * pn, first + k * CHUNK + c, x, classes, pixels, counts, pc, px, SOFTMAX, REAL)
            zs = zs + (z,)
        more_tp = ()
        more_fp = ()
        more_fn = ()
        if ALONE:
            others, rest, at_true = without_true(zs, ids, first, c, CHUNKS)
            scale = w / (rest + at_true)
            rest, at_true = rest * scale, at_true * scale
            for k in tl.static_range(CHUNKS):
                true = (first + k * CHUNK + c)[:, None] == ids[None, :]
                more_tp = more_tp + (tp[k] + fold(tl.where(true, at_true[None, :], 0.0), FOLD),)
                more_fp = more_fp + (fp[k] + fold(others[k] * scale[None, :], FOLD),)
                more_fn = more_fn + (fn[k] + fold(tl.where(true, rest[None, :], 0.0), FOLD),)
        else:
            if SOFTMAX and FIT:
                largest, ties, rest = normaliser(zs, CHUNKS)
            elif SOFTMAX:
                largest, ties, rest = read_common(common, n, x, pixels)
            for k in tl.static_range(CHUNKS):
                z = zs[k]
                y = read_labels(
                    target + n * tn, ids, first + k * CHUNK + c, x, classes, pixels, counts, tc, tx, HARD, REAL
                )
                if SOFTMAX:
                    p, q, top = softmax(z, largest, ties, rest)
                elif SIGMOID:
                    p, q = sigmoid(z)
                else:
                    p = probability(z)
                    q = 1 - p
                t, f, m = terms(p, q, y, FLAVOUR)
                more_tp = more_tp + (tp[k] + fold(w[None, :] * t, FOLD),)
                more_fp = more_fp + (fp[k] + fold(w[None, :] * f, FOLD),)
                more_fn = more_fn + (fn[k] + fold(w[None, :] * m, FOLD),)
        tp = more_tp
        fp = more_fp
        fn = more_fn
    cells = images.to(tl.int64) * classes
    for k in tl.static_range(CHUNKS):
        known = first + k * CHUNK + c < classes
        at = out + block * 3 * cells + n * classes + first + k * CHUNK + c
        tl.store(at, tl.sum(tp[k], 1), mask=known)
        tl.store(at + cells, tl.sum(fp[k], 1), mask=known)
        tl.store(at + 2 * cells, tl.sum(fn[k], 1), mask=known)


@triton.jit(do_not_specialize=['blocks', 'steps', 'images'])
def gradient(
    pred, target, weight, common, shared, grads, out, images, classes, pixels, blocks, tiles, steps,
    pn, pc, px, tn, tc, tx, wn, wx, on, oc, ox,
    SOFTMAX: tl.constexpr, SIGMOID: tl.constexpr, FLAVOUR: tl.constexpr, HARD: tl.constexpr, WEIGHTED: tl.constexpr,
    FIT: tl.constexpr, ALONE: tl.constexpr, REAL: tl.constexpr,
    CHUNKS: tl.constexpr, CHUNK: tl.constexpr, PIXELS: tl.constexpr, FOLD: tl.constexpr,
):  # fmt: skip
    """out like pred: the gradient, 0 at ignored pixels."""
    n, block, first = position(blocks, tiles, CHUNKS * CHUNK)
    c = tl.arange(0, CHUNK)
    off = ()
    at = ()
    for k in tl.static_range(CHUNKS):
        a, b = read_gradients(grads, n, first + k * CHUNK + c, images, classes, FLAVOUR, REAL)
        off = off + (a,)
        at = at + (b,)
    for step in range(steps):
        x = (block.to(tl.int64) * steps + step) * PIXELS + tl.arange(0, PIXELS)
        w, counts = read_weight(weight + n * wn, x, pixels, wx, WEIGHTED, REAL)
        ids = read_ids(target + n * tn, x, classes, pixels, tx) if HARD else 0
        w = nan_at_no_class(w, counts, ids) if HARD else w
        zs = ()
        for k in tl.static_range(CHUNKS):
            z = read_scores(pred + n * pn, first + k * CHUNK + c, x, classes, pixels, counts, pc, px, SOFTMAX, REAL)
            zs = zs + (z,)
        gs = ()
        if ALONE:
            others, rest, at_true = without_true(zs, ids, first, c, CHUNKS)
            inverse = 1 / (rest + at_true)
            _, at_y = read_gradients(grads, n, ids, images, classes, FLAVOUR, REAL)
            r = tl.zeros_like(zs[0])
            for k in tl.static_range(CHUNKS):
                r += others[k] * off[k][:, None]
            r = tl.sum(r, 0) * inverse
            p = at_true * inverse
            g_true = w * p * (at_y * rest * inverse - r)  # p_y (b_y (1 - p_y) - r), r: the others' sum of p a
            s = r + p * at_y
            for k in tl.static_range(CHUNKS):
                true = (first + k * CHUNK + c)[:, None] == ids[None, :]
                g = others[k] * (w * inverse)[None, :] * (off[k][:, None] - s[None, :])
                gs = gs + (tl.where(true, g_true[None, :], g),)
        elif SOFTMAX:
            if FIT:
                largest, ties, rest = normaliser(zs, CHUNKS)
                tops = tl.zeros_like(zs[0])
                others = tl.zeros_like(zs[0])
            else:
                largest, ties, rest = read_common(common, n, x, pixels)
            inverse = inverse_of(rest + ties)
            ps = ()
            slope = ()
            for k in tl.static_range(CHUNKS):
                y = read_labels(
                    target + n * tn, ids, first + k * CHUNK + c, x, classes, pixels, counts, tc, tx, HARD, REAL
                )
                p, q, top = softmax(zs[k], largest, ties, rest)
                g = slopes(p, q, y, off[k], at[k], FLAVOUR)
                ps = ps + (p,)
                slope = slope + (g,)
                if FIT:
                    tops += tl.where(top, g, 0.0)
                    others += tl.where(top, 0.0, p * g)
            if FIT:
                tops = tl.sum(tops, 0)
                others = tl.sum(others, 0)
            else:
                where = shared + n * 2 * pixels + x
                tops = tl.load(where, mask=x < pixels, other=0.0)
                others = tl.load(where + pixels, mask=x < pixels, other=0.0)
            # p * (g - sum p g), in which the one largest p would cancel against itself
            one = tl.where(ties == 1, largest, float('inf'))
            g_one = rest * inverse * tops - others
            mean = inverse * tops + others
            for k in tl.static_range(CHUNKS):
                g = ps[k] * tl.where(zs[k] == one[None, :], g_one[None, :], slope[k] - mean[None, :])
                gs = gs + (w[None, :] * g,)
        else:
            for k in tl.static_range(CHUNKS):
                y = read_labels(
                    target + n * tn, ids, first + k * CHUNK + c, x, classes, pixels, counts, tc, tx, HARD, REAL
                )
                if SIGMOID:
                    p, q = sigmoid(zs[k])
                    g = p * q * slopes(p, q, y, off[k], at[k], FLAVOUR)
                else:
                    p = probability(zs[k])
                    g = slopes(p, 1 - p, y, off[k], at[k], FLAVOUR)
                gs = gs + (w[None, :] * g,)
        for k in tl.static_range(CHUNKS):
            rows = first + k * CHUNK + c
            where = out + n * on + rows.to(tl.int64)[:, None] * oc + x[None, :] * ox
            g = tl.where(counts[None, :], gs[k], 0.0).to(out.dtype.element_ty)
            tl.store(where, g, mask=(rows < classes)[:, None] & (x < pixels)[None, :])


@triton.jit(do_not_specialize=['blocks'])
def normalise(
    pred, weight, common, classes, pixels, blocks, pn, pc, px, wn, wx,
    WEIGHTED: tl.constexpr, REAL: tl.constexpr, CHUNK: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """common (N, 3, P): ``normaliser`` of every pixel, put together from tiles of classes."""
    n, block, _ = position(blocks, 1, CHUNK)
    c = tl.arange(0, CHUNK)
    x = block.to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    w, counts = read_weight(weight + n * wn, x, pixels, wx, WEIGHTED, REAL)
    largest = tl.full([PIXELS], float('-inf'), REAL)
    ties = tl.zeros([PIXELS], REAL)
    rest = tl.zeros([PIXELS], REAL)
    for first in range(0, classes, CHUNK):
        z = read_scores(pred + n * pn, first + c, x, classes, pixels, counts, pc, px, True, REAL)
        other, their_ties, their_rest = normaliser((z,), 1)
        new = tl.maximum(largest, other)
        mine, theirs = largest == new, other == new
        rest = tl.where(mine, rest, (rest + ties) * tl.exp(largest - new))
        rest += tl.where(theirs, their_rest, (their_rest + their_ties) * tl.exp(other - new))
        ties = tl.where(mine, ties, 0.0) + tl.where(theirs, their_ties, 0.0)
        largest = new
    at = common + n * 3 * pixels + x
    tl.store(at, largest, mask=x < pixels)
    tl.store(at + pixels, ties, mask=x < pixels)
    tl.store(at + 2 * pixels, rest, mask=x < pixels)


@triton.jit(do_not_specialize=['blocks', 'images'])
def share(
    pred, target, weight, common, grads, shared, images, classes, pixels, blocks,
    pn, pc, px, tn, tc, tx, wn, wx,
    FLAVOUR: tl.constexpr, HARD: tl.constexpr, WEIGHTED: tl.constexpr, REAL: tl.constexpr,
    CHUNK: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """shared (N, 2, P): the sum of the slopes of the classes with the largest p, and of p times slope of all others."""
    n, block, _ = position(blocks, 1, CHUNK)
    c = tl.arange(0, CHUNK)
    x = block.to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    w, counts = read_weight(weight + n * wn, x, pixels, wx, WEIGHTED, REAL)
    ids = read_ids(target + n * tn, x, classes, pixels, tx) if HARD else 0
    w = nan_at_no_class(w, counts, ids) if HARD else w
    largest, ties, rest = read_common(common, n, x, pixels)
    tops = tl.zeros([PIXELS], REAL)
    others = tl.zeros([PIXELS], REAL)
    for first in range(0, classes, CHUNK):
        a, b = read_gradients(grads, n, first + c, images, classes, FLAVOUR, REAL)
        z = read_scores(pred + n * pn, first + c, x, classes, pixels, counts, pc, px, True, REAL)
        y = read_labels(target + n * tn, ids, first + c, x, classes, pixels, counts, tc, tx, HARD, REAL)
        p, q, top = softmax(z, largest, ties, rest)
        g = slopes(p, q, y, a, b, FLAVOUR)
        tops += tl.sum(tl.where(top, g, 0.0), 0)
        others += tl.sum(tl.where(top, 0.0, p * g), 0)
    at = shared + n * 2 * pixels + x
    tl.store(at, tops, mask=x < pixels)
    tl.store(at + pixels, others, mask=x < pixels)
