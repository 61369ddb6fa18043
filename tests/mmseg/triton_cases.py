"""Cases of the overlap kernels: those of the default suite, and the others."""

from dataclasses import dataclass
from functools import cached_property

import torch

from mmseg_plugin.kernels.overlap import triton_launch as triton_overlap


@dataclass(frozen=True)
class Case:
    """One call; special: which trouble the inputs hold; largest, steps: forced upon the plan, so that few pixels do."""

    classes: int = 5
    pixels: int = 37
    dtype: torch.dtype = torch.float32
    hard: bool = True
    activation: str = 'softmax'
    flavour: str = 'product'
    special: str = ''
    largest: int = 0
    steps: int = 0

    @property
    def name(self):
        parts = str(self.dtype)[6:], 'hard' if self.hard else 'soft', self.activation, self.flavour, self.special
        forced = f'{(self.largest and "tiles") or ""}{(self.steps and "steps") or ""}'
        return '-'.join(filter(None, (f'{self.classes}x{self.pixels}', *parts, forced)))

    @cached_property
    def inputs(self):
        """pred, target, weight, and the gradients of tp, fp, fn."""
        generator = torch.Generator().manual_seed(self.classes * 1000 + self.pixels)
        n, c, p = 2, self.classes, self.pixels
        pred = 3 * torch.randn(n, c, p, generator=generator, dtype=torch.float64)
        ids = torch.randint(c, (n, p), generator=generator)
        target = ids if self.hard else torch.rand(n, c, p, generator=generator).mul(4).softmax(1)
        weight = torch.rand(n, p, generator=generator) + 0.5
        weight[torch.rand(n, p, generator=generator) < 0.2] = 0
        grads = torch.randn(3, n, c, generator=generator, dtype=torch.float64)
        if self.special == 'almost_right':
            pred = pred / 3 + 16 * torch.nn.functional.one_hot(ids, c).transpose(1, 2)
            weight = torch.ones(n, p)
        elif self.special == 'large_logits':
            pred = pred * 3000
            pred[:, 0] = -torch.inf
        elif self.special == 'equal_logits':
            pred = torch.zeros(n, c, p, dtype=torch.float64)
            target = target if self.hard else torch.full((n, c, p), 1 / c, dtype=torch.float64)
        if self.activation == 'none':
            pred = pred.sigmoid()
            if self.special == 'ties':
                pred = (pred > 0.5).double() if self.hard else target.double()
        pred = pred.to(self.dtype)
        if self.special == 'all_ignored':
            weight = torch.zeros(n, p)
        elif self.special == 'bytes_with_255':
            target = torch.where(weight == 0, 255, target).to(torch.uint8)
        elif self.special == 'int32_negative':
            target = torch.where(weight == 0, -100, target).int()
        elif self.special == 'booleans':
            target = target.bool()
        elif self.special == 'channels_last':
            pred = pred.transpose(1, 2).contiguous().transpose(1, 2)
        elif self.special == 'crop':
            pred, target = (
                torch.nn.functional.pad(pred, (3, 2, 1, 1))[:, 1:-1, 3:-2],
                target.repeat_interleave(2, -1)[..., ::2],
            )
            weight = weight[:1].expand(n, p)
        elif self.special == 'infinite_gradient':
            grads[:, 0, 1] = torch.inf
        elif self.special == 'double_weight':
            weight = weight.double()
        elif self.special == 'mask':
            weight = weight > 0
        elif self.special == 'unweighted':
            weight = torch.ones(n, p)
        elif self.special in FAULTS:
            weight[0, 5] = 1
            pred[0, 1, 5] = {'nan_counts': torch.nan, 'inf_counts': torch.inf, 'no_probability': 1.1}.get(
                self.special, pred[0, 1, 5]
            )
            if self.special == 'only_minus_inf':
                pred[0, :, 5] = -torch.inf
            elif self.special == 'no_class':
                target[0, 5] = c + 2
            elif self.special == 'negative_class':
                target[0, 5] = -1
            elif self.special == 'no_soft_label':
                target[0, 1, 5] = -0.1
        if not self.hard and self.special != 'ties':
            target = torch.where(weight[:, None] == 0, torch.nan, target)
        if self.special not in ('crop', 'channels_last'):
            pred = torch.where(weight[:, None] == 0, torch.inf if self.special == 'large_logits' else torch.nan, pred)
        return pred, target, weight, grads

    def run(self, device):
        """(3, N, C) statistics and the gradient, float64 NumPy."""
        pred, target, weight, grads = (x.to(device) for x in self.inputs)
        weight = None if self.special == 'unweighted' else weight
        call = self.activation, self.flavour
        kept = triton_overlap.plan, triton_overlap.CHUNKS, triton_overlap.CHUNK
        if self.largest:
            triton_overlap.CHUNKS, triton_overlap.CHUNK = 2, self.largest // 2
        if self.steps:
            triton_overlap.plan = self.plan
        try:
            statistics = triton_overlap.forward(pred, target, weight, *call)
            gradient = triton_overlap.backward(pred, target, weight, grads, *call)
        finally:
            triton_overlap.plan, triton_overlap.CHUNKS, triton_overlap.CHUNK = kept
        assert statistics.dtype == torch.float64 and statistics.is_contiguous() and gradient.dtype == pred.dtype
        assert gradient.stride() == torch.empty_like(pred).stride()
        return statistics.cpu().numpy(), gradient.double().cpu().numpy()

    def plan(self, shape, *how, plan=triton_overlap.plan):
        how = plan(shape, *how)
        how = how._replace(
            pixels=16, rows=-(-shape[2] // 16), steps=self.steps
        )  # shape: also of the batch tried before
        return how._replace(blocks=-(-how.rows // self.steps))


FAULTS = (
    'nan_counts', 'inf_counts', 'only_minus_inf', 'no_class', 'negative_class', 'no_probability', 'no_soft_label'
)  # fmt: skip
KINDS = [(hard, a, f) for hard in (True, False) for a in ('softmax', 'sigmoid', 'none') for f in ('product', 'metric')]
OTHERS = (torch.bfloat16, torch.float16, torch.float64)
QUICK = [
    Case(19, 20),
    Case(3, 21, torch.bfloat16, special='mask'),
    Case(3, 20, torch.float64, False, flavour='metric'),
    Case(1, 33, activation='sigmoid', hard=False),
    Case(6, 12, hard=False, flavour='metric', largest=4),
    Case(3, 20, flavour='errors', special='bytes_with_255'),
    Case(3, 20, special='nan_counts'),
]
SLOW = [
    Case(2, 300, torch.float16, special='booleans'),
    Case(9, 17, flavour='exact', special='almost_right'),
    Case(2, 33, steps=2),
    Case(3, 60, activation='sigmoid', flavour='exact', special='almost_right'),
    Case(3, 20, hard=False, flavour='metric', special='equal_logits'),
    Case(3, 21, hard=False, special='crop'),
    Case(3, 20, hard=False, activation='none', flavour='metric', special='ties'),
    Case(3, 20, hard=False, flavour='squared'),
    Case(3, 20, special='unweighted'),
    Case(3, 20, special='inf_counts'),
    Case(3, 20, special='only_minus_inf'),
    Case(3, 20, special='no_class'),
    Case(3, 20, hard=False, activation='sigmoid', flavour='metric', special='inf_counts'),
    Case(3, 20, hard=False, activation='none', special='no_probability'),
    Case(3, 20, hard=False, flavour='errors', special='no_soft_label'),
    Case(3, 20, special='infinite_gradient'),
    *(Case(19, 37, torch.float32, *kind) for kind in KINDS),
    Case(10, 20, hard=False, flavour='metric', largest=4),
    Case(5, 50, steps=2),
    Case(20, 40, flavour='exact', special='almost_right'),
    *(Case(19, 50, dtype, *kind) for dtype in OTHERS for kind in (KINDS[0], KINDS[3], KINDS[7], KINDS[10])),
    *(Case(c, p, torch.float32, *KINDS[7]) for c, p in ((2, 700), (3, 16), (32, 1), (33, 40), (150, 20), (300, 17))),
    *(Case(c, p) for c, p in ((1, 33), (150, 40), (600, 20), (1000, 16), (1100, 16))),
    *(
        Case(70, 20, torch.float32, hard, 'softmax', f, largest=8)
        for hard in (True, False)
        for f in ('product', 'metric')
    ),
    Case(64, 20, torch.float64, largest=8),
    *(
        Case(19, 37, torch.float32, hard, a, f)
        for hard in (True, False)
        for a in ('softmax', 'sigmoid', 'none')
        for f in ('squared', 'errors')
    ),
    *(
        Case(10, 20, torch.float64, hard, 'softmax', f, largest=4)
        for hard in (True, False)
        for f in ('squared', 'errors')
    ),
    *(Case(4, 600, flavour=f, special='almost_right') for f in ('squared', 'errors')),
    Case(20, 20, largest=8),
    Case(130, 20, activation='sigmoid', flavour='metric'),
    *(Case(19, 90, torch.float32, *kind, steps=4) for kind in (KINDS[0], KINDS[9])),
    *(
        Case(4, 600, torch.float32, True, a, f, 'almost_right')
        for a in ('softmax', 'sigmoid')
        for f in ('exact', 'metric')
    ),
    Case(70, 20, special='almost_right', largest=8),
    Case(special='large_logits'),
    Case(70, 20, special='large_logits', largest=8),
    *(Case(c, 20, hard=hard, flavour='metric', special='equal_logits') for c in (2, 7) for hard in (True, False)),
    Case(70, 20, hard=False, flavour='metric', special='equal_logits', largest=8),
    Case(activation='none', flavour='metric', special='ties'),
    *(Case(special=special) for special in ('all_ignored', 'bytes_with_255', 'int32_negative', 'double_weight')),
    *(Case(19, 21, hard=hard, special=special) for hard in (True, False) for special in ('channels_last', 'crop')),
    *(
        Case(activation=a, flavour=f, special='nan_counts')
        for a, f in (('softmax', 'metric'), ('sigmoid', 'product'), ('sigmoid', 'metric'))
    ),
    Case(hard=False, flavour='metric', special='nan_counts'),
    Case(70, 20, special='nan_counts', largest=8),
    *(
        Case(c, 20, special=special, largest=8)
        for c in (2, 70)
        for special in ('inf_counts', 'only_minus_inf', 'no_class')
    ),
    *(Case(hard=h, flavour=f, special='inf_counts') for h in (True, False) for f in ('metric', 'errors', 'squared')),
    *(Case(hard=h, flavour='metric', special='only_minus_inf') for h in (True, False)),
    Case(70, 20, hard=False, special='only_minus_inf', largest=8),
    *(Case(activation=a, special=special) for a in ('sigmoid', 'none') for special in ('no_class', 'negative_class')),
    Case(4, 20, hard=False, special='no_soft_label'),
    *(Case(activation='none', flavour=f, special='no_probability') for f in ('metric', 'errors')),
]
CASES = [*QUICK, *SLOW]
