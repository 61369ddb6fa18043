"""The page's curves: inline SVG that takes the page's text colour, so that it reads on light and dark."""

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use('agg')

import matplotlib.pyplot as plt
import numpy as np

INK = '#010203'  # stands for the page's text colour until the SVG is written
STYLE = {'mmseg': ('#3f8fd2', '-', 'o'), 'keras': ('#e0860b', '--', 's')}
SMOOTH = 15  # steps that the thick line averages


def loss_curves(found: Mapping[str, Any]) -> str:
    """The training loss of every world: each step thin, its running mean thick."""
    figure, axes = empty('training loss', 'step')
    for name, world in found.items():
        colour, dash, _ = STYLE[name]
        losses = np.array(world['losses'])
        width = min(SMOOTH, len(losses))
        mean = np.convolve(losses, np.ones(width) / width, 'valid')
        axes.plot(losses, color=colour, alpha=0.3, linewidth=0.8)
        steps = np.arange(len(mean)) + (width - 1) / 2
        axes.plot(steps, mean, color=colour, linestyle=dash, linewidth=2, label=world['title'])
    axes.set_ylim(0)
    return svg(figure, axes)


def metric_curves(found: Mapping[str, Any], metric: str = 'mIoUD', title: str = 'validation mIoU, data set (D)') -> str:
    """A validation metric of every world."""
    figure, axes = empty(title, 'step')
    for name, world in found.items():
        colour, dash, marker = STYLE[name]
        steps = [line['val'] for line in world['validations']]
        values = [line[metric] for line in world['validations']]
        axes.plot(steps, values, color=colour, linestyle=dash, marker=marker, markersize=5, label=world['title'])
    axes.set_xlim(0)
    axes.set_ylim(0, 1)
    return svg(figure, axes)


def drift_curve(found: Mapping[str, Any]) -> str:
    """How far the two losses are apart at every step; exact agreement is drawn at the axis' lower end."""
    figure, axes = empty('difference of the two losses', 'step')
    one, other = (np.array(found[name]['losses']) for name in STYLE)
    count = min(len(one), len(other))
    apart = np.abs(one[:count] - other[:count])
    axes.semilogy(np.maximum(apart, 1e-8), color='#8a63c9', linewidth=1.2)
    axes.set_ylim(1e-8, 1)
    return svg(figure, axes, legend=False)


def empty(title: str, across: str) -> tuple[Figure, Axes]:
    """Axes without a background, everything in the ink colour."""
    plt.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': title, 'font.size': 11, 'font.family': 'sans-serif'})
    figure, axes = plt.subplots(figsize=(4.6, 3.0), layout='constrained')
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.set_title(title, color=INK, fontsize=12, loc='left')
    axes.set_xlabel(across, color=INK)
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.15)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ('left', 'bottom'))
        spine.set_color(INK)
    return figure, axes


def svg(figure: Figure, axes: Axes, legend: bool = True) -> str:
    """The figure as an ``<svg>`` element without ids that could clash and without metadata."""
    if legend:
        axes.legend(frameon=False, labelcolor=INK, fontsize=10)
    buffer = io.StringIO()
    nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    figure.savefig(buffer, format='svg', metadata=nothing, transparent=True)
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index('<svg') :].replace(INK, 'currentColor')
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r' id="(figure|axes|patch|line2d|text|matplotlib\.axis|xtick|ytick|legend)_\d+"', '', text)
    title = axes.get_title(loc='left')
    return text.replace('<svg ', f'<svg role="img" aria-label="{title}" ', 1)
