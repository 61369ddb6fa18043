"""The fused overlap statistics on the CPU: block by block, so that what lies between logits and sums stays in the cache.

Shapes: pred (N, C, P); target ids (N, P) or soft labels (N, C, P); weight None or (N, P), False or 0 where a pixel
does not count: there pred may be NaN or infinite and the target anything. Probabilities are multiplied by their
pixel's weight once; sums and gradients then need no weight, but for a division by it in sums over classes.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 2**19  # numbers of a block
FEW = 12  # classes up to which a one-hot block is faster than reading and writing single entries


class Labels(NamedTuple):
    """What a block has beside logits: y int64 ids (n, P) or dense (n, C, P), weights w, and 1 / w unless they are 0 or 1."""

    y: Tensor
    w: Tensor | None = None
    inverse: Tensor | None = None
    one_hot: bool = False  # then y is 0 at absent pixels


def forward(pred, target, weight, activation, flavour, keep=False):
    """(3, N, C) tp, fp, fn in float64, and with ``keep`` what ``gradient_`` takes: kept, true, part.

    kept: the weighted probabilities (N, C, P); where the true class is treated by itself they are 0 there and stand in
    true (N, P). part: the ``Labels`` of inputs that are a single block, for those need not be made again.
    """
    n, c, p = pred.shape
    dtype, single = work_dtype(pred.dtype), by_itself(target, activation, c, flavour)
    sums = torch.zeros((3, n, c), dtype=torch.float64)
    kept = torch.empty_like(pred, dtype=dtype) if keep else pred.new_empty(0, dtype=dtype)
    true = torch.empty((n, p) if keep and single else 0, dtype=dtype)
    for images, pixels in blocks(n, c, p):
        part = labels(target, weight, images, pixels, dtype, c, single)
        x = probabilities(pred[images, :, pixels], part.w, activation, kept[images, :, pixels] if keep else None, dtype)
        if single:
            t = take_out(x, part.y)
            block = single_sums(x, t, part.y)
            if part.w is not None and not finite(block):
                absent = part.w == 0
                x.masked_fill_(absent[:, None], 0)
                block = single_sums(x, t.masked_fill_(absent, 0), part.y)
            if keep:
                true[images, pixels] = t
        else:
            block = dense_sums(x, part, flavour)
            if part.w is not None and not finite(block):
                absent = (part.w == 0)[:, None]
                x.masked_fill_(absent, 0)
                block = dense_sums(x, part._replace(y=part.y.masked_fill(absent, 0)), flavour)
        sums[:, images] += block
    return sums, kept, true, part if keep and n * c * p <= BLOCK else None


def gradient_(kept, true, part, target, weight, grad, activation, flavour):
    """Turns ``kept`` of the forward into d loss / d pred; grad (3, N, C) is d loss / d (tp, fp, fn)."""
    n, c, p = kept.shape
    single = by_itself(target, activation, c, flavour)
    for images, pixels in blocks(n, c, p):
        part = part or labels(target, weight, images, pixels, kept.dtype, c, single)
        x, t = kept[images, :, pixels], true[images, pixels] if single else None
        block_gradient_(x, t, part, grad[:, images].to(kept.dtype), activation, flavour)
        part = None


def gradient(pred, target, weight, grad, activation, flavour):
    """d loss / d pred in pred's dtype, from probabilities that are computed again."""
    n, c, p = pred.shape
    dtype, single = work_dtype(pred.dtype), by_itself(target, activation, c, flavour)
    result = torch.empty_like(pred)
    for images, pixels in blocks(n, c, p):
        part = labels(target, weight, images, pixels, dtype, c, single)
        x = probabilities(pred[images, :, pixels], part.w, activation, None, dtype)
        block_gradient_(
            x, take_out(x, part.y) if single else None, part, grad[:, images].to(dtype), activation, flavour
        )
        result[images, :, pixels] = x
    return result


def work_dtype(dtype):
    """What probabilities are computed in: the wider of float32 and ``dtype``."""
    return torch.promote_types(dtype, torch.float32)


def by_itself(target, activation, c, flavour):
    """Whether the true class is taken out of a block: for accuracy, or with classes enough to make that faster."""
    return target.dim() == 2 and activation == 'softmax' and (c > FEW or flavour == 'exact')


