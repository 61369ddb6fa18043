"""The fused overlap statistics on a GPU with Triton: one pass over the logits for them, one for their gradient.

Shapes: pred (N, C, P), any strides; target (N, P) class ids or (N, C, P) labels in [0, 1]; weight None or (N, P), False
or 0 where a pixel does not count: there pred and target may hold anything. activation: 'softmax', 'sigmoid' or 'none';
flavour: one of ``fused``; no sum cancels, so that 'exact' is 'product'.

Blocks of pixels are added in float32 (in float64 for float64), the blocks in float64, always in the same order. Where
Triton cannot compile or launch, or what it computes differs from PyTorch's operators on a small batch, these take over
after one warning.
"""

import importlib.util
import os
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.values import nan_weights_at_faults

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
FLAVOURS = ('product', 'exact', 'metric', 'squared', 'errors')
INSTALLED = importlib.util.find_spec('triton') is not None
INTERPRETED = os.environ.get('TRITON_INTERPRET', '').lower() in ('1', 'true', 'yes', 'on', 'y')  # as Triton reads it
CHUNK, CHUNKS = 128, 8  # so many classes fit; softmax over more reads the logits twice forward, three times backward
HELD = 40  # logits of a thread at most, so that they and their three sums are in registers
PROGRAMS = 4096  # warps to start: several times what a GPU holds at once, and few partial sums

refusals: list[str] = []  # why the kernels are not used any more
tried: set[tuple[Any, ...]] = set()  # kinds of input for which they agreed with PyTorch's operators

Operands = tuple[Tensor, Tensor, Tensor]  # pred, target, weight
Launch = tuple[str, int, tuple[Any, ...], dict[str, Any]]  # kernel, programs, arguments, constants


class Plan(NamedTuple):
    """Tiles: ``chunks`` of ``chunk`` classes x ``pixels``, ``tiles`` of them for all classes, ``rows`` for all pixels.

    A program takes ``steps`` rows, one after the other, in ``blocks`` programs; fit: softmax needs no other tile. fold:
    neighbouring pixels that a thread adds up before it keeps them.
    """

    fit: bool
    chunks: int
    chunk: int
    pixels: int
    fold: int
    tiles: int
    rows: int
    blocks: int
    steps: int
    warps: int


