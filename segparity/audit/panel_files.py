"""A panel as one PNG file: its pictures side by side, what they show in words above."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

    from segparity.audit.panels import Panel

TEXT, GAP, PAPER, DARK, SOFT = 15, 10, 'white', (29, 34, 43), (90, 100, 114)


def panel_png(panel: Panel, words: str) -> bytes:
    """PNG bytes of a panel, headed by image, class and ``words``."""
    from PIL import Image, ImageDraw

    cells = ([('whole input', panel.overview)] if panel.overview else []) + panel.cells
    pictures = [(caption, Image.open(io.BytesIO(picture.data)).convert('RGB')) for caption, picture in cells]
    wide = sum(picture.width + GAP for _, picture in pictures) + GAP
    lines = wrapped([panel.image, ', '.join(part for part in (panel.class_name, words) if part), *panel.notes], wide)
    top = GAP + (TEXT + 5) * len(lines) + GAP
    bottom = top + max(picture.height for _, picture in pictures) + TEXT + 2 * GAP
    sheet = Image.new('RGB', (wide, bottom + TEXT + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), typeface()
    for k, line in enumerate(lines):
        draw.text((GAP, GAP + (TEXT + 5) * k), line, fill=DARK if k == 0 else SOFT, font=font)
    left = GAP
    for caption, picture in pictures:
        sheet.paste(picture, (left, top))
        draw.text((left, top + picture.height + 4), caption, fill=SOFT, font=font)
        left += picture.width + GAP
    left = GAP
    for name, colour in panel.legend:
        draw.rectangle((left, bottom, left + TEXT, bottom + TEXT), fill=colour, outline=SOFT)
        draw.text((left + TEXT + 5, bottom - 2), name, fill=SOFT, font=font)
        left += TEXT + 20 + int(draw.textlength(name, font=font))
    buffer = io.BytesIO()
    sheet.save(buffer, 'png')
    return buffer.getvalue()


def wrapped(lines: list[str], wide: int) -> list[str]:
    """The lines, cut where the sheet ends."""
    import textwrap

    letters = max(20, int((wide - 2 * GAP) / (0.56 * TEXT)))
    return [part for line in lines for part in textwrap.wrap(line, letters) or ['']]


def typeface() -> ImageFont.FreeTypeFont:
    """The face that comes with Matplotlib: it has more letters than Pillow's own."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')), TEXT)
