"""What losses cost while other work has the cores: ``python -m benchmarks.under_load``.

The same contenders with the machine to themselves, and beside two processes that never rest: ours, the same formulas in
plain PyTorch with one-hot labels, and PyTorch's cross-entropy. Forward and backward, hard labels, in turns.
"""

import contextlib
import os
import subprocess
import sys

from benchmarks import area, results
from benchmarks.overlap import time_contenders

TITLE, BUSY = 'Beside other work', 2
SHAPES = ((2, 19, 512, 1024), (8, 2, 512, 512))
QUICK = ((2, 3, 32, 32),)
PLAIN = {  # ours -> the plain way that it is to be no slower than
    'JaccardMetricLoss': 'torch one_hot, Jaccard',
    'WeightedCrossEntropyLoss': 'torch one_hot, cross-entropy',
    'WeightedSumLoss, the recipe': 'torch one_hot, Jaccard',
    'UnifiedFocalLoss': 'torch one_hot, Jaccard',
}
NAMES = (*PLAIN, *dict.fromkeys(PLAIN.values()), 'JaccardMetricLoss (plain)', 'torch cross_entropy')
# it ends by itself where the process that started it was killed
WORK = 'import os\nwhile os.getppid() == {parent}:\n    sum(range(100_000))'


@contextlib.contextmanager
def busy(processes):
    """So many processes that compute all the time, on the cores of this one."""
    started = []
    try:
        for _ in range(processes):
            started.append(subprocess.Popen([sys.executable, '-c', WORK.format(parent=os.getpid())]))
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def case_name(shape, processes):
    return f'{shape}, ' + (f'beside {processes} busy processes' if processes else 'alone')


def measure(options):
    cases = {}
    for shape in QUICK if options.quick else SHAPES:
        for processes in (0, BUSY):
            area.say(case_name(shape, processes))
            with busy(processes):
                seconds, left_out = time_contenders(NAMES, shape, rounds=options.rounds)
            cases[case_name(shape, processes)] = results.case(seconds, left_out=left_out)
    yield results.comparison(TITLE, cases, 'torch cross_entropy')


if __name__ == '__main__':
    area.run(measure, area.parser(__doc__).parse_args())
