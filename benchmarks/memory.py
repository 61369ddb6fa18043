"""How memory is measured: the highest that a fresh process holds during one step, above what it held before."""

import ctypes
import gc
import multiprocessing
import pathlib
import re
import sys
from concurrent.futures import ProcessPoolExecutor

PRELOADED = ('torch', 'mmseg_plugin', 'mmseg.models.losses')  # imported once, not for every fork


def peak_bytes(prepare, *arguments, fork=True):
    """Bytes that ``prepare(*arguments)()`` takes at its highest above what is held before it; None but on Linux.

    prepare, importable by name, makes the inputs and returns the step; what the step loads at first use it should run
    before, on small inputs. fork: the process is forked from one that has imported PyTorch and done nothing else;
    otherwise it starts from nothing, which frameworks with threads of their own need.
    """
    return run_in_fresh_process(_measure, prepare, arguments, fork=fork)


def run_in_fresh_process(function, *arguments, fork=False):
    """What a function, importable by name, returns in a process of its own."""
    context = multiprocessing.get_context('forkserver' if fork else 'spawn')
    if fork:
        context.set_forkserver_preload(list(PRELOADED))
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def _measure(prepare, arguments):
    step = prepare(*arguments)
    try:
        pathlib.Path('/proc/self/clear_refs').write_text('5')  # the highest so far is forgotten
    except OSError:
        return None
    before = kilobytes('VmRSS')
    kept = step()  # noqa: F841  what it returns is held until the peak is read
    return max(0, kilobytes('VmHWM') - before) * 1024


def free_unused():
    """Gives back to the system what was freed before, so that the step cannot take it unseen."""
    gc.collect()
    if sys.platform == 'linux':
        trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc's
        if trim:
            trim(0)


def kilobytes(kind):
    """A figure of this process: VmRSS is what it holds, VmHWM the most that it held. Linux."""
    return int(re.search(rf'{kind}:\s+(\d+)', pathlib.Path('/proc/self/status').read_text())[1])
