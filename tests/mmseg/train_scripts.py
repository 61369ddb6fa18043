"""Runs MMSegmentation's training script on one config after the other, in the processes that torchrun started once."""

import runpy
import sys


def main(script, *configs):
    for config in configs:
        sys.argv = [script, config, '--launcher', 'pytorch']
        runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
    main(*sys.argv[1:])
