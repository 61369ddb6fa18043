"""What all figures share: axes in the house's dress, and their way into the page (SVG) and into files (PNG).

An SVG takes the page's text colour and needs no background, so that it reads on light and dark; the PNG is the same
figure in dark ink on white.
"""

import dataclasses
import io
import re
import warnings
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, DARK = '#010203', '#1d222b'  # INK stands for the page's text colour
MODELS = (
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


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure: ``name`` for its PNG file, ``title``, ``svg`` text and, where asked for, ``png`` bytes."""

    name: str
    title: str
    svg: str
    png: bytes | None


def dress(model: int) -> tuple[str, str, str]:
    """Colour, line and marker of the model with this number."""
    return MODELS[model % len(MODELS)]


def axes_of(title: str, across: str, up: str, wide: float = WIDE, high: float = HIGH) -> tuple[Figure, Axes]:
    """A figure and its axes, everything in ink."""
    with rc_context(SETTINGS):
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
    with rc_context(SETTINGS):
        axes.legend(frameon=False, labelcolor=INK, fontsize=9.5, **where)


def finished(name: str, figure: Figure, axes: Axes, description: str, png: bool = False) -> Drawn:
    """The figure as ``Drawn``; ``description`` is read out where the picture is not seen."""
    with rc_context({**SETTINGS, 'svg.hashsalt': name}), warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')  # the browser has its own fonts
        buffer = io.StringIO()
        FigureCanvasSVG(figure)
        nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
        figure.savefig(buffer, format='svg', metadata=nothing, transparent=True, dpi=144)
        picture = drawn_png(figure) if png else None
    return Drawn(name, axes.get_title(loc='left'), svg_element(buffer.getvalue(), description), picture)


def drawn_png(figure: Figure) -> bytes:
    """The same figure in dark ink on white."""
    for artist in figure.findobj():
        for get, put in (('get_color', 'set_color'), ('get_edgecolor', 'set_edgecolor')):
            value = getattr(artist, get, lambda: None)()
            if isinstance(value, str) and value == INK:
                getattr(artist, put)(DARK)
    figure.patch.set(alpha=1, facecolor='white')
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=144, facecolor='white')
    return buffer.getvalue()


def svg_element(text: str, description: str) -> str:
    """An ``<svg>`` without ids that could clash, without metadata, its ink the page's."""
    from markupsafe import escape

    text = text[text.index('<svg') :].replace(INK, 'currentColor')
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'<!--.*?-->', '', text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z][\w.]*_\d+"', '', text)  # those of paths that are referred to have no underscore
    return text.replace('<svg ', f'<svg role="img" aria-label="{escape(description)}" ', 1)
