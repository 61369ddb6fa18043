"""A figure as an ``<svg>`` element of a page."""

import io
import re

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from segparity.pages.axes import INK, drawing


def svg_of(figure: Figure, name: str, description: str) -> str:
    """The ``<svg>`` of a figure. ``name``: another one for each figure of a page, so that no two share an id;
    ``description`` is read out where the picture is not seen."""
    with drawing(salt=name):
        buffer = io.StringIO()
        FigureCanvasSVG(figure)
        nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
        figure.savefig(buffer, format='svg', metadata=nothing, transparent=True, dpi=144)
    return svg_element(buffer.getvalue(), description)


def svg_element(text: str, description: str) -> str:
    """An ``<svg>`` without ids that could clash, without metadata, its ink the page's; the description is escaped."""
    from markupsafe import escape

    text = text[text.index('<svg') :].replace(INK, 'currentColor')
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'<!--.*?-->', '', text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z][\w.]*_\d+"', '', text)  # those of paths that are referred to have no underscore
    return text.replace('<svg ', f'<svg role="img" aria-label="{escape(description)}" ', 1)
