"""A block of the overlap statistics for any labels and activation, with a probability for every class and pixel."""

import torch

from mmseg_plugin.overlap_sums import one_hot, softmax, softmax_gradient_


class Dense:
    """x (n, C, p) probabilities, which are 0 at absent pixels, y the labels of all classes likewise."""

    takes_out, needs_labels = False, True

    def __init__(self, activation, flavour):
        self.activation, self.flavour = activation, flavour

    def labels(self, target, mask, c, dtype):
        if target.dim() == 2:
            return one_hot(target, mask, c, dtype)
        y = target.to(dtype)
        return y if mask is None else y * mask[:, None]

    def probabilities(self, z, part, out):
        """For two classes 1 - p is as good as the other's exponential: what counts is their error beside 1."""
        masked = False
        if self.activation == 'softmax' and z.shape[1] == 2:
            x = torch.empty_like(z) if out is None else out
            torch.sub(z[:, 1], z[:, 0], out=x[:, 1]).sigmoid_()
            torch.sub(x.new_ones(()), x[:, 1], out=x[:, 0])
        elif self.activation == 'softmax':
            x, masked = softmax(z, out, part.mask), True
        elif self.activation == 'sigmoid':
            x = torch.sigmoid(z, out=out)
        else:
            x = z.clone() if out is None else out.copy_(z)
        return (x if part.mask is None or masked else x.mul_(part.mask[:, None])), None

    def sums(self, x, t, part):
        """fp and fn are sums of differences, so that few wrong pixels among many survive in float32."""
        y, w = part.y, part.weight
        both = x * y if self.flavour == 'product' else torch.minimum(x, y)
        tp, fp = weighted_sum(both, w), weighted_sum(x - both, w)
        return torch.stack([tp, fp, weighted_sum(torch.sub(y, both, out=both), w)]).double()

    def keep_(self, x, part):
        pass

    def gradient_(self, x, t, part, g):
        """d min(p, y) / dp is 1, 1/2 or 0."""
        rest, difference = g[1][:, :, None], (g[0] - g[1] - g[2])[:, :, None]
        if self.flavour == 'product':
            slope = torch.addcmul(rest, part.y, difference)
        else:
            slope = torch.sub(part.y, x).sign_().mul_(difference / 2).add_(rest + difference / 2)
        if part.weight is not None:
            slope.mul_(part.weight[:, None])
        if self.activation == 'softmax':
            return softmax_gradient_(x, slope)
        if self.activation == 'sigmoid':
            return x.mul_(1 - x).mul_(slope)
        return x.copy_(slope if part.mask is None else slope.mul_(part.mask[:, None]))


def weighted_sum(x, w):
    """(n, C) sums over pixels."""
    return (x if w is None else x * w[:, None]).sum(2)
