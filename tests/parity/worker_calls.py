"""Functions that a worker is asked for; they run in the worker and need no framework."""

import os
import sys
import time


def echo(arrays, names, **said):
    """The arrays, what was said, and variables of the environment; printed as well, to every place that there is."""
    print('printed')
    sys.stdout.flush()
    os.write(1, b'written')
    return dict(said=said, environment=[os.environ.get(name) for name in names]), arrays


def refuse(arrays):
    raise ValueError('this is refused')


def die(arrays):
    os.write(2, b'their last \xff words\n')  # which is no UTF-8
    time.sleep(0.5)  # until they are read
    os._exit(3)
