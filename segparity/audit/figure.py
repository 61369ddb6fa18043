"""A finished figure: its way into the page (SVG) and into a file (PNG, the same figure in dark ink on white)."""

import dataclasses
import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segparity.pages.axes import INK, drawing
from segparity.pages.svg import svg_of

DARK = '#1d222b'


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure: ``name`` for its PNG file, ``title``, ``svg`` text and, where asked for, ``png`` bytes."""

    name: str
    title: str
    svg: str
    png: bytes | None


def finished(name: str, figure: Figure, axes: Axes, description: str, png: bool = False) -> Drawn:
    """The figure as ``Drawn``; ``description`` is read out where the picture is not seen."""
    svg = svg_of(figure, name, description)
    return Drawn(name, axes.get_title(loc='left'), svg, drawn_png(figure) if png else None)


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
    with drawing():
        figure.savefig(buffer, format='png', dpi=144, facecolor='white')
    return buffer.getvalue()
