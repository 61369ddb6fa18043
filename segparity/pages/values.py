"""Values as HTML writes them: a colour, a picture inside the page, raised letters."""

import base64
from collections.abc import Iterable


def css_colour(colour: Iterable[int]) -> str:
    """(230, 159, 0) -> '#e69f00'."""
    return '#{:02x}{:02x}{:02x}'.format(*map(int, colour))


def data_uri(data: bytes, mime: str) -> str:
    """An encoded picture as ``data:`` URI, so that no file lies beside the page."""
    return f'data:{mime};base64,' + base64.b64encode(data).decode()


def with_raised(word: str, raised: str) -> str:
    """'mIoU' and 'D' -> mIoU with a raised D, as Markup; both are escaped."""
    from markupsafe import Markup

    return Markup('{}<sup>{}</sup>').format(word, raised)
