"""Logarithms of probabilities near 1: gradients that are steep there keep their digits."""

import pytest

torch = pytest.importorskip('torch', reason='PyTorch is not installed')


def test_the_gradient_of_the_logarithm_of_a_probability_near_one():
    """log p of the largest has the slope 1 - p, not what rounding leaves of it."""
    from mmseg_plugin.kernels.log_probabilities import LogBoth

    numbers = [[11.0, -1.0, -0.5], [0.0, 12.0, -2.0], [1.0, 1.5, 2.0]]
    slopes = []
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor(numbers, dtype=dtype).T[None].clone().requires_grad_()
        log_p = LogBoth.apply(z)[0] if dtype == torch.float32 else z.log_softmax(1)
        ((-log_p) ** 0.3).sum().backward()
        slopes.append(z.grad.double())
    assert (slopes[0] - slopes[1]).abs().max() < 1e-6 * slopes[1].abs().max()


@pytest.mark.parametrize('classes', [3, 5, 150])
@pytest.mark.parametrize('scale', [0.0, 1.0, 5.0, 12.0])
def test_the_own_class_and_the_complements_of_the_others(scale, classes):
    """Both, and their gradient, are those of float64 with a logsumexp for each class, ties and steep places among them."""
    from torch.nn.functional import logsigmoid

    from mmseg_plugin.kernels.log_probabilities import LeadAndComplements

    draw = torch.Generator().manual_seed(classes)
    z = (scale * torch.randn(2, classes, 60, generator=draw)).clamp(-39, 39)
    z = z.round() if scale == 5.0 else z
    own = torch.randint(0, classes, (2, 1, 60), generator=draw)
    own[..., :30] = z.argmax(1, keepdim=True)[..., :30]
    slope = torch.randn(2, 2, 1, 60, generator=draw)

    def by_logsumexp(z):
        def rest(k):
            return torch.cat([z[:, :k], z[:, k + 1 :]], 1).logsumexp(1, keepdim=True)

        others = torch.cat([rest(k) for k in range(classes)], 1)
        log_q = others - z.logsumexp(1, keepdim=True)
        first_and_own = torch.cat([torch.zeros_like(own), own], 1)
        return z.gather(1, own) - others.gather(1, own), log_q.scatter(1, first_and_own, 0).sum(1, keepdim=True)

    found = []
    for function, pred in ((LeadAndComplements.apply, z), (by_logsumexp, z.double())):
        pred = pred.clone().requires_grad_()
        lead, complements = function(pred, *([own] if pred.dtype == torch.float32 else []))
        (slope[0] * logsigmoid(lead) + slope[1] * complements).sum().backward()
        found.append((lead.detach(), complements.detach(), pred.grad))
    for ours, want in zip(*found):
        assert ((ours - want).abs() <= 5e-7 * want.abs() + 2e-6).all()