def blocks(n, c, p):
    """Slices of images and of pixels: several whole images, or a part of one."""
    images, pixels = max(1, BLOCK // max(1, c * p)), max(1, BLOCK // c)
    for i in range(0, n, images):
        for a in range(0, p, pixels):
            yield slice(i, i + images), slice(a, a + pixels)


def finite(x):
    return math.isfinite(x.sum().item())


def labels(target, weight, images, pixels, dtype, c, single):
    """The ``Labels`` of a block: ids if ``single``, else dense."""
    w = inverse = None
    if weight is not None:
        w = weight[images, pixels]
        if w.dtype == torch.bool:
            w = w.view(torch.uint8).to(dtype)  # 4 times as fast as from bool
        else:
            w = w.to(dtype)
            inverse = w.reciprocal().masked_fill_(w == 0, 0)
    if target.dim() == 3:
        y = target[images, :, pixels].to(dtype)
    elif single:
        y = target[images, pixels].long()
        y = y if w is None else y.clamp(0, c - 1)
    else:
        ids, classes = target[images, None, pixels].to(dtype) + 1, torch.arange(1, c + 1, dtype=dtype)[:, None]
        if w is not None:
            ids *= (w if inverse is None else w != 0)[:, None]  # an absent pixel is of no class
        y = torch.eq(ids, classes, out=torch.empty((len(ids), c, ids.shape[2]), dtype=dtype))  # 4 times as fast as bool
    return Labels(y, w, inverse, one_hot=target.dim() == 2 and not single)


def probabilities(z, w, activation, out, dtype):
    """A block's probabilities times weight, in ``out`` or in memory of their own."""
    own = z.dtype != dtype
    z = z.to(dtype)
    if activation == 'softmax':  # in place and with the weight in its last pass: a quarter faster than torch.softmax
        x = torch.sub(z, z.amax(1, keepdim=True), out=out).exp_()
        scale = x.sum(1).reciprocal_()
        return x.mul_((scale if w is None else scale.mul_(w))[:, None])
    if activation == 'sigmoid':
        x = torch.sigmoid(z, out=out)
    elif out is None:
        x = z if own else z.clone()
    else:
        x = out.copy_(z)
    return x if w is None else x.mul_(w[:, None])


def take_out(x, y):
    """(n, P) the true class's entries of x (n, C, P), which become 0 there."""
    t = x.gather(1, y[:, None])
    x.scatter_(1, y[:, None], 0)
    return t[:, 0]


def single_sums(rest, t, y):
    """tp from the true class's p; fn from the sum of the others, which is 1 - p without the cancellation."""
    n, c, _ = rest.shape
    cell = (y if n == 1 else y + torch.arange(0, n * c, c)[:, None]).flatten()
    tp, fn = (torch.bincount(cell, v.flatten(), n * c).reshape(n, c) for v in (t, rest.sum(1)))
    return torch.stack([tp, rest.sum(2).double(), fn])


def dense_sums(x, part, flavour):
    """fp and fn are sums of differences, so that few wrong pixels among many survive in float32."""
    y = part.y if part.w is None or part.one_hot and part.inverse is None else part.y * part.w[:, None]
    both = x * part.y if flavour == 'product' else torch.minimum(x, y)
    tp, fp = both.sum(2), (x - both).sum(2)
    return torch.stack([tp, fp, torch.sub(y, both, out=both).sum(2)]).double()


def block_gradient_(x, t, part, g, activation, flavour):
    """In place of a block's weighted probabilities x; t those of the true class where they are taken out, else None."""
    if t is None:
        dense_gradient_(x, part, g, activation, flavour)
    else:
        single_gradient_(x, t, part, g)
    if part.w is not None and not finite(x):
        x.masked_fill_((part.w == 0)[:, None], 0)


def single_gradient_(rest, t, part, g):
    """dz_c = p_c (a_c - s) and dz_y = p_y (b_y q - r); r, q: sums of a p and of p off the true class, s = r + p_y b_y."""
    y, a, b = part.y, g[1], g[0] - g[2]
    r, q = torch.matmul(torch.stack([a, torch.ones_like(a)], 1), rest).unbind(1)
    b = b[0][y] if len(b) == 1 else b.gather(1, y)
    s, at_true = torch.addcmul(r, t, b), t * (b * q - r)
    if part.inverse is not None:
        s, at_true = s * part.inverse, at_true * part.inverse
    rest.mul_(a[:, :, None] - s[:, None])
    rest.scatter_(1, y[:, None], at_true[:, None])


def dense_gradient_(x, part, g, activation, flavour):
    """The slope of the sums in p, then through the activation; d min(p, y) / dp is 1, 1/2 or 0."""
    difference, rest = (g[0] - g[1] - g[2])[:, :, None], g[1][:, :, None]
    if flavour == 'product':
        slope = (part.y.mul_(difference) if part.one_hot else part.y * difference).add_(rest)
    else:
        p = x if part.inverse is None else x * part.inverse[:, None]
        slope = torch.sub(part.y, p).sign_().mul_(difference / 2).add_(rest + difference / 2)
    if activation == 'softmax':
        s = (slope * x).sum(1, keepdim=True)
        slope.sub_(s if part.inverse is None else s.mul_(part.inverse[:, None]))
    elif activation == 'sigmoid':
        slope.mul_(1 - (x if part.inverse is None else x * part.inverse[:, None]))
    elif part.w is not None:
        slope.mul_(part.w[:, None])
    x.copy_(slope) if activation == 'none' else x.mul_(slope)
