"""``python -m tests.mmseg.triton_interpreted quick|slow FILE``: what Triton's interpreter makes of the cases, as npz.

Run it with TRITON_INTERPRET=1 and SEGPARITY_OVERLAP=fused in a process of its own: both are read once, at import.
"""

import sys

import numpy as np

from mmseg_plugin.kernels.overlap import cpu as overlap_cpu
from mmseg_plugin.kernels.overlap import triton_launch as triton_overlap
from tests.mmseg import triton_cases, triton_losses


def refused(*call, **options):
    raise RuntimeError('the CPU operator ran in the place of the kernels')


if __name__ == '__main__':
    part, found = sys.argv[1].upper(), {}
    overlap_cpu.forward = overlap_cpu.gradient = refused
    for case in getattr(triton_cases, part):
        found[f'{case.name}/statistics'], found[f'{case.name}/gradient'] = case.run('cpu')
    for call in getattr(triton_losses, part):
        launches, launched = [], triton_overlap.launch
        triton_overlap.launch = lambda *a, _f=launched, _c=launches: _c.append(a) or _f(*a)
        found.update({f'{"-".join(call)}/{name}': x for name, x in triton_losses.run(*call).items()})
        triton_overlap.launch = launched
        found[f'{"-".join(call)}/launches'] = len(launches)
    if triton_overlap.refusals:
        sys.exit(triton_overlap.refusals[0])
    np.savez(sys.argv[2], **found)
