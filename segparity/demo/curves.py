"""The page's curves, as SVG texts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from segparity.pages.axes import axes_of, dress, legend
from segparity.pages.svg import svg_of

STYLE = {'mmseg': dress(0), 'keras': dress(1)}
RAISED = str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹')
SMOOTH = 15  # steps that the thick line averages


def loss_curves(found: Mapping[str, Any]) -> str:
    """The training loss of every world: each step thin, its running mean thick."""
    figure, axes = axes_of('training loss', 'step')
    for name, world in found.items():
        colour, dash, _ = STYLE[name]
        losses = np.array(world['losses'])
        width = min(SMOOTH, len(losses))
        mean = np.convolve(losses, np.ones(width) / width, 'valid')
        axes.plot(losses, color=colour, alpha=0.3, linewidth=0.8)
        steps = np.arange(len(mean)) + (width - 1) / 2
        axes.plot(steps, mean, color=colour, linestyle=dash, linewidth=2, label=world['title'])
    axes.set_ylim(0)
    legend(axes)
    return svg_of(figure, 'loss', 'training loss')


def metric_curves(found: Mapping[str, Any], metric: str = 'mIoUD', title: str = 'validation mIoU, data set (D)') -> str:
    """A validation metric of every world."""
    figure, axes = axes_of(title, 'step')
    for name, world in found.items():
        colour, dash, marker = STYLE[name]
        steps = [line['val'] for line in world['validations']]
        values = [line[metric] for line in world['validations']]
        axes.plot(steps, values, color=colour, linestyle=dash, marker=marker, markersize=5, label=world['title'])
    axes.set_xlim(0)
    axes.set_ylim(0, 1)
    legend(axes)
    return svg_of(figure, metric, title)


def drift_curve(found: Mapping[str, Any]) -> str:
    """How far the two losses are apart at every step; exact agreement is drawn at the axis' lower end."""
    title = 'difference of the two losses'
    figure, axes = axes_of(title, 'step')
    one, other = (np.array(found[name]['losses']) for name in STYLE)
    count = min(len(one), len(other))
    apart = np.abs(one[:count] - other[:count])
    axes.semilogy(np.maximum(apart, 1e-8), color=dress(2)[0], linewidth=1.2)
    axes.set_ylim(1e-8, 1)
    axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
    return svg_of(figure, 'difference', title)


def power_of_ten(value: float, _: object) -> str:
    """0.0001 -> '10⁻⁴'; the house's axes read no mathtext."""
    return '10' + str(round(np.log10(value))).translate(RAISED)
