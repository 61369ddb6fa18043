"""What the ways to the overlap statistics on the CPU share: one-hot blocks, softmax, sums of products."""

import torch
from torch import Tensor

PIECE = 4096  # pixels that are added in float32, pieces are in float64


def one_hot(ids: Tensor, mask: Tensor | None, c: int, dtype: torch.dtype) -> Tensor:
    """(n, C, p) of class ids (n, p), 0 where mask is; compared in the ids' dtype, the fewer bytes the faster."""
    if c > torch.iinfo(ids.dtype).max:
        ids = ids.long()
    y = ids.new_empty((len(ids), c, ids.shape[1]))
    torch.eq(ids[:, None], torch.arange(c, dtype=ids.dtype)[:, None], out=y)
    return (y if mask is None else y.mul_(mask[:, None])).to(dtype)


def products(a: Tensor, b: Tensor) -> Tensor:
    """(n, A, B) in float64: a (n, A, p) times b (n, B, p), summed over pixels."""
    p = a.shape[2]
    if p <= PIECE or a.dtype == torch.float64:
        return torch.bmm(a, b.transpose(1, 2)).double()
    whole = p // PIECE * PIECE
    a_pieces, b_pieces = (x[:, :, :whole].unflatten(2, (-1, PIECE)).transpose(1, 2) for x in (a, b))
    sums = torch.stack([torch.bmm(u, v.mT).sum(0, dtype=torch.float64) for u, v in zip(a_pieces, b_pieces)])
    return sums if whole == p else sums + torch.bmm(a[:, :, whole:], b[:, :, whole:].transpose(1, 2))


def softmax(z: Tensor, out: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Probabilities in ``out`` or memory of their own, 0 where mask is; torch.softmax has no out."""
    if out is None and z.is_contiguous() and mask is None:
        return torch.softmax(z, 1)
    x = torch.sub(z, z.amax(1, keepdim=True), out=out).exp_()
    scale = x.sum(1).reciprocal_()
    return x.mul_((scale if mask is None else scale.mul_(mask.to(x.dtype)))[:, None])


def softmax_gradient_(x: Tensor, slope: Tensor) -> Tensor:
    """Probabilities x become d loss / d logits, slope is d loss / d x and is overwritten."""
    if x.is_contiguous():
        torch._softmax_backward_data(slope, x, 1, x.dtype, grad_input=x)
    else:
        x.mul_(slope.sub_((slope * x).sum(1, keepdim=True)))
    return x


def from_the_others_(x: Tensor, y: Tensor) -> Tensor:
    """The gradient x (n, C, p) where y is 1 becomes minus the sum of the others', which is what it is, exactly."""
    x.sub_(x * y)
    return x.addcmul_(y, x.sum(1, keepdim=True), value=-1)
