"""Logits and labels to measure on: labels in blocks of 16 pixels, 5 % of the pixels ignored."""

IGNORED = 255
BLOCK = 16


def batch(shape, labels='hard', dtype='float32', margin=None):
    """Logits (N, C, *space), a leaf that wants a gradient, and class ids (N, *space) or soft labels (N, C, *space).

    Logits are Gaussian with a deviation of 3, or, with ``margin``, of 1 and ``margin`` higher at the label on nine of
    ten blocks. Ids above 254 classes step over the ignored one. Soft labels have no ignored pixels.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    n, c, *space = shape
    logits = torch.randn(shape, generator=generator)
    if labels == 'soft':
        target = torch.randn(shape, generator=generator).softmax(1)
        return logits.mul_(3).to(getattr(torch, dtype)).requires_grad_(), target
    coarse = [n, *(-(-s // BLOCK) for s in space)]
    target = torch.randint(max(c, 2), coarse, generator=generator)
    if margin is None:
        logits.mul_(3)
    else:
        other = torch.randint(max(c, 2), coarse, generator=generator)
        seen = spread(torch.where(torch.rand(coarse, generator=generator) < 0.1, other, target), space)
        if c == 1:
            logits += margin * (seen[:, None] - 0.5)
        else:
            logits.scatter_add_(1, seen[:, None], torch.full((n, 1, *space), float(margin)))
    target = spread(target, space)
    if c > IGNORED:
        target[target == IGNORED] = 0
    target[torch.rand(target.shape, generator=generator) < 0.05] = IGNORED
    return logits.to(getattr(torch, dtype)).requires_grad_(), target


def spread(coarse, space):
    """Every block as pixels."""
    for axis, size in enumerate(space, 1):
        coarse = coarse.repeat_interleave(BLOCK, axis).narrow(axis, 0, size)
    return coarse.contiguous()
