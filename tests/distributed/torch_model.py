"""A model with its loss, and one backward pass of it, alike in one process and in a rank of several."""

import contextlib

import numpy as np
import torch
from mmseg.registry import MODELS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import mmseg_plugin  # noqa: F401
from tests.distributed.cases import IGNORED, data, handed_over, shares


class Model(nn.Module):
    """Convolutions and their losses, as MMSegmentation's heads have them."""

    def __init__(self, case):
        super().__init__()
        heads = range(2 if case.mode == 'two_heads' else 1)
        self.heads = nn.ModuleList(nn.Conv2d(3, case.channels, 1) for _ in heads)
        self.config = case.config
        self.losses = nn.ModuleList(MODELS.build(case.config) for _ in heads)
        self.unused = nn.Linear(1, 1) if case.mode == 'find_unused' else None

    def logits(self, x):
        return [head(x) for head in self.heads]

    def loss(self, logits, *call, **options):
        given = [handed_over(self.config, z, lambda z: z.mean((2, 3))) for z in logits]
        pairs = enumerate(zip(given, self.losses))
        return sum((1 + k) * loss(z, *call, **extras, **options) for k, ((z, extras), loss) in pairs)

    def forward(self, x, *call, **options):
        return self.loss(self.logits(x), *call, **options)


class Logits(nn.Module):
    """What DDP wraps where the loss stands outside."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.logits(x)


class LossOutside(nn.Module):
    """A model whose logits come from DDP, and its loss from outside of that."""

    def __init__(self, model):
        super().__init__()
        self.model, self.ddp = model, DistributedDataParallel(Logits(model))

    def forward(self, x, *call, **options):
        return self.model.loss(self.ddp(x), *call, **options)


def in_ddp(model, mode):
    if mode == 'outside':
        return LossOutside(model)
    if mode == 'sharded':
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard  # PyTorch 2.6

        return fully_shard(model, mesh=init_device_mesh('cpu', (torch.distributed.get_world_size(),)))
    if mode == 'compiled':
        model.losses[0].compile(fullgraph=True, backend='aot_eager')
    return DistributedDataParallel(
        model, find_unused_parameters=mode == 'find_unused', static_graph=mode == 'static_graph'
    )


def train(case, world, rank=None):
    """(value, gradients) of the joined batch in one process, or of what ``rank`` of ``world`` has of it under DDP."""
    torch.manual_seed(0)
    half = case.mode == 'autocast'
    model = Model(case).to(torch.float32 if half else torch.float64)
    arrays = data(case, world)
    whole = float((arrays[1] != IGNORED).sum()) / (1 if rank is None else world)
    own = slice(None) if rank is None else shares(case.batch, world)[rank]
    x, y, weight = (None if a is None else torch.from_numpy(a[own]) for a in arrays)
    x = x.float() if half else x
    call = model if rank is None else in_ddp(model, case.mode)
    apart = contextlib.nullcontext if rank is None else getattr(call, 'no_sync', None)

    def step(x, **options):
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=half):
            return call(x, y, weight, ignore_index=IGNORED, **options)

    if case.mode in ('sum', 'avg_factor', 'none', 'classes'):
        options = dict(sum=dict(reduction_override='sum'), avg_factor=dict(avg_factor=whole))
        value = step(x, **options.get(case.mode, dict(reduction_override='none')))
        value = value.sum() / (whole if case.mode == 'none' else 1)
        value.backward()
    elif case.mode == 'accumulate':
        with apart():
            (step(-x) / 2).backward()
        value = step(x) / 2
        value.backward()
    elif case.mode in ('no_sync', 'twice'):
        with apart():
            value = step(x)
            if case.mode == 'twice':
                value.backward(retain_graph=True)
            value.backward()
        average(model, world if rank is not None else 1)
    else:
        if case.mode == 'static_graph':  # whose first step finds the graph
            step(-x).backward()
            model.zero_grad()
        value = step(x)
        value.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    gradients = [(g.full_tensor() if hasattr(g, 'full_tensor') else g).flatten() for g in gradients]
    return value.item(), torch.cat(gradients).numpy()


def average(model, world):
    """What DDP does about the gradients in the end."""
    for p in model.parameters():
        if world > 1:
            torch.distributed.distributed_c10d.all_reduce(p.grad)
            p.grad /= world


class Theta(nn.Module):
    """Predicts theta everywhere."""

    def __init__(self, sync):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.loss = MODELS.build(dict(type='SoftJaccardLoss', smooth=0.0, from_logits=False, sync=sync))

    def forward(self, y):
        return self.loss(self.theta.expand(1, 1, 2, 2), y)


def drift(rank, sync):
    """The loss of a rank and DDP's slope by theta; rank 0 has four pixels of the class, rank 1 one and three others."""
    model = Theta(sync)
    y = torch.tensor([[[1, 1], [1, 1]]] if rank == 0 else [[[1, 0], [0, 0]]])
    ddp = DistributedDataParallel(model)  # which must outlive the backward pass
    value = ddp(y)
    value.backward()
    return np.array([value.item(), model.theta.grad.item()])


def second_derivative(name):
    """What is said to someone who asks for one."""
    z = torch.zeros(1, 2, 2, 2, requires_grad=True)
    loss = MODELS.build(dict(type=name))(z, torch.zeros(1, 2, 2, dtype=torch.long))
    try:
        torch.autograd.grad(loss, z, create_graph=True)
    except RuntimeError as error:
        return str(error)
    return 'nothing'


def large(rank=None, world=2):
    """Value and gradient by the logits of Lovasz softmax of more pixels than ranks sort: of a rank, or of all."""
    generator = torch.Generator().manual_seed(0)
    z, y = (
        torch.randn(world, 3, 200, 200, generator=generator),
        torch.randint(0, 2, (world, 200, 200), generator=generator),
    )
    y[0, :20], y[-1, 7, 7:20] = IGNORED, 2  # the third class is of a few pixels of one rank
    own = slice(None) if rank is None else slice(rank, rank + 1)
    z = (z + 2 * torch.nn.functional.one_hot(y.clamp(max=2)).movedim(3, 1))[own].requires_grad_()
    value = MODELS.build(dict(type='LovaszSoftmaxLoss', ignore_index=IGNORED))(z, y[own])
    value.backward()
    return dict(value=value.item(), gradient=z.grad.numpy())
