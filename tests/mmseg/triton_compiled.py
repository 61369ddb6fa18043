"""``python tests/mmseg/triton_compiled.py one|all``: compiles the launches of a few calls and prints their names.

It needs no GPU, and imports mmseg_plugin without its first file, which imports MMSegmentation and takes seconds.
"""

import sys
import types
from pathlib import Path

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

package = types.ModuleType('mmseg_plugin')
package.__path__ = [str(Path(__file__).resolve().parents[2] / 'mmseg_plugin')]
sys.modules['mmseg_plugin'] = package

from mmseg_plugin.kernels.overlap import triton_kernels
from mmseg_plugin.kernels.overlap import triton_launch as triton_overlap

CALLS = [  # capability, shape, dtype, target, weight, activation, flavour
    (90, (2, 19, 4096), torch.bfloat16, torch.int64, torch.bool, 'softmax', 'product'),
    (80, (2, 1100, 4096), torch.float32, torch.float32, None, 'softmax', 'metric'),
    (90, (2, 150, 333), torch.float64, torch.uint8, torch.float64, 'sigmoid', 'exact'),
    (80, (2, 3, 4096), torch.float16, torch.float16, torch.float32, 'none', 'metric'),
    (90, (2, 19, 4096), torch.float32, torch.int64, torch.bool, 'softmax', 'errors'),
    (90, (2, 19, 4096), torch.float32, torch.float32, None, 'softmax', 'squared'),
]
SHORT = {'float32': 'fp32', 'float64': 'fp64', 'float16': 'fp16', 'bfloat16': 'bf16', 'int64': 'i64', 'uint8': 'u8'}


def compiler(capability):
    """What stands in the place of ``triton_overlap.launch``: compiles instead."""

    def compiled(pred, how, launches):
        for name, _, arguments, known in launches:
            kernel = getattr(triton_kernels, name)
            constants = dict(known, REAL=tl.float64 if pred.dtype == torch.float64 else tl.float32)
            names = kernel.arg_names[: len(arguments)]
            assert set(kernel.arg_names[len(arguments) :]) == set(constants), name
            types = {}
            for argument, value in zip(names, arguments):
                if isinstance(value, torch.Tensor):
                    types[argument] = '*' + SHORT[str(value.dtype)[6:]]
                elif value == 1 and argument not in ('blocks', 'steps', 'images'):
                    types[argument], constants[argument] = 'constexpr', 1
                else:
                    types[argument] = 'i32'
            types |= dict.fromkeys(kernel.arg_names[len(arguments) :], 'constexpr')
            source = ASTSource(kernel, {argument: types[argument] for argument in kernel.arg_names}, constants)
            found = triton.compile(source, target=GPUTarget('cuda', capability, 32), options=dict(num_warps=how.warps))
            if name == 'sums' and known['FLAVOUR'] == 'metric' and pred.dtype != torch.float64:
                assert {'min.NaN.f32', 'max.NaN.f32'} <= set(found.asm['ptx'].split()), 'a NaN would count as right'
            print(name)
        return True

    return compiled


if __name__ == '__main__':
    for capability, shape, dtype, kind, weighted, *how in CALLS[: 1 if sys.argv[1] == 'one' else None]:
        triton_overlap.launch = compiler(capability)
        n, c, p = shape
        pred = torch.empty(shape, dtype=dtype, device='meta')
        target = torch.empty(shape if kind.is_floating_point else (n, p), dtype=kind, device='meta')
        weight = weighted and torch.empty(n, p, dtype=weighted, device='meta')
        triton_overlap.forward(pred, target, weight, *how)
        triton_overlap.backward(pred, target, weight, torch.empty(3, n, c, device='meta'), *how)
