"""The options of ``segparity check``."""

import argparse

from segparity.arguments import integer, positive_integer


def add_check_arguments(command: argparse.ArgumentParser) -> None:
    """What is checked, on which inputs, against what, and how it is told."""
    command.add_argument('name', nargs='*', help='losses or metrics; all when neither a name nor --config is given')
    command.add_argument(
        '--config',
        action='append',
        metavar='JSON',
        help='a loss as you train with it: JSON such as \'{"type": "SoftDiceLoss", "smooth": 1.0}\', or a .json file '
        'with one or a list of them (repeatable)',
    )
    command.add_argument('--framework', action='append', help='only this framework (repeatable)')
    command.add_argument(
        '--way',
        action='append',
        help='only this way of running it: plain, fused, kernels, eager, graph, xla, jit (repeatable)',
    )
    command.add_argument('--json', action='store_true', help='print JSON, and nothing else, on the standard output')
    data = command.add_argument_group('your own tensors')
    data.add_argument(
        '--data',
        metavar='FILE.npz',
        help='arrays pred or logits (N, C, *space), target or labels, and if you like weight and ignore_index, '
        'in place of the built-in cases',
    )
    data.add_argument('--layout', choices=('NCHW', 'NHWC'), help='where the channels are, if the shapes do not tell')
    data.add_argument('--probabilities', action='store_true', help='pred holds probabilities, not logits')
    data.add_argument('--ignore-index', type=integer, metavar='ID', help='the label that counts nowhere')
    other = command.add_argument_group('another implementation')
    other.add_argument(
        '--against',
        metavar='FUNCTION',
        help='compare the named or configured losses with MODULE:FUNCTION or FILE.py:FUNCTION, which is imported and '
        'called; argument order, layout and labels are found',
    )
    other.add_argument(
        '--channels', type=positive_integer, help='of the built-in cases of --against; four and one when not given'
    )
    models = command.add_argument_group('two models')
    models.add_argument(
        '--model-a',
        metavar='A.npz',
        help='outputs of a model: logits (N, C, H, W) or (N, H, W, C), probabilities, or ids (N, H, W); labels, names and '
        'the loss that its framework gave, if you like',
    )
    models.add_argument('--model-b', metavar='B.npz', help='those of another one on the same images')
    models.add_argument(
        '--layout-b', choices=('NCHW', 'NHWC'), help='of the second file, where it is not that of --layout'
    )
