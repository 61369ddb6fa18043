"""The region losses on a CUDA device, where there is one: ``python -m benchmarks.gpu``.

What ``benchmarks/overlap_gpu.py`` prints, as it is; a sentence where no device is at hand.
"""

import os
import pathlib
import subprocess
import sys

from benchmarks import area, results

SCRIPT = pathlib.Path(__file__).with_name('overlap_gpu.py')
NOTHING = (
    'Not measured here: PyTorch found no CUDA device. `make gpu` measures where there is one; what was measured on an '
    'H100, before sums over pixels were computed in blocks: [gpu.md](gpu.md).'
)


def measure(options):
    import torch

    area.use(options.cores)
    text = NOTHING
    if torch.cuda.is_available() and not options.quick:
        environment = os.environ | dict(PYTHONPATH=os.pathsep.join([str(SCRIPT.parents[1]), *sys.path]))
        done = subprocess.run([sys.executable, SCRIPT], stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f'{SCRIPT.name} ended with status {done.returncode}')
        text = done.stdout.strip()
    yield results.text('Region losses on a CUDA device', text)


if __name__ == '__main__':
    area.run(measure, area.parser(__doc__).parse_args())
