"""The study's figures, as SVG texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segparity.pages.axes import INK, axes_of, dress, legend
from segparity.pages.svg import svg_of
from segparity.study.conditions import CONDITIONS, PAIRS
from segparity.study.landscapes import LABEL, SHOWN
from segparity.study.settings import BINS

CONFIDENCES = ('jaccard-metric-soft', 'soft-jaccard-soft', 'dice-semimetric-soft', 'soft-dice-soft')


def landscape_figure(found: Mapping[str, Sequence[float]]) -> str:
    """The losses over p, the label as a line, a dot at the lowest point of each."""
    title = f'one pixel whose soft label is y = {LABEL}'
    figure, axes = axes_of(title, 'predicted probability p', 'loss', wide=6.4, high=3.6)
    axes.axvline(LABEL, color=INK, alpha=0.35, linewidth=1)
    for number, (loss, name) in enumerate(SHOWN.items()):
        colour, dash, marker = dress(number)
        p, values = np.array(found['p']), np.array(found[loss])
        axes.plot(p, values, color=colour, linestyle=dash, linewidth=2, label=name)
        best = int(values.argmin())
        axes.plot(p[best], values[best], color=colour, marker=marker, markersize=8, clip_on=False, zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0)
    legend(axes, loc='upper right')
    return svg_of(figure, 'landscape', f'{title}: SoftJaccard and SoftDice are lowest at p = 1, the others at p = y')


def confidence_figure(data: str, title: str, histograms: Mapping[str, Sequence[float]], label: Sequence[float]) -> str:
    """The confidence of trained models at unclear pixels, and the largest share of their soft labels, grey."""
    figure, axes = axes_of(title, 'largest probability', 'unclear pixels, %', wide=5.4, high=3.8)
    edges = np.linspace(0, 1, BINS + 1)
    axes.stairs(100 * np.array(label), edges, color=INK, fill=True, alpha=0.15, label='soft label')
    for number, condition in enumerate(name for name in CONFIDENCES if name in histograms):
        colour, dash, _ = dress(number)
        axes.stairs(
            100 * np.array(histograms[condition]),
            edges,
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            label=CONDITIONS[condition].title,
        )
    axes.set_xlim(0.2, 1)
    axes.set_ylim(0)
    labels = axes.get_legend_handles_labels()
    figure.legend(*labels, loc='outside lower left', ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return svg_of(figure, f'confidence-{data}', f'{title}: confidence at pixels whose soft label is unclear')


def difference_figure(data: str, title: str, measure: str, name: str, differences: Sequence[Mapping[str, Any]]) -> str:
    """The paired differences of a measure with their intervals, one line for each pair."""
    figure, axes = axes_of(title, f'difference in {name}, points of per cent', wide=5.4, high=2.9)
    rows = np.arange(len(differences))
    axes.axvline(0, color=INK, alpha=0.35, linewidth=1)
    for row, pair in zip(rows, differences):
        found = pair['measures'][measure]
        mean, low, high = (100 * found[key] for key in ('mean', 'low', 'high'))
        colour = dress(0 if pair['one'] == next(iter(PAIRS.values()))[0] else 1)[0]
        if np.isfinite([low, high]).all():
            axes.hlines(row, low, high, color=colour, linewidth=2)
        axes.plot(mean, row, 'o', color=colour, markersize=6)
    axes.set_yticks(rows, [f'against {CONDITIONS[pair["other"]].title}' for pair in differences])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis='y')
    return svg_of(figure, f'difference-{data}-{measure}', f'{title}: paired differences in {name}')
