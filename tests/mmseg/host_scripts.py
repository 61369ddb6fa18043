"""Runs scripts of MMSegmentation one after the other in one fresh process: ``host_scripts.py '[[SCRIPT, ARG, ...], ...]'``.

Nothing is imported before the first of them, which so starts as a user's does.
"""

import json
import runpy
import sys


def main(commands):
    for command in json.loads(commands):
        sys.argv = command
        runpy.run_path(command[0], run_name='__main__')


if __name__ == '__main__':
    main(*sys.argv[1:])