def plan(shape: Sequence[int], softmax: bool, in_line: bool = True) -> Plan:
    """The ``Plan`` of logits of ``shape`` (N, C, P); in_line: whether four pixels are one read.

    Up to 8 tiles of classes, so that few lanes hold classes that do not exist: 19 are 5 tiles of 4, 150 are 5 of 32.
    Rows of 32 pixels, whole sectors of memory in every dtype, and 16 beyond 512 classes; few classes take more pixels,
    to have as much to read. A thread holds 8 to 40 logits, with which enough reads are under way at once; one warp
    is enough up to 40 classes, and waits for no other.
    """
    n, c, p = shape
    chunk = min(power_of_2(-(-c // CHUNKS)), CHUNK)
    chunks = min(-(-c // chunk), CHUNKS)
    classes = chunk * chunks
    pixels = 16 if classes > 512 else min(max(power_below(1024 // classes), 32), 256)
    warps = power_of_2(-(-classes * pixels // (32 * HELD)))
    fold = min(max(chunk * pixels // (32 * warps), 1), 4) if in_line else 1
    tiles, rows = -(-c // classes), -(-p // pixels)
    steps = min(max(n * tiles * rows * warps // PROGRAMS, 1), 32)
    return Plan(softmax and tiles == 1, chunks, chunk, pixels, fold, tiles, rows, -(-rows // steps), steps, warps)


def power_of_2(x: int) -> int:
    """The smallest power of 2 that is at least x."""
    return 1 << (x - 1).bit_length()


def power_below(x: int) -> int:
    """The largest power of 2 that is at most x; 0 for 0."""
    return 1 << x.bit_length() >> 1


def is_available(pred: Tensor, flavour: str = 'product') -> bool:
    """Whether Triton can take ``pred``: it is installed, knows the device and the dtype, and has not failed so far."""
    here = INSTALLED and not refusals and (pred.is_cuda or (INTERPRETED and pred.is_cpu))
    return here and pred.dtype in DTYPES and flavour in FLAVOURS


def forward(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Tensor:
    """(3, N, C) tp, fp, fn in float64."""
    if not pred.numel():
        return pred.new_zeros((3, *pred.shape[:2]), dtype=torch.float64)
    call = pred, target, weight, activation, flavour
    sums = kernel_forward(*call) if trusted(*call) else None
    return unfused_forward(*call) if sums is None else sums


def backward(
    pred: Tensor, target: Tensor, weight: Tensor | None, grads: Tensor, activation: str, flavour: str
) -> Tensor:
    """The gradient like ``pred`` from that of the statistics (3, N, C); 0 where the weight is 0."""
    if not pred.numel():
        return torch.empty_like(pred)
    known = trusted(pred, target, weight, activation, flavour)
    call = pred, target, weight, grads.to(torch.float64).contiguous(), activation, flavour
    gradient = kernel_backward(*call) if known else None
    return unfused_backward(*call) if gradient is None else gradient


def trusted(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> bool:
    """Whether the kernels give what PyTorch's operators give, tried once on a small batch of each kind on a GPU."""
    kind = pred.device, pred.dtype, pred.shape[1], target.dim(), weight is None, activation, flavour
    if checks(pred) and kind not in tried and not refusals:
        tried.add(kind)
        try_kernels(*kind)
    return not refusals


def checks(pred: Tensor) -> bool:
    """Whether the kernels for ``pred`` are compiled, and not interpreted."""
    return pred.is_cuda


def try_kernels(
    device: torch.device,
    dtype: torch.dtype,
    classes: int,
    label_axes: int,
    unweighted: bool,
    activation: str,
    flavour: str,
) -> None:
    """Refuses the kernels where they differ from PyTorch's operators in float64."""
    draw = torch.Generator().manual_seed(0)
    pred = torch.randn(2, classes, 80, generator=draw).mul_(3).to(dtype)
    if activation == 'none':
        pred = pred.sigmoid()
    y = torch.randn(2, classes, 80, generator=draw)
    y = y.argmax(1) if label_axes == 2 else y.softmax(1)
    w = None if unweighted else torch.rand(2, 80, generator=draw) + 0.5
    grads = torch.randn(3, 2, classes, generator=draw, dtype=torch.float64)
    pred, y, grads = (x.to(device) for x in (pred, y, grads))
    w = w if w is None else w.to(device)
    given, exact = (pred, y, w), (pred.double(), y, w)
    pairs = (
        (kernel_forward(*given, activation, flavour), unfused_forward(*exact, activation, flavour)),
        (kernel_backward(*given, grads, activation, flavour), unfused_backward(*exact, grads, activation, flavour)),
    )
    for (got, want), allowed in zip(pairs, (1e-4, 1e-4 + 4 * torch.finfo(dtype).eps)):
        if got is None:
            return
        error = ((got.double() - want).abs().max() / want.abs().max()).item()
        if not error <= allowed:
            refuse(f'{flavour} of {classes} classes in {dtype} is off by {error:.1e} on {device}')
            return


def kernel_forward(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Tensor | None:
    """``forward`` by Triton, or None where it refuses."""
    n, c, p = pred.shape
    how = planned(pred, activation)
    given, strides, known = operands(pred, target, weight, how, activation, flavour)
    common, launches = whole_pixels(how, given, activation, known)
    partial = pred.new_empty((how.blocks, 3, n, c), dtype=real(pred))
    arguments = *given, common, partial, n, c, p, how.blocks, how.tiles, how.steps, *strides
    launches.append(('sums', n * how.blocks * how.tiles, arguments, known))
    return partial.sum(0, dtype=torch.float64) if launch(pred, how, launches) else None


def kernel_backward(
    pred: Tensor, target: Tensor, weight: Tensor | None, grads: Tensor, activation: str, flavour: str
) -> Tensor | None:
    """``backward`` by Triton, or None where it refuses; grads: float64, contiguous."""
    n, c, p = pred.shape
    out = torch.empty_like(pred)
    how = planned(pred, activation)
    given, strides, known = operands(pred, target, weight, how, activation, flavour)
    common, launches = whole_pixels(how, given, activation, known)
    shared = common
    if launches:
        shared = pred.new_empty((n, 2, p), dtype=real(pred))
        arguments = *given, common, grads, shared, n, c, p, how.rows, *strides
        few = {name: known[name] for name in ('FLAVOUR', 'HARD', 'WEIGHTED', 'REAL', 'CHUNK', 'PIXELS')}
        launches.append(('share', n * how.rows, arguments, few))
    arguments = *given, common, shared, grads, out, n, c, p, how.blocks, how.tiles, how.steps, *strides, *out.stride()
    launches.append(('gradient', n * how.blocks * how.tiles, arguments, known))
    return out if launch(pred, how, launches) else None


def planned(pred: Tensor, activation: str) -> Plan:
    """The ``Plan`` of ``pred``."""
    return plan(
        pred.shape, activation == 'softmax', pred.stride(2) == 1 and pred.stride(1) % 16 == 0
    )  # 16: what Triton looks for


def real(pred: Tensor) -> torch.dtype:
    """The dtype of the arithmetic."""
    return torch.promote_types(pred.dtype, torch.float32)


def operands(
    pred: Tensor, target: Tensor, weight: Tensor | None, how: Plan, activation: str, flavour: str
) -> tuple[Operands, tuple[int, ...], dict[str, Any]]:
    """(pred, target, weight) as the kernels read them, their strides, and what the kernels are compiled for."""
    hard, weighted = target.dim() == 2, weight is not None
    target = readable(target)
    weight = readable(weight) if weight is not None else pred  # where none is read, any will do
    classes = (target.stride(0), 0, target.stride(1)) if hard else target.stride()
    if flavour == 'exact' or (flavour == 'metric' and hard and activation != 'none'):
        flavour = 'product'  # the same, here or for labels 0 and 1
    strides = *pred.stride(), *classes, *(weight.stride() if weighted else (0, 0))
    known = dict(
        SOFTMAX=activation == 'softmax',
        SIGMOID=activation == 'sigmoid',
        FLAVOUR=flavour,
        HARD=hard,
        WEIGHTED=weighted,
        FIT=how.fit,
        ALONE=how.fit and hard and flavour == 'product',
        REAL=real(pred),
        CHUNKS=how.chunks,
        CHUNK=how.chunk,
        PIXELS=how.pixels,
        FOLD=how.fold,
    )
    return (pred, target, weight), strides, known


def readable(x: Tensor) -> Tensor:
    """Booleans as bytes, which Triton can load."""
    return x.to(torch.uint8) if x.dtype == torch.bool else x


def whole_pixels(how: Plan, given: Operands, activation: str, known: dict[str, Any]) -> tuple[Tensor, list[Launch]]:
    """Memory for what all classes of a pixel share and the launch that fills it, where softmax needs that."""
    pred, _, weight = given
    if how.fit or activation != 'softmax':
        return pred, []  # a kernel that never reads it takes any tensor
    n, c, p = pred.shape
    common = pred.new_empty((n, 3, p), dtype=real(pred))
    strides = *pred.stride(), *(weight.stride() if known['WEIGHTED'] else (0, 0))
    few = {name: known[name] for name in ('WEIGHTED', 'REAL', 'CHUNK', 'PIXELS')}
    return common, [('normalise', n * how.rows, (pred, weight, common, c, p, how.rows, *strides), few)]


def launch(pred: Tensor, how: Plan, launches: Sequence[Launch]) -> bool:
    """Whether all ``launches`` (kernel, programs, arguments, constants) went out; warns of the first that did not."""
    if refusals:
        return False
    try:
        import triton.language as tl

        from mmseg_plugin.kernels.overlap import triton_kernels

        number = tl.float64 if real(pred) == torch.float64 else tl.float32
        with torch.cuda.device_of(pred):
            for name, programs, arguments, known in launches:
                known = dict(known, REAL=number)
                getattr(triton_kernels, name)[(programs,)](*arguments, **known, num_warps=how.warps)
    except Exception as error:  # a compiler, an assembler, a linker and a driver each have their own
        refuse(f'{type(error).__name__}: {(str(error).strip() or "no reason given").splitlines()[0]}')
        return False
    return True


def refuse(reason: str) -> None:
    """Ends the use of the kernels in this process, with one warning."""
    refusals.append(reason)
    warnings.warn(f'no overlap kernels by Triton, plain PyTorch goes on: {reason}', stacklevel=3)


def masked_inputs(
    pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities and labels (N, C, P), 0 at ignored pixels, and the weight of each (N, 1, P)."""
    dtype = torch.float64 if flavour == 'exact' else real(pred)
    weight = nan_weights_at_faults(pred, target, weight, activation)[:, None].to(dtype)
    p = torch.where(weight != 0, pred.to(dtype), 0)
    if activation != 'none':
        p = p.softmax(1) if activation == 'softmax' else p.sigmoid()
    if target.dim() == 2:
        target = target[:, None] == torch.arange(pred.shape[1], device=pred.device)[:, None]
    return p, torch.where(weight != 0, target.to(dtype), 0), weight


def unfused_forward(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Tensor:
    """``forward`` in plain PyTorch; exact in float64."""
    p, y, w = masked_inputs(pred, target, weight, activation, flavour)
    if flavour == 'errors':
        parts = (p - y) ** 2 * y, (p - y) ** 2 * (1 - y), y
    elif flavour == 'squared':
        parts = p * y, p * (p - y), y * (y - p)
    else:
        both = torch.minimum(p, y) if flavour == 'metric' else p * y
        parts = both, p - both, y - both
    return torch.stack([(w * x).sum(2, dtype=torch.float64) for x in parts])


def unfused_backward(
    pred: Tensor, target: Tensor, weight: Tensor | None, grads: Tensor, activation: str, flavour: str
) -> Tensor:
    """``backward`` in plain PyTorch."""
    p, y, w = masked_inputs(pred, target, weight, activation, flavour)
    tp, fp, fn = grads.to(p.dtype)[..., None]
    if flavour == 'errors':
        g = 2 * (p - y) * (tp * y + fp * (1 - y))
    elif flavour == 'squared':
        g = 2 * p * fp + y * (tp - fp - fn)
    else:
        slope = ((p < y).to(p.dtype) + (p <= y).to(p.dtype)) / 2 if flavour == 'metric' else y
        g = fp + slope * (tp - fp - fn)
    if activation == 'softmax':
        g = p * (g - (p * g).sum(1, keepdim=True))
    elif activation == 'sigmoid':
        g = p * (1 - p) * g
    return torch.empty_like(pred).copy_(torch.where(w != 0, w * g, 0))
