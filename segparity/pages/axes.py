"""Axes in the house's dress. The ink stands for the page's text colour, so that a figure reads on light and dark."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = '#010203'  # stands for the page's text colour until the SVG is written
SERIES = (
    ('#3f8fd2', '-', 'o'),
    ('#e0860b', '--', 's'),
    ('#8a63c9', '-.', '^'),
    ('#1b9e88', ':', 'D'),
    ('#cc5f9a', '-', 'v'),
    ('#7d8590', '--', 'P'),
)
WIDE, HIGH = 4.8, 3.0  # inches
SETTINGS: dict[Any, Any] = {
    'svg.fonttype': 'none',
    'font.size': 10.5,
    'font.family': 'sans-serif',
    'text.parse_math': False,
}


@contextlib.contextmanager
def drawing(salt: str | None = None) -> Iterator[None]:
    """matplotlib's settings while a figure is made or written; ``salt``: what the ids of its SVG are made from."""
    with rc_context({**SETTINGS, 'svg.hashsalt': salt}), warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')  # the browser has its own fonts
        yield


def dress(number: int) -> tuple[str, str, str]:
    """Colour, line and marker of the series with this number."""
    return SERIES[number % len(SERIES)]


def axes_of(title: str, across: str, up: str = '', wide: float = WIDE, high: float = HIGH) -> tuple[Figure, Axes]:
    """A figure and its axes, everything in ink."""
    with drawing():
        figure = Figure(figsize=(wide, high), layout='constrained')
        axes = figure.add_subplot()
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        axes.set_title(title, color=INK, fontsize=11.5, loc='left')
        axes.set_xlabel(across, color=INK)
        axes.set_ylabel(up, color=INK)
        axes.tick_params(which='both', colors=INK, labelcolor=INK)
        axes.grid(color=INK, alpha=0.13)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ('left', 'bottom'))
            spine.set_color(INK)
    return figure, axes


def legend(axes: Axes, **where: Any) -> None:
    """Without a frame, in the ink of the axes; ``where``: what else matplotlib's ``legend`` takes."""
    with drawing():
        axes.legend(frameon=False, labelcolor=INK, fontsize=9.5, **where)
